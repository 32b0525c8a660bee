"""Two stacks that share orchestrators, two runs on one state, and many fleets in one program."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.program.scenarios import fleet
from tests.support.commands import fresh
from tests.support.stacks import ENGINES, ROOT, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

MANY = 1_500


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(12) as command:
        yield command


@pytest.mark.parametrize("engine", ENGINES)
def test_of_two_stacks_the_last_up_wins_the_other_sees_drift_and_neither_loses_state(
    command: Command, tmp_path: Path, engine: str
) -> None:
    ids = command.ids()[:6]
    both = ids[2:4]
    north, south = Stack(engine, tmp_path / "north", command), Stack(engine, tmp_path / "south", command)
    north.fleets(fleet("edge", ids[:4], "Requested"))
    south.fleets(fleet("edge", ids[2:], "Required"))
    assert north.run("up").posts == [(1, tuple(ids[:4]))]
    assert south.run("up").posts == [(2, tuple(ids[2:]))]
    north.later(minutes=2)

    ran = north.run("preview", "--refresh", "--expect-no-changes", "--diff")
    assert ran.exit_code != 0
    assert all(ran.says(f'~ {member_id}: "Required" => "Requested"') for member_id in both)
    ran = north.run("refresh")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert north.phases("edge") == dict.fromkeys(ids[:2], "pending") | dict.fromkeys(both, "changed")
    assert south.phases("edge") == dict.fromkeys(ids[2:], "pending")

    assert north.run("up").posts == [(1, tuple(both))]
    south.run("refresh")
    assert south.phases("edge") == dict.fromkeys(both, "changed") | dict.fromkeys(ids[4:], "pending")

    ran = south.run("destroy")
    assert (ran.exit_code, ran.posts) == (0, [(0, tuple(ids[4:]))])
    assert ran.says(both[0], both[1], "left at Requested")
    assert north.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    assert north.run("destroy").posts == [(0, tuple(ids[:4]))]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_run_on_a_state_is_refused_and_costs_the_first_nothing(
    command: Command, tmp_path: Path, engine: str
) -> None:
    ids = command.ids()[:3]
    stack = Stack(engine, tmp_path, command)
    stack.fleets(fleet("edge", ids))
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "delay", "seconds": 6}])
    with stack.started() as first:
        while not command.posts():
            assert first.poll() is None
            time.sleep(0.05)
        for second in ("up", "destroy"):
            ran = stack.run(second)
            assert ran.exit_code != 0
            assert ran.says("currently locked by")
        output, _ = first.communicate(timeout=60)
        assert first.returncode == 0, output
    assert stack.phases("edge") == dict.fromkeys(ids, "pending")
    assert command.posts() == [(1, tuple(ids))]


def test_a_program_declares_1500_fleets() -> None:
    """Under mocks, without an engine: the SDK's pickling failed at some hundreds."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.concurrency.many", str(MANY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, f"{MANY} registered"), ran.stderr[-3000:]


@pytest.mark.parametrize("engine", ENGINES)
def test_more_fleets_than_the_program_has_threads_are_requested_and_told(tmp_path: Path, engine: str) -> None:
    """The SDK gives its event loop four threads for each step that may run at once, and holds one for each fleet."""
    size = 4 * 4 * (os.cpu_count() or 1) + 20
    with fresh(size) as command:
        stack, ids = Stack(engine, tmp_path, command), command.ids()
        stack.fleets(*(fleet(f"fleet-{number:02}", [agent_id]) for number, agent_id in enumerate(ids)))
        ran = stack.run("up")
        assert ran.exit_code == 0
        assert sorted(agent_id for _, (agent_id,) in ran.posts) == ids
        assert all(f"fleet-{number:02}: requested 1" in ran.text for number in range(size))


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_1500_fleets_in_one_program_from_up_to_destroy(tmp_path: Path) -> None:
    with fresh(MANY) as command:
        ids = command.ids()
        stack = Stack("standin", tmp_path, command)
        stack.fleets(*(fleet(f"fleet-{number:04}", [agent_id]) for number, agent_id in enumerate(ids)))
        taken = {}
        for line in ("up --skip-preview --yes", "preview --expect-no-changes", "refresh --yes --skip-preview"):
            began = time.monotonic()
            ran = stack._call(*stack.command_line(*line.split()), timeout=900)
            taken[line] = round(time.monotonic() - began, 1)
            assert ran.returncode == 0, ran.stdout[-3000:]
        assert len(command.posts()) == MANY
        assert len(stack.resources()) == MANY
        ran = stack._call(*stack.command_line("destroy", "--yes", "--skip-preview"), timeout=900)
        assert ran.returncode == 0, ran.stdout[-3000:]
        assert set(command.flags().values()) == {"None"}
        print(taken)
