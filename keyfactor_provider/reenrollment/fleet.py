"""A whole fleet: what the next run would do, from the record alone, and what a run does, from an observation."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from keyfactor_provider.reenrollment import life
from keyfactor_provider.reenrollment.desired import Desired, Rollout
from keyfactor_provider.reenrollment.record import DRIFTED, Member, Phase, Record
from keyfactor_provider.reenrollment.rollout import Tally, has_started, select, tally
from keyfactor_provider.status import ReenrollmentStatus

Observed = Mapping[str, life.Observation | None]


@dataclass(frozen=True)
class Forecast:
    """What a run would do, as far as record and desired state can tell; it never depends on Command or a clock.

    Attributes:
        new_round: the triggers changed, or the desired status left None.
        first: members requested for the first time in their round; in a roll-out those that the present wave has room
            for.
        again: members requested again: failed, drifted, or under a new status.
        cleared: members whose flag is cleared because the desired status is None.
        removed: members that were removed and may carry a flag that the fleet owns.
        forgotten: members that were removed and are only forgotten.
        unchanged: members for which nothing is to be done.
        reenrolled: those among `unchanged` that have re-enrolled in this round.
        counted: where the roll-out stands before the run.
        new_status: another status is desired than in the last run.
        options_changed: an option is to be recorded.
        unfinished: members of a roll-out that only a look at Command can tell more of: queued, pending, or not in use.
        fails: the run would fail by what is recorded already.
    """

    new_round: bool
    first: tuple[str, ...]
    again: tuple[str, ...]
    cleared: tuple[str, ...]
    removed: tuple[str, ...]
    forgotten: tuple[str, ...]
    unchanged: tuple[str, ...]
    reenrolled: tuple[str, ...]
    counted: Tally
    new_status: bool
    options_changed: bool
    unfinished: bool
    fails: bool

    @property
    def queued(self) -> tuple[str, ...]:
        """The members that stay queued."""
        selected = set(self.first)
        return tuple(member_id for member_id in self.counted.queued if member_id not in selected)

    @property
    def changes(self) -> bool:
        """Whether a run would request, clear, record or fail anything by what is recorded."""
        acts = self.first or self.again or self.cleared or self.removed or self.forgotten
        return self.options_changed or self.fails or bool(acts)


def forecast(record: Record, desired: Desired) -> Forecast:
    """What a run would do for a fleet."""
    members = members_of(record, desired)
    counted = tally(members, desired.rollout)
    first = set(select(counted, desired.rollout))
    again, cleared, unchanged, reenrolled, unfinished = [], [], [], [], False
    for member_id in sorted(members):
        member = members[member_id]
        if member_id in first:
            continue
        if member.queued:
            unfinished = True
        elif life.at_rest(member):
            unchanged.append(member_id)
            if member.phase is Phase.REENROLLED:
                reenrolled.append(member_id)
            unfinished |= member.phase is Phase.PENDING or (has_started(member) and _unused(member))
        elif desired.status is ReenrollmentStatus.NONE:
            cleared.append(member_id)
        else:
            again.append(member_id)
    removed: list[str] = []
    forgotten: list[str] = []
    for member_id in sorted(record.members.keys() - desired.members):
        owned = record.members[member_id].owned_flags and desired.on_removal == "unset"
        (removed if owned else forgotten).append(member_id)
    left_none = any(member.desired is ReenrollmentStatus.NONE for _, member in record.staying())
    opens = _triggered(record, desired) or left_none
    return Forecast(
        new_round=bool(record.members) and desired.status is not ReenrollmentStatus.NONE and opens,
        first=tuple(sorted(first)),
        again=tuple(again),
        cleared=tuple(cleared),
        removed=tuple(removed),
        forgotten=tuple(forgotten),
        unchanged=tuple(unchanged),
        reenrolled=tuple(reenrolled),
        counted=counted,
        new_status=bool(record.members) and record.status is not desired.status,
        options_changed=(record.status, record.on_removal, record.on_failure, record.rollout)
        != (desired.status, desired.on_removal, desired.on_failure, desired.rollout),
        unfinished=unfinished and desired.rollout.limited,
        fails=counted.over_budget or bool(record.trouble),
    )


@dataclass
class Plan:
    """What a run does for a fleet after its observation; `members` is what will be recorded.

    Attributes:
        requests: the status to post for a member that stays.
        clears: members that were removed, whose flag is to be cleared.
        warnings: what to say of a member although nothing failed.
        drift: the real flags of members whose flag was changed or cleared outside this stack.
        selected: members that start in this run.
        counted: where the roll-out stood when they were selected.
    """

    members: dict[str, Member]
    requests: dict[str, ReenrollmentStatus] = field(default_factory=dict)
    clears: dict[str, Member] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    drift: dict[str, str] = field(default_factory=dict)
    selected: tuple[str, ...] = ()
    counted: Tally | None = None

    def judge(self, member_id: str, observed: life.Observation | None, at: life.Moment) -> None:
        """Takes one observation of a member that stays into the plan."""
        judged = life.judge(self.members[member_id], observed, at)
        self.members[member_id] = judged.member
        if judged.request is not None and not judged.member.queued:
            self.requests[member_id] = judged.request
        if judged.warning:
            self.warnings.append((member_id, judged.warning))
        if observed is not None and judged.member.phase in DRIFTED:
            self.drift[member_id] = observed.flag


def members_of(record: Record, desired: Desired) -> dict[str, Member]:
    """The members that are desired, as they go into a run."""
    triggered = _triggered(record, desired)
    return {
        member_id: life.enter(record.members.get(member_id), desired.status, triggered=triggered)
        for member_id in desired.members
    }


def standing(observed: Iterable[life.Observation | None]) -> ReenrollmentStatus:
    """The status that stands among orchestrators that are taken over: the most urgent flag that any has."""
    flags = {one.flag for one in observed if one is not None}
    return next((status for status in reversed(ReenrollmentStatus) if status.value in flags), ReenrollmentStatus.NONE)


def removed_from(
    record: Record, desired: Desired | None, held: Mapping[str, frozenset[ReenrollmentStatus]]
) -> dict[str, Member]:
    """The members that leave and have to be looked at; None as the desired state: the fleet itself goes.

    Args:
        held: the members that another fleet of this run holds, and the flags that it owns. A flag of this fleet that
            the other one does not own is still this fleet's to clear.
    """
    staying = desired.members if desired else frozenset()
    if (desired.on_removal if desired else record.on_removal) == "retain":
        return {}
    found = {}
    for member_id, member in record.members.items():
        owned = member.owned_flags - held.get(member_id, frozenset())
        if member_id not in staying and (owned or member_id not in held):
            found[member_id] = replace(member, owned_flags=owned)
    return found


def doubtful(record: Record, members: Mapping[str, Member], observed: Observed, at: life.Moment) -> list[str]:
    """Members whose round begins with an observation that may be older than the last request; look again.

    A stale observation never gives a baseline: the orchestrator may hold its new certificate already.
    """
    return [
        member_id
        for member_id, member in members.items()
        if member_id in record.members
        and member is not record.members[member_id]
        and member.desired is not ReenrollmentStatus.NONE
        and not member.requested_status
        and life.stale(record.members[member_id], observed[member_id], at)
    ]


def observe(members: Mapping[str, Member], leaving: Mapping[str, Member], observed: Observed, at: life.Moment) -> Plan:
    """What an observation makes of every member that stays or leaves; no further member is selected."""
    plan = Plan(dict(members))
    for member_id in members:
        plan.judge(member_id, observed[member_id], at)
    for member_id, member in leaving.items():
        departed = life.depart(member, observed[member_id], at)
        if departed.clear:
            plan.clears[member_id] = departed.member
        if departed.warning:
            plan.warnings.append((member_id, departed.warning))
    return plan


def start(plan: Plan, rollout: Rollout, observed: Observed, only: Collection[str] | None = None) -> None:
    """Selects who starts in this run, and plans their requests.

    Args:
        only: the members that may start; None if all may.
    """
    queued = sorted(member_id for member_id, member in plan.members.items() if member.queued)
    if not queued:
        return
    plan.counted = tally(plan.members, rollout)
    selected = select(plan.counted, rollout)
    plan.selected = selected if only is None else tuple(member_id for member_id in selected if member_id in only)
    for member_id in plan.selected:
        member = plan.members[member_id]
        if observed[member_id] is None:
            plan.members[member_id] = life.missing(member)
        else:
            plan.requests[member_id] = member.desired
    waiting = set(queued).difference(plan.selected)
    plan.warnings += [
        (member_id, "not found in Command; it is queued and will fail when the roll-out reaches it")
        for member_id in sorted(waiting)
        if observed[member_id] is None
    ]


def unread(members: Mapping[str, Member], leaving: Mapping[str, Member], reason: str) -> Plan:
    """What a run records when Command could not be read: nothing is known to have changed."""
    plan = Plan(dict(members))
    plan.members |= {
        member_id: life.leaving(member, reason) for member_id, member in leaving.items() if member.owned_flags
    }
    return plan


def recorded(desired: Desired, members: Mapping[str, Member], trouble: str) -> Record:
    """The record that a run leaves."""
    return Record(
        fleet=desired.fleet,
        status=desired.status,
        members=members,
        triggers=desired.triggers,
        on_removal=desired.on_removal,
        on_failure=desired.on_failure,
        rollout=desired.rollout,
        trouble=trouble,
    )


def _unused(member: Member) -> bool:
    return member.phase is Phase.REENROLLED and not life.good(member)


def _triggered(record: Record, desired: Desired) -> bool:
    return bool(record.members) and dict(record.triggers) != dict(desired.triggers)
