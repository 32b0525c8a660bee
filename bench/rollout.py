"""Roll-outs: their cost in a run, and how long they take, simulated hour by hour.

`python -m bench.rollout` only simulates, prints the days, and writes the picture of docs/rollout.md.
"""

import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from pathlib import Path

from bench.measure import Goal, Row, Section, in_turns
from keyfactor_provider.reenrollment import fleet, life
from keyfactor_provider.reenrollment.desired import Desired, Rollout
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.rollout import Tally, tally
from keyfactor_provider.reenrollment.state import from_state, to_state
from keyfactor_provider.status import ReenrollmentStatus

HOW = """Without an engine or a network. The ratio: a run over 10,000 members of which 505 have started (`from_state`,
`fleet.forecast`, `observe`, `start`, `to_state`), with waves compared with the same record without, in turns. The
simulation: 10,000 orchestrators, of which 70 % check in hourly, 29.5 % daily and 0.5 % never, with waves of 5, 10 % and
100 %, max_failed 2 %, overdue_after 3 days and a run every hour, for at most 30 days; a POST holds at most 500. Done:
no member is queued, and only overdue members are pending."""

PICTURE = Path(__file__).parents[1] / "docs" / "rollout.svg"
MEMBERS = 10_000
WAVES = ("5", "10%", "100%")

_BEGIN = datetime(2027, 3, 1, 8, tzinfo=UTC)
_BATCH = 500
_REPETITIONS = 9


@dataclass(frozen=True)
class World:
    """Orchestrators that check in at fixed hours.

    Attributes:
        observed: the observation of each.
        rhythm: by GUID, the interval in hours between check-ins and the offset; orchestrators that never check in are
            not in it.
        failing: by GUID, the hour until which an orchestrator fails to renew.
    """

    observed: dict[str, life.Observation | None]
    rhythm: Mapping[str, tuple[int, int]]
    failing: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(ids: Sequence[str], *, daily: float, dead: Sequence[str], failing: Mapping[str, int]) -> "World":
        """A world in which a share of the orchestrators checks in daily, some never, and the others hourly."""
        seeded = random.Random(len(ids))
        observed: dict[str, life.Observation | None] = {
            agent_id: life.Observation("None", f"{seeded.getrandbits(160):040X}", f"edge-{number:05}.plant.example")
            for number, agent_id in enumerate(ids)
        }
        rhythm = {agent_id: (24, seeded.randrange(24)) if seeded.random() < daily else (1, 0) for agent_id in ids}
        return World(observed, {agent_id: hours for agent_id, hours in rhythm.items() if agent_id not in dead}, failing)

    def hour(self, number: int) -> None:
        """One hour of sessions: a set flag makes an orchestrator enroll; its next session uses the new certificate."""
        for agent_id, (every, at) in self.rhythm.items():
            seen = self.observed[agent_id]
            if number % every != at or seen is None or self.failing.get(agent_id, 0) > number:
                continue
            if seen.flag != "None":
                new = f"{int(seen.thumbprint or '0', 16) ^ 1:040X}"
                self.observed[agent_id] = life.Observation("None", new, seen.machine, seen.thumbprint, seen.thumbprint)
            elif seen.legacy:
                self.observed[agent_id] = life.Observation("None", seen.thumbprint, seen.machine, seen.thumbprint)


@dataclass(frozen=True)
class Hour:
    """A roll-out after the run of one hour, in numbers of members.

    Attributes:
        requested: those that this run requested.
        pending: those that are pending, including overdue ones.
        open: those that are queued, or pending and not overdue.
        good: those that have re-enrolled and use their certificate.
    """

    number: int
    requested: int
    pending: int
    open: int
    good: int
    counted: Tally


def simulate(world: World, rollout: Rollout, hours: int) -> list[Hour]:
    """A run every hour, until a day after the roll-out is done (see HOW)."""
    desired = Desired("edge", frozenset(world.observed), ReenrollmentStatus.REQUESTED, rollout=rollout)
    record, past = Record("edge"), []
    for number in range(hours):
        if number:
            world.hour(number)
        at = life.moment(_BEGIN + timedelta(hours=number), rollout.deadline)
        plan = fleet.observe(fleet.members_of(record, desired), {}, world.observed, at)
        fleet.start(plan, rollout, world.observed)
        for agent_id, status in plan.requests.items():
            seen = world.observed[agent_id]
            assert seen is not None
            plan.members[agent_id] = life.accepted(plan.members[agent_id], status, at)
            world.observed[agent_id] = life.Observation(status.value, seen.thumbprint, seen.machine, seen.last_used)
        record = fleet.recorded(desired, plan.members, "")
        good = sum(1 for member in record.members.values() if life.good(member))
        counted = tally(record.members, rollout)
        pending, overdue = record.pending_ids(), set(record.overdue_ids())
        waiting = len(counted.queued) + sum(1 for agent_id in pending if agent_id not in overdue)
        past.append(Hour(number, len(plan.requests), len(pending), waiting, good, counted))
        if number >= 24 and not past[-24].open:
            break
    return past


def large() -> list[Hour]:
    """The simulation of the bench."""
    ids = _ids(MEMBERS)
    dead = random.Random(1).sample(ids, MEMBERS // 200)
    return simulate(
        World.of(ids, daily=0.295 / 0.995, dead=dead, failing={}),
        Rollout(waves=WAVES, max_failed="2%", overdue_after=3 * 24 * 3600),
        30 * 24,
    )


def worked() -> list[Hour]:
    """The example of docs/rollout.md: 400 orchestrators; one is dead, and four of a wave fail to renew."""
    ids = sorted(_ids(400))
    dead, failing = [ids[300]], dict.fromkeys(ids[20:24], 6 * 24)
    rollout = Rollout(waves=WAVES, canary_ids=frozenset(ids[:2]), max_failed="5%", overdue_after=3 * 24 * 3600)
    return simulate(World.of(ids, daily=0.3, dead=dead, failing=failing), rollout, 12 * 24)


def rollout() -> Section:
    """The section."""
    waves, plain = _run(Rollout(waves=WAVES)), _run(Rollout())
    with_waves, without = in_turns([waves, plain], _REPETITIONS)
    ratios = [ours / theirs for ours, theirs in zip(with_waves, without, strict=True)]
    aside = f"{min(with_waves) * 1e3:.0f} ms against {min(without) * 1e3:.0f} ms"
    past = large()
    draw(past)
    end = next((hour for hour in past if not hour.open), past[-1])
    posts = [ceil(hour.requested / _BATCH) for hour in past]
    rows = [
        Row(
            "run over 10,000 members during a roll-out, time over the same without",
            ratios,
            "x",
            Goal("at most", 1.1),
            aside,
        ),
        Row("10,000 members, waves of 5, 10 %, 100 %: days until done", [end.number / 24], ""),
        Row("the same: hourly runs until done", [end.number + 1], ""),
        Row("the same: runs that post", [sum(1 for count in posts if count)], ""),
        Row("the same: posts", [sum(posts)], ""),
        Row("the same: members requested", [sum(hour.requested for hour in past)], ""),
        Row(
            "the same: overdue members at the end",
            [len(end.counted.bad)],
            "",
            None,
            f"{end.counted.budget} allowed",
        ),
    ]
    return Section("Rolling out", HOW, rows)


def draw(past: Sequence[Hour]) -> None:
    """Draw how many were requested and how many are good, until a day after the end."""
    end = next((hour.number for hour in past if not hour.open), len(past) - 1)
    shown = past[: min(len(past), ceil(end / 24) * 24 + 1)]
    left, top, width, height = 70, 30, 560, 220
    hours, most = shown[-1].number or 1, past[0].counted.members

    def line(value: Callable[[Hour], int]) -> str:
        points, before = [], 0
        for hour in shown:
            x = left + width * hour.number / hours
            points += [(x, before), (x, value(hour))]
            before = value(hour)
        # Without points between two equal ones.
        steps = [next(group) for _, group in groupby(points[::-1], key=lambda point: point)][::-1]
        kept = [
            point
            for number, point in enumerate(steps)
            if number in (0, len(steps) - 1) or not steps[number - 1][1] == point[1] == steps[number + 1][1]
        ]
        return " ".join(f"{x:.1f},{top + height - height * count / most:.1f}" for x, count in kept)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {top + height + 50}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{most:,} orchestrators in waves of 5, 10 % and 100 %: requested, and re-enrolled and in use</title>",
        f'<rect width="{left + width + 30}" height="{top + height + 50}" fill="white"/>',
    ]
    for share in range(5):
        y = top + height - height * share / 4
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{most * share // 4:,}</text>')
    for day in range(hours // 24 + 1):
        x = left + width * day * 24 / hours
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + height}" y2="{top + height + 5}" stroke="#888"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 20}" text-anchor="middle">{day}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">days</text>')
    started = line(lambda hour: hour.counted.started)
    good = line(lambda hour: hour.good)
    parts.append(f'<polyline points="{started}" fill="none" stroke="#1f77b4" stroke-width="2" stroke-dasharray="6 3"/>')
    parts.append(f'<polyline points="{good}" fill="none" stroke="#2ca02c" stroke-width="2"/>')
    parts.append(f'<text x="{left + 10}" y="{top + 14}" fill="#1f77b4">- - requested</text>')
    parts.append(f'<text x="{left + 10}" y="{top + 32}" fill="#2ca02c">— re-enrolled and in use</text>')
    PICTURE.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _run(rollout: Rollout) -> Callable[[], object]:
    """A whole run of the core on a record in the middle of a roll-out."""
    ids = _ids(MEMBERS)
    world = World.of(ids, daily=0.3, dead=(), failing={})
    middle = Rollout(waves=("505", "100%"))
    desired = Desired("edge", frozenset(ids), ReenrollmentStatus.REQUESTED, rollout=middle)
    at = life.moment(_BEGIN, middle.deadline)
    plan = fleet.observe(fleet.members_of(Record("edge"), desired), {}, world.observed, at)
    fleet.start(plan, middle, world.observed)
    for agent_id, status in plan.requests.items():
        plan.members[agent_id] = life.accepted(plan.members[agent_id], status, at)
        seen = world.observed[agent_id]
        assert seen is not None
        world.observed[agent_id] = life.Observation(status.value, seen.thumbprint, seen.machine, seen.last_used)
    state = to_state(fleet.recorded(desired, plan.members, ""))
    wanted = Desired("edge", frozenset(ids), ReenrollmentStatus.REQUESTED, rollout=rollout)

    def run() -> object:
        record = from_state(state)
        fleet.forecast(record, wanted)
        now = life.moment(_BEGIN + timedelta(hours=1), rollout.deadline)
        plan = fleet.observe(fleet.members_of(record, wanted), {}, world.observed, now)
        fleet.start(plan, rollout, world.observed, only=())
        return to_state(fleet.recorded(wanted, plan.members, ""))

    return run


def _ids(count: int) -> list[str]:
    seeded = random.Random(count)
    return [str(uuid.UUID(int=seeded.getrandbits(128), version=4)) for _ in range(count)]


def _child() -> None:
    for name, past in (("The example of the docs", worked()), (f"{MEMBERS:,} members", large())):
        print(name)
        before: Hour | None = None
        for hour in past:
            counted = hour.counted
            moved = before is None or before.counted.blocked != counted.blocked or bool(before.open) != bool(hour.open)
            if moved or hour.requested or hour.number % 24 == 0:
                print(
                    f"day {hour.number // 24} {hour.number % 24:02}:00 requested {hour.requested} started "
                    f"{counted.started} pending {hour.pending} good {hour.good} queued {len(counted.queued)} bad "
                    f"{len(counted.bad)} of {counted.budget} {counted.blocked} {'' if hour.open else 'done'}"
                )
            before = hour
    draw(past)


if __name__ == "__main__":
    began = time.monotonic()
    _child()
    print(f"{time.monotonic() - began:.1f} s", file=sys.stderr)
