"""Programs in one process, one after another or concurrently, as the Automation API runs them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.support.commands import fresh
from tests.support.stacks import ROOT, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[list[Stack]]:
    """Two stacks, each with its own Command in its config."""
    stacks, profiles, file = [], {}, tmp_path / "profiles.json"
    with fresh(4) as one, fresh(6, "--seed", "2") as other:
        for name, command in (("stack-0", one), ("stack-1", other)):
            credentials = {key: command.said[key] for key in ("username", "password", "domain")}
            profiles[name] = {"host": command.url, **credentials}
            stack = Stack("standin", tmp_path / name, command)
            stack.config(
                f"keyfactor:hostname: {command.url}\nkeyfactor:configFile: {file}\nkeyfactor:profile: {name}\n"
            )
            stacks.append(stack)
        file.write_text(json.dumps({"servers": profiles}))
        yield stacks


def ups(how: str, stacks: list[Stack]) -> tuple[list[int], str]:
    """Run `up` of each stack, all in one process; returns the exit codes and the output."""
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
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes, output


@contextmanager
def life_goes_on(one: Command, other: Command) -> Iterator[None]:
    """Requested orchestrators re-enroll; the first Command stops rejecting once both have received requests."""
    over = threading.Event()

    def live() -> None:
        while not over.wait(0.2):
            for command in (one, other):
                command.world(reenroll=[agent_id for agent_id, flag in command.flags().items() if flag != "None"])
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
        ended, output = ups(how, [stacks[number] for number in order])
    assert ended == codes, output
    assert "edge: 1 of 4 orchestrators failed" in output
    again = [(1, tuple(ours[:1]))] if len(order) == 3 else []
    assert one.command.posts() == [(1, tuple(ours)), *again]
    assert other.command.posts() == [(1, tuple(theirs[1:]))]
    assert list(one.resources()) == (["edge", "edge-done"] if again else ["edge"])
    assert set(other.phases("edge")) == set(theirs[1:])
    assert list(other.resources()) == ["edge", "edge-done"]
