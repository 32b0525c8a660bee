"""Reading every orchestrator of a large Command: time compared with a bare loop, and memory."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec

from bench import wire
from bench.children import die_with_parent
from bench.machine import peak_memory
from bench.measure import Goal, Pairs, Row, Section, in_turns
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_standins.command.process import Command, running

HOW = """`Roster.look` for all orchestrators of a stand-in, which reads pages of the list concurrently and keeps every
agent, compared with a loop over one kept-alive httpx client that downloads the same pages one after another, parses
their JSON and drops it: with the standard library's `json` and, stricter than the goal, with msgspec, which the product
uses. They run in turns, in reversed order in every repetition. 300 ms: the stand-in delays every response by that, like
the server in the recordings; its agents are as large as the recorded ones. Memory: the peak (VmHWM) of a new Python
process that read the list and then requested all of its orchestrators."""

SIZE = 100_000
_REPETITIONS = 5
_LATE_SIZE = 10_000
_LATENCY = 0.300
_LARGE_JOB_TYPES = 17
"""Makes agents of up to 3 kB, like the recorded ones with many capabilities; 1 makes 0.6 kB."""


def reading() -> Section:
    """The section."""
    return Section("Reading", HOW, [*_late(1), *_late(_LARGE_JOB_TYPES), *_at_once()])


def _late(job_types: int) -> list[Row]:
    with running("--orchestrators", str(_LATE_SIZE), "--job-types", str(job_types)) as command:
        ids = command.ids()
        calls = wire.record(lambda network: _look(command, ids, network))
        wire.slow(command, _LATENCY)
        ours, plain = in_turns(
            [lambda: _look(command, ids), lambda: _download(command, calls, json.loads)], _REPETITIONS
        )
    pairs = Pairs(ours, plain)
    what = f"{_LATE_SIZE:,} orchestrators with {job_types} job types at most, answers {_LATENCY * 1000:.0f} ms late:"
    goal = Goal("at most", 0.45)
    return [Row(f"{what} time over a bare page-by-page loop", pairs.ratios(), "x", goal, pairs.aside())]


def _at_once() -> list[Row]:
    with running("--orchestrators", str(SIZE)) as command:
        ids = command.ids()
        calls = wire.record(lambda network: _look(command, ids, network))
        ours, plain, strict = in_turns(
            [
                lambda: _look(command, ids),
                lambda: _download(command, calls, json.loads),
                lambda: _download(command, calls, msgspec.json.decode),
            ],
            _REPETITIONS,
        )
        reading_peak, asking_peak = _memory(command)
    against_json, against_msgspec = Pairs(ours, plain), Pairs(ours, strict)
    what = f"{SIZE:,} orchestrators, {len(calls)} pages:"
    return [
        Row(
            f"{what} time over a bare loop with json",
            against_json.ratios(),
            "x",
            Goal("at most", 1.3),
            against_json.aside(),
        ),
        Row(
            f"{what} time over a bare loop with msgspec",
            against_msgspec.ratios(),
            "x",
            aside=against_msgspec.aside(),
        ),
        Row(f"{what} peak memory of the process that read", [reading_peak], "MB", Goal("at most", 300)),
        Row(f"{what} peak memory after asking them all too", [asking_peak], "MB"),
    ]


def _look(command: Command, ids: Sequence[str], transport: httpx.AsyncBaseTransport | None = None) -> None:
    opened = wire.client(command, transport)
    try:
        agents = Roster(opened).look(ids)
    finally:
        opened.close()
    assert all(agents.values())


def _download(command: Command, calls: Sequence[wire.Call], parse: Callable[[bytes], Any]) -> None:
    with wire.bare(command) as opened:
        for call in calls:
            parse(opened.request(call.method, call.url).content)


def _memory(command: Command) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.reading"],
        input=json.dumps({"said": command.said, "ids": command.ids()}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=die_with_parent,
        env=dict(os.environ),
    )
    first, second = json.loads(done.stdout)
    return first, second


def _child() -> None:
    """Read, then request, and print the peak memory after each."""
    parent = json.load(sys.stdin)
    # The stand-in's process belongs to the parent; here only its address and credentials matter.
    command = cast(Command, SimpleNamespace(said=parent["said"], url=parent["said"]["url"]))
    command.environment = lambda: Command.environment(command)  # type: ignore[method-assign]
    ids: list[str] = parent["ids"]
    _look(command, ids)
    first = peak_memory()
    wire.ask(command, wire.Fleet(ids).desired(ReenrollmentStatus.REQUIRED))
    print(json.dumps([first, peak_memory()]))


if __name__ == "__main__":
    _child()
