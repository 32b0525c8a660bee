"""Rolling out: which members start, which wait, and when it halts; in tables and in random histories."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyfactor_provider.reenrollment import fleet, life, report
from keyfactor_provider.reenrollment.desired import Desired, Rollout, share
from keyfactor_provider.reenrollment.life import Observation, moment
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.reenrollment.rollout import has_started, is_bad, select, tally
from keyfactor_provider.status import ReenrollmentStatus

REQUESTED = ReenrollmentStatus.REQUESTED
IDS = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(200)]
T = "2026-11-26T12:00:00Z"

QUEUED = Member(REQUESTED, Phase.DUE, "AA")
PENDING = Member(REQUESTED, Phase.PENDING, "AA", requested_status=REQUESTED, requested_at=T)
GOOD = Member(REQUESTED, Phase.REENROLLED, "AA", requested_status=REQUESTED, requested_at=T, in_use=True)
UNUSED = Member(REQUESTED, Phase.REENROLLED, "AA", requested_status=REQUESTED, requested_at=T)
BY_ITSELF = Member(REQUESTED, Phase.REENROLLED, "AA", in_use=True)
REJECTED = Member(REQUESTED, Phase.REJECTED, "AA")
MISSING = Member(REQUESTED, Phase.MISSING)
OVERDUE = Member(REQUESTED, Phase.PENDING, "AA", requested_status=REQUESTED, requested_at=T, overdue=True)
UNREACHED = Member(REQUESTED, Phase.UNREACHED, "AA")
OTHER_FLAG = Member(REQUESTED, Phase.DUE, "AA", reason="its flag is Required")


def members(*groups: tuple[int, Member]) -> dict[str, Member]:
    flat = [member for count, member in groups for _ in range(count)]
    return dict(zip(IDS, flat, strict=False))


@pytest.mark.parametrize(
    ("group", "rollout", "starts"),
    [
        # without waves and canaries all start, whatever failed
        ([(10, QUEUED)], Rollout(), 10),
        ([(3, REJECTED), (7, QUEUED)], Rollout(), 7),
        ([(10, QUEUED)], Rollout(paused=True), 0),
        # a wave opens when the previous one is finished (good or bad) within the budget
        ([(100, QUEUED)], Rollout(waves=("5", "10%", "100%")), 5),
        ([(5, PENDING), (95, QUEUED)], Rollout(waves=("5", "10%", "100%")), 0),
        ([(3, PENDING), (97, QUEUED)], Rollout(waves=("5", "10%", "100%")), 2),
        ([(4, GOOD), (1, UNUSED), (95, QUEUED)], Rollout(waves=("5", "10%", "100%")), 0),
        ([(5, GOOD), (95, QUEUED)], Rollout(waves=("5", "10%", "100%")), 10),
        ([(15, GOOD), (85, QUEUED)], Rollout(waves=("5", "10%", "100%")), 85),
        ([(15, GOOD), (85, QUEUED)], Rollout(waves=("5", "10%")), 10),
        ([(25, GOOD), (75, QUEUED)], Rollout(waves=("5", "10%")), 10),
        ([(24, GOOD), (1, PENDING), (75, QUEUED)], Rollout(waves=("5", "10%")), 0),
        ([(98, GOOD), (2, QUEUED)], Rollout(waves=("5",)), 2),
        ([(3, QUEUED)], Rollout(waves=("1%",)), 1),
        ([(15, QUEUED)], Rollout(waves=("10%",)), 2),
        # a canary added late delays the next wave
        ([(51, GOOD), (1, PENDING), (48, QUEUED)], Rollout(waves=("5",), canary_ids=frozenset(IDS[51:52])), 0),
        # bad members
        ([(4, GOOD), (1, REJECTED), (95, QUEUED)], Rollout(waves=("5",)), 0),
        ([(4, GOOD), (1, REJECTED), (95, QUEUED)], Rollout(waves=("5",), max_failed="1"), 5),
        ([(4, GOOD), (1, OVERDUE), (95, QUEUED)], Rollout(waves=("5",), max_failed="1"), 5),
        ([(4, GOOD), (1, MISSING), (95, QUEUED)], Rollout(waves=("5",), max_failed="20%"), 5),
        ([(4, GOOD), (1, MISSING), (95, QUEUED)], Rollout(waves=("5",), max_failed="19%"), 0),
        ([(4, GOOD), (1, UNREACHED), (95, QUEUED)], Rollout(waves=("5",)), 0),
        # a flag set outside this stack counts as started, a re-enrollment without a request does not
        ([(5, OTHER_FLAG), (95, QUEUED)], Rollout(waves=("5",)), 0),
        ([(5, BY_ITSELF), (95, QUEUED)], Rollout(waves=("5",)), 5),
    ],
)
def test_as_many_start_as_the_current_wave_has_room_for(
    group: list[tuple[int, Member]], rollout: Rollout, starts: int
) -> None:
    fleet_ = members(*group)
    assert len(select(tally(fleet_, rollout), rollout)) == starts


@pytest.mark.parametrize(
    ("first", "starts"),
    [
        (QUEUED, IDS[:2]),
        (PENDING, []),
        (UNUSED, []),
        (GOOD, IDS[2:7]),
        (REJECTED, []),
        (OVERDUE, []),
        (BY_ITSELF, IDS[2:7]),
    ],
)
def test_no_other_member_starts_before_every_canary_is_good(first: Member, starts: list[str]) -> None:
    rollout = Rollout(waves=("5",), canary_ids=frozenset(IDS[:2]), max_failed="50%")
    fleet_ = members((2, first), (20, QUEUED))
    assert list(select(tally(fleet_, rollout), rollout)) == starts


def test_a_bad_canary_is_over_any_budget() -> None:
    rollout = Rollout(canary_ids=frozenset(IDS[:1]), max_failed="100%")
    assert tally(members((1, REJECTED), (9, QUEUED)), rollout).over_budget


def test_a_late_canary_starts_beyond_the_room() -> None:
    rollout = Rollout(waves=("5",), canary_ids=frozenset(IDS[50:51]))
    assert select(tally(members((5, PENDING), (95, QUEUED)), rollout), rollout) == (IDS[50],)


@given(st.integers(0, 100), st.integers(0, 10**6))
def test_percents_are_exact(percent: int, whole: int) -> None:
    assert share(f"{percent}%", whole) == Fraction(percent, 100) * whole


# Histories: orchestrators check in, fail, vanish or return between runs.


@dataclass
class World:
    """What Command shows, and how the orchestrators behave."""

    now: datetime
    agents: dict[str, Observation | None]
    rejects: set[str] = field(default_factory=set)
    down: bool = False
    fails_to_renew: set[str] = field(default_factory=set)

    def check_in(self, ids: list[str]) -> None:
        for guid in ids:
            agent = self.agents[guid]
            if agent is not None and agent.flag != "None" and guid not in self.fails_to_renew:
                new = f"{int(agent.thumbprint or '0', 16) + 1:040X}"
                self.agents[guid] = Observation("None", new, last_used=new)


@dataclass
class Run:
    """What one run did."""

    record: Record
    posted: set[str]
    started: tuple[str, ...]
    blocked: str
    room: int
    open_canaries: bool
    failed: bool


def run(world: World, before: Record, desired: Desired) -> Run:
    at = moment(world.now, desired.rollout.deadline)
    entering = fleet.members_of(before, desired)
    if world.down:
        after = fleet.recorded(desired, fleet.unread(entering, {}, "down").members, "down")
        return Run(after, set(), (), "down", 0, False, report.failure(after) is not None)
    plan = fleet.observe(entering, {}, world.agents, at)
    fleet.start(plan, desired.rollout, world.agents)
    posted = set(plan.requests)
    for guid in posted:
        agent = world.agents[guid]
        if guid in world.rejects or agent is None:
            plan.members[guid] = life.rejected(plan.members[guid], "listed")
        else:
            world.agents[guid] = Observation(REQUESTED.value, agent.thumbprint, last_used=agent.last_used)
            plan.members[guid] = life.accepted(plan.members[guid], REQUESTED, at)
    after = fleet.recorded(desired, plan.members, "")
    counted = plan.counted or tally(plan.members, desired.rollout)
    return Run(
        after,
        posted,
        plan.selected,
        counted.blocked,
        counted.room,
        bool(counted.open_canaries),
        report.failure(after) is not None,
    )


SIZES = st.sampled_from(["1", "3", "5", "10%", "50%", "100%"])


@st.composite
def rollouts(draw: st.DrawFn, ids: list[str]) -> Rollout:
    return Rollout(
        waves=tuple(draw(st.lists(SIZES, max_size=3))),
        canary_ids=frozenset(draw(st.lists(st.sampled_from(ids), max_size=2))),
        max_failed=draw(st.sampled_from(["0", "1", "10%", "50%"])),
        overdue_after=draw(st.sampled_from([None, 3600, 24 * 3600])),
        paused=draw(st.sampled_from([False] * 5 + [True])),
    )


EVENTS = st.sampled_from(["check in", "clear", "other flag", "vanish", "come back", "reject", "accept", "down"])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_invariants_hold_in_any_history(data: st.DataObject) -> None:
    ids = IDS[: data.draw(st.integers(1, 12))]
    desired = Desired("edge", frozenset(ids), REQUESTED, rollout=data.draw(rollouts(ids)))
    world = World(datetime(2026, 11, 26, tzinfo=UTC), {one: Observation("None", f"{1:040X}") for one in ids})
    before = Record("edge")
    for _ in range(data.draw(st.integers(1, 12))):
        world.now += timedelta(minutes=data.draw(st.sampled_from([2, 30, 120, 2000])))
        some = data.draw(st.lists(st.sampled_from(ids), max_size=4))
        _happen(world, data.draw(EVENTS), some)
        done = run(world, before, desired)
        _check_run(done, before, desired, world)
        before = done.record


def _happen(world: World, event: str, some: list[str]) -> None:
    world.down = event == "down"
    if event == "check in":
        world.check_in(some)
    elif event in ("reject", "accept"):
        world.rejects = set(some) if event == "reject" else set()
    else:
        for guid in some:
            agent = world.agents[guid]
            if event == "vanish":
                world.agents[guid] = None
            elif event == "come back" and agent is None:
                world.agents[guid] = Observation("None", f"{7:040X}")
            elif agent is not None and event in ("clear", "other flag"):
                flag = "None" if event == "clear" else "Required"
                world.agents[guid] = Observation(flag, agent.thumbprint, last_used=agent.last_used)


def _check_run(done: Run, before: Record, desired: Desired, world: World) -> None:
    rollout = desired.rollout
    record = done.record
    assert record.members.keys() == desired.members
    canaries = rollout.canary_ids
    if rollout.limited:
        others = [one for one in done.started if one not in canaries]
        assert len(others) <= done.room
        assert not others or not done.open_canaries
    if done.blocked:
        assert not done.started
    # The run fails exactly when the record says so.
    started = [member for member in record.members.values() if has_started(member)]
    bad = [one for one, member in record.members.items() if has_started(member) and is_bad(member)]
    over = len(bad) > floor(share(rollout.max_failed, len(started))) or bool(canaries.intersection(bad))
    assert done.failed is (over or world.down or bool(record.having(Phase.UNREACHED)))
    if world.down:
        kept = {one: member.phase for one, member in before.members.items()}
        assert not before.members or {one: member.phase for one, member in record.members.items()} == kept
        return
    # With the same clock and an unchanged world, a second run only posts retries.
    again = run(world, record, desired)
    fresh_bad = set(bad) & {*done.started, *done.posted}
    if not fresh_bad and not done.blocked:
        assert not again.started
    counted = tally(record.members, rollout)
    assert counted.started == len(started)
    if rollout.waves and not canaries:
        assert counted.members == len(desired.members)
        sizes = [max(1, ceil(share(size, counted.members))) for size in rollout.waves]
        assert counted.started <= counted.members
        assert all(size >= 1 for size in sizes)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_queue_empties_if_every_orchestrator_checks_in(data: st.DataObject) -> None:
    ids = IDS[: data.draw(st.integers(1, 40))]
    rollout: Any = data.draw(rollouts(ids))
    desired = Desired("edge", frozenset(ids), REQUESTED, rollout=Rollout(rollout.waves, rollout.canary_ids))
    world = World(datetime(2026, 11, 26, tzinfo=UTC), {one: Observation("None", f"{1:040X}") for one in ids})
    record = Record("edge")
    for _ in range(2 * len(ids) + 3):
        record = run(world, record, desired).record
        world.check_in(ids)
        world.now += timedelta(hours=1)
    assert all(life.good(member) for member in record.members.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_wave_ends_in_time_or_the_run_fails(data: st.DataObject) -> None:
    ids = IDS[: data.draw(st.integers(1, 30))]
    rollout = data.draw(rollouts(ids))
    desired = Desired(
        "edge", frozenset(ids), REQUESTED, rollout=Rollout(("5",), rollout.canary_ids, rollout.max_failed)
    )
    world = World(datetime(2026, 11, 26, tzinfo=UTC), {one: Observation("None", f"{1:040X}") for one in ids})
    world.fails_to_renew = set(data.draw(st.lists(st.sampled_from(ids), max_size=len(ids))))
    record = Record("edge")
    for _ in range(2 * len(ids) + 3):
        done = run(world, record, desired)
        record = done.record
        world.check_in(ids)
        world.now += timedelta(days=8)
    assert done.failed or not record.queued_ids()
