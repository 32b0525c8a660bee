"""What ends a run in the middle of a wave: the next one finishes this wave, and opens no other."""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.crash import processes
from tests.program.scenarios import fleet
from tests.support.stacks import ROOT, Stack

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
    """A fleet whose first wave has re-enrolled, each of its calls for one member."""
    stack = Stack("standin", tmp_path, command, dict(SETTINGS))
    ids = command.ids()
    stack.fleets(fleet("edge", ids, waves=[FIRST, LATER]))
    assert stack.run("up").exit_code == 0
    command.world(reenroll=ids[:FIRST])
    command.forget()
    return stack


def requested(command: Command) -> Counter[str]:
    """How often each was requested."""
    return Counter(each for _, ids in command.posts() for each in ids)


def finishes(stack: Stack) -> None:
    """The next run ends the wave that was under way, and nobody of a later one was ever requested."""
    ids = stack.command.ids()
    wave, queued = ids[FIRST : FIRST + LATER], ids[FIRST + LATER :]
    stack.command.faults(faults=[])
    assert stack.run("up").exit_code == 0
    phases = dict.fromkeys(ids[:FIRST], "re-enrolled") | dict.fromkeys(wave, "pending") | dict.fromkeys(queued, "due")
    assert stack.phases("edge") == phases
    assert set(requested(stack.command)) == set(wave)
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    stack.command.world(reenroll=wave)
    assert stack.run("up").posts == [(1, (each,)) for each in queued]


@pytest.mark.parametrize("victim", ["engine", "program", "host"])
def test_after_a_kill_in_a_wave_the_next_run_finishes_it(stack: Stack, victim: str) -> None:
    stack.command.faults(faults=[SLOWED])
    with subprocess.Popen(
        stack.command_line("up", "--yes", "--skip-preview"),
        cwd=ROOT,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as engine:
        until = time.monotonic() + 60
        while len(stack.command.posts()) < LATER // 2:
            assert engine.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        assert processes.hit(stack.folder, victim, signal.SIGKILL)
        engine.wait(60)
    processes.wait_for_none(stack.folder)
    finishes(stack)
    # The call that was under way may have been carried out after the next run had looked.
    again = {each: times for each, times in requested(stack.command).items() if times > 1}
    assert len(again) <= 1, again


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
    assert {each: after[each] for each in ids[FIRST + LATER :]} == dict.fromkeys(ids[FIRST + LATER :], "due")
    if outage["on"].startswith("GET"):
        assert (ran.exit_code, after, ran.posts) == (1, before, [])
        assert stack.resources()["edge"]["outputs"]["trouble"]
    finishes(stack)
