"""Requesting many orchestrators (read, decide, post), compared with two bare loops."""

from collections.abc import Iterator
from functools import partial

from bench import wire
from bench.measure import Goal, Pairs, Row, Section, in_turns
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_standins.command.process import Command, running

HOW = """`Run.apply` in a new client, as in a new provider process, for all orchestrators of a stand-in: it reads every
page, decides on every member, posts every batch and makes the state. It is compared with (a) one POST per GUID over one
kept-alive httpx client, which reads nothing; for large fleets a part is measured (the row says how many) and scaled up;
(b) the same requests that `Run.apply` sent, repeated by a loop over one kept-alive httpx client that downloads the
responses and does not parse them. All three times include building the client. The three run in turns, in reversed
order in every repetition. 20 ms: the stand-in delays every response by that."""

_AT_ONCE = {1_000: 9, 10_000: 9, 100_000: 3}
_LATE = {1_000: 7, 10_000: 5, 100_000: 3}
_PART_AT_ONCE = 1_000
_PART_LATE = 100
_FASTER = {0.0: Goal("at least", 10), wire.LATENCY: Goal("at least", 100)}
_OVERHEAD = Goal("at most", 1.25)


def asking() -> Section:
    """The section."""
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
    # Made in advance: in a run they come from the engine.
    inputs = {status: fleet.desired(status) for status in recorded}
    # With another status, these flags would already be as desired in the next turn, and not be requested.
    clear = ReenrollmentStatus.NONE
    ours, loop, raw = in_turns(
        [
            lambda: wire.ask(command, inputs[fleet.turn()]),
            lambda: wire.one_by_one(command, fleet.ids[:part], clear),
            lambda: wire.replay(command, recorded[fleet.turn()]),
        ],
        repetitions,
    )
    command.forget()
    when = f"{latency * 1000:.0f} ms late" if latency else "at once"
    goals = (_FASTER[latency], _OVERHEAD) if size == 10_000 else (None, None)
    scale = size / part
    measured = "" if part == size else f", {part:,} of them measured"
    pairs = Pairs(ours, loop)
    yield Row(
        f"{size:,} members, answers {when}: times faster than (a) a POST each{measured}",
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
