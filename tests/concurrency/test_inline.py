"""Programs that one process runs, one after another or side by side, as the Automation API does."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.stacks import ROOT, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[list[Stack]]:
    """Two stacks, each with a Command of its own that the stack's config names."""
    made = []
    with running("--orchestrators", "4") as one, running("--orchestrators", "6", "--seed", "2") as other:
        for number, command in enumerate((one, other)):
            stack = Stack("standin", tmp_path / f"stack-{number}", command)
            stack.config(f"keyfactor:hostname: {command.url}\nkeyfactor:configFile: {tmp_path}/profiles.json\n")
            made.append(stack)
        profiles = {f"stack-{number}": profile(stack.command) for number, stack in enumerate(made)}
        (tmp_path / "profiles.json").write_text(json.dumps({"servers": profiles}))
        for number, stack in enumerate(made):
            file = stack.folder / "Pulumi.dev.yaml"
            file.write_text(file.read_text() + f"  keyfactor:profile: stack-{number}\n")
        yield made


def profile(command: Command) -> dict[str, str]:
    said = command.said
    return {"host": command.url, "username": said["username"], "password": said["password"], "domain": said["domain"]}


def ups(how: str, stacks: list[Stack]) -> tuple[list[int], str]:
    """The exit codes of `up` of each, all run by one process, and what it said."""
    environment = {name: value for name, value in stacks[0].environment.items() if not name.startswith("KEYFACTOR_")}
    del environment["PULUMI_BACKEND_URL"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.concurrency.inline", how, *(str(stack.folder) for stack in stacks)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes, said


@contextmanager
def life_goes_on(one: Command, other: Command) -> Iterator[None]:
    """Whoever is asked re-enrolls; the first Command gives in once both were asked."""
    over = threading.Event()

    def live() -> None:
        while not over.wait(0.2):
            for command in (one, other):
                command.world(reenroll=[each for each, flag in command.flags().items() if flag != "None"])
            if one.posts() and other.posts():
                one.faults(refused=[])

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("how", "order", "codes"), [("in-turn", (0, 1, 0), [1, 0, 0]), ("side-by-side", (0, 1), [1, 0])]
)
def test_each_run_has_its_own_settings_members_failures_and_waits(
    stacks: list[Stack], how: str, order: tuple[int, ...], codes: list[int]
) -> None:
    one, other = stacks
    ours, theirs = one.command.ids(), other.command.ids()
    desired = {"name": "edge", "status": "Requested"}
    one.fleets(desired)
    other.fleets(desired | {"exclude": theirs[:1]})
    one.command.faults(refused=ours[:1])
    with life_goes_on(one.command, other.command):
        ended, said = ups(how, [stacks[number] for number in order])
    assert ended == codes, said
    assert "edge: 1 of 4 orchestrators failed" in said
    again = [(1, tuple(ours[:1]))] if len(order) == 3 else []
    assert one.command.posts() == [(1, tuple(ours)), *again]
    assert other.command.posts() == [(1, tuple(theirs[1:]))]
    assert list(one.resources()) == (["edge", "edge-done"] if again else ["edge"])
    assert set(other.phases("edge")) == set(theirs[1:])
    assert list(other.resources()) == ["edge", "edge-done"]
