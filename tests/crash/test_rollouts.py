"""Runs that end in the middle of a wave: the next run finishes that wave and starts no other."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.crash import processes
from tests.program.scenarios import fleet
from tests.support.stacks import Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

SETTINGS = {"KEYFACTOR_BATCH_SIZE": "1", "KEYFACTOR_CLIENT_TIMEOUT": "1"}
SLOWED = {"on": "POST /Agents/Set", "act": "delay", "seconds": 0.3}
FIRST, LATER = 2, 6


@pytest.fixture
def command() -> Iterator[Command]:
    with running("--orchestrators", "12") as command:
        yield command


@pytest.fixture
def stack(command: Command, tmp_path: Path) -> Stack:
    """A fleet whose first wave has re-enrolled; each of its calls is for one member."""
    stack = Stack("standin", tmp_path, command, dict(SETTINGS))
    ids = command.ids()
    stack.fleets(fleet("edge", ids, waves=[FIRST, LATER]))
    assert stack.run("up").exit_code == 0
    command.world(reenroll=ids[:FIRST])
    command.forget()
    return stack


def requested(command: Command) -> Counter[str]:
    """How often each orchestrator was requested."""
    return Counter(agent_id for _, ids in command.posts() for agent_id in ids)


def finishes(stack: Stack) -> None:
    """Assert that the next run finishes the current wave, and that no member of a later one was ever requested."""
    ids = stack.command.ids()
    wave, queued = ids[FIRST : FIRST + LATER], ids[FIRST + LATER :]
    stack.command.faults(faults=[])
    assert stack.run("up").exit_code == 0
    phases = dict.fromkeys(ids[:FIRST], "re-enrolled") | dict.fromkeys(wave, "pending") | dict.fromkeys(queued, "due")
    assert stack.phases("edge") == phases
    assert set(requested(stack.command)) == set(wave)
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    stack.command.world(reenroll=wave)
    assert stack.run("up").posts == [(1, (member_id,)) for member_id in queued]


@pytest.mark.parametrize("victim", ["engine", "program", "host"])
def test_after_a_kill_in_a_wave_the_next_run_finishes_it(stack: Stack, victim: str) -> None:
    stack.command.faults(faults=[SLOWED])
    with stack.started() as engine:
        until = time.monotonic() + 60
        while len(stack.command.posts()) < LATER // 2:
            assert engine.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        assert processes.hit(stack.folder, victim, signal.SIGKILL)
        engine.communicate(timeout=60)
    processes.wait_for_none(stack.folder)
    finishes(stack)
    # The interrupted call may have been carried out after the next run had read the flag.
    repeated = {member_id: times for member_id, times in requested(stack.command).items() if times > 1}
    assert len(repeated) <= 1, repeated


@pytest.mark.parametrize(
    "outage",
    [
        {"on": "POST /Agents/Set", "act": "status", "status": 503, "skip": 3},
        {"on": "POST /Agents/Set", "act": "reset", "applied": True, "skip": 3},
        {"on": "GET /Agents", "act": "status", "status": 503},
    ],
    ids=["refuses to post", "answers are lost", "can't be read"],
)
def test_after_an_outage_in_a_wave_the_next_run_finishes_it(stack: Stack, outage: dict[str, Any]) -> None:
    ids = stack.command.ids()
    before = stack.phases("edge")
    stack.command.faults(faults=[outage])
    ran = stack.run("up")
    after = stack.phases("edge")
    assert {after[member_id] for member_id in ids[FIRST + LATER :]} == {"due"}
    if outage["on"].startswith("GET"):
        assert (ran.exit_code, after, ran.posts) == (1, before, [])
        assert stack.resources()["edge"]["outputs"]["trouble"]
    finishes(stack)
