"""Asking many orchestrators: read, decide, post, against two loops that decide nothing."""

from collections.abc import Iterator
from functools import partial

from bench import wire
from bench.measure import Goal, Pairs, Row, Section, in_turns
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_standins.command.process import Command, running

HOW = """`Operations.create` in a new client of its own, as a new provider process does it, for all orchestrators
of a stand-in: every page read, every member decided, every batch posted, the state made. Against (a) one
POST per GUID over one kept-alive httpx client, which reads nothing: measured on a part where the whole
would take long, and scaled up to the fleet (the part is named); (b) the very requests that
`Operations.create` sent, sent again by a loop over one kept-alive httpx client that downloads the
answers and drops them unparsed. Building the client is in all three times. The three run in turns, the
order reversed each time; 20 ms: the stand-in delays every answer by that."""

_AT_ONCE = {1_000: 9, 10_000: 9, 100_000: 3}
_LATE = {1_000: 7, 10_000: 5, 100_000: 3}
_PART_AT_ONCE = 1_000
_PART_LATE = 100
_FASTER = {0.0: Goal("at least", 10), wire.LATENCY: Goal("at least", 100)}
_OVERHEAD = Goal("at most", 1.25)


def asking() -> Section:
    """The whole section."""
    return Section("Asking", HOW, list(_rows()))


def _rows() -> Iterator[Row]:
    for size, repetitions in _AT_ONCE.items():
        with running("--orchestrators", str(size)) as command:
            fleet = wire.Fleet(command.ids())
            yield from _compare(command, fleet, 0.0, _PART_AT_ONCE, repetitions)
            wire.slow(command, wire.LATENCY)
            yield from _compare(command, fleet, wire.LATENCY, _PART_LATE, _LATE[size])


def _compare(command: Command, fleet: wire.Fleet, latency: float, most: int, repetitions: int) -> Iterator[Row]:
    size, part = len(fleet.ids), min(most, len(fleet.ids))
    recorded: dict[ReenrollmentStatus, list[wire.Call]] = {}
    for _ in range(2):
        status = fleet.turn()
        recorded[status] = wire.record(partial(wire.ask, command, fleet.desired(status)))
    # Made beforehand: in a run the engine has them.
    inputs = {status: fleet.desired(status) for status in recorded}
    # A part of the flags would be left as the product wants them, and so not asked again.
    aside = ReenrollmentStatus.NONE
    ours, loop, raw = in_turns(
        [
            lambda: wire.ask(command, inputs[fleet.turn()]),
            lambda: wire.one_by_one(command, fleet.ids[:part], aside),
            lambda: wire.replay(command, recorded[fleet.turn()]),
        ],
        repetitions,
    )
    command.forget()
    when = f"{latency * 1000:.0f} ms late" if latency else "at once"
    goals = (_FASTER[latency], _OVERHEAD) if size == 10_000 else (None, None)
    scale = size / part
    named = "" if part == size else f", {part:,} of them measured"
    pairs = Pairs(ours, loop)
    yield Row(
        f"{size:,} members, answers {when}: times faster than (a) a POST each{named}",
        pairs.speedups(scale),
        "x",
        goals[0],
        pairs.aside(scale),
    )
    pairs = Pairs(ours, raw)
    calls = len(next(iter(recorded.values())))
    yield Row(
        f"{size:,} members, answers {when}: time over (b) the same {calls} requests bare",
        pairs.ratios(),
        "x",
        goals[1],
        pairs.aside(),
    )
