"""A whole fleet: the forecast of the next run from the record alone, and the plan of a run from an observation."""

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
    """What a run would do, judged by record and desired state; independent of Command and of the clock.

    Attributes:
        new_round: the triggers changed, or the desired status changed from None.
        first: members requested for the first time in their round; in a roll-out, as many as the current wave has
            room for.
        again: members requested again: failed, drifted, or under a new status.
        cleared: members whose flag is cleared because the desired status is None.
        unsure: those among `cleared` with no flag on record; only the run can tell whether one is set.
        removed: removed members that may have a flag that the fleet owns.
        forgotten: removed members without such a flag, or whose flag is retained.
        unchanged: members that need nothing.
        reenrolled: those among `unchanged` that have re-enrolled in this round.
        counted: the state of the roll-out before the run.
        new_status: the desired status differs from that of the last run.
        options_changed: the status or an option differs from what is recorded.
        unfinished: the roll-out has members whose progress only Command knows: queued, pending, or not yet in use.
        fails: the run would fail because of what is already recorded.
    """

    new_round: bool
    first: tuple[str, ...]
    again: tuple[str, ...]
    cleared: tuple[str, ...]
    unsure: frozenset[str]
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
        """Whether, judged by the record, a run would do anything: request, clear, record, or fail."""
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
            unfinished |= member.phase is Phase.PENDING
            if member.phase is Phase.REENROLLED:
                reenrolled.append(member_id)
                unfinished |= has_started(member) and not life.good(member)
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
        unsure=frozenset(member_id for member_id in cleared if not members[member_id].owned_flags),
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
    """What a run does for a fleet after its observation.

    Attributes:
        members: the members to record.
        requests: the status to post, by member that stays.
        clears: removed members whose flag is to be cleared.
        warnings: by member, what the user should know although nothing failed.
        drift: the observed flags of members whose flag was changed or cleared outside this stack.
        selected: members that start in this run.
        counted: the state of the roll-out when they were selected.
    """

    members: dict[str, Member]
    requests: dict[str, ReenrollmentStatus] = field(default_factory=dict)
    clears: dict[str, Member] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    drift: dict[str, str] = field(default_factory=dict)
    selected: tuple[str, ...] = ()
    counted: Tally | None = None

    def judge(self, member_id: str, observed: life.Observation | None, at: life.Moment) -> None:
        """Updates the plan with the observation of a member that stays."""
        judged = life.judge(self.members[member_id], observed, at)
        self.members[member_id] = judged.member
        if judged.request is not None and not judged.member.queued:
            self.requests[member_id] = judged.request
        if judged.warning:
            self.warnings.append((member_id, judged.warning))
        if observed is not None and judged.member.phase in DRIFTED:
            self.drift[member_id] = observed.flag


def members_of(record: Record, desired: Desired) -> dict[str, Member]:
    """The desired members as they enter a run."""
    triggered = _triggered(record, desired)
    return {
        member_id: life.enter(record.members.get(member_id), desired.status, triggered=triggered)
        for member_id in desired.members
    }


def standing(observed: Iterable[life.Observation | None]) -> ReenrollmentStatus:
    """The desired status of orchestrators that are imported: the most urgent flag that any of them has."""
    flags = {observation.flag for observation in observed if observation is not None}
    return next((status for status in reversed(ReenrollmentStatus) if status.value in flags), ReenrollmentStatus.NONE)


def removed_from(
    record: Record, desired: Desired | None, held: Mapping[str, frozenset[ReenrollmentStatus]]
) -> dict[str, Member]:
    """The removed members that have to be observed, with the flags that are this fleet's to clear.

    Args:
        desired: None if the fleet itself is destroyed.
        held: the members that another fleet of this run holds, with the flags that it owns; these are not cleared.
    """
    staying = desired.members if desired else frozenset()
    if (desired.on_removal if desired else record.on_removal) == "retain":
        return {}
    removed = {}
    for member_id, member in record.members.items():
        owned = member.owned_flags - held.get(member_id, frozenset())
        if member_id not in staying and (owned or member_id not in held):
            removed[member_id] = replace(member, owned_flags=owned)
    return removed


def doubtful(record: Record, members: Mapping[str, Member], observed: Observed, at: life.Moment) -> list[str]:
    """Members that begin a round with an observation that may predate the last request; observe them again.

    A stale observation must not become the baseline: the orchestrator may already hold its new certificate.
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
    """The plan that follows from an observation of all members, staying and leaving; `start` selects queued ones."""
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
    """Selects the queued members that start in this run, and plans their requests.

    Args:
        only: the members that may start; None for no restriction.
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
    """The plan of a run that could not read Command: members keep their phase, and no request is made."""
    plan = Plan(dict(members))
    plan.members |= {
        member_id: life.leaving(member, reason) for member_id, member in leaving.items() if member.owned_flags
    }
    return plan


def recorded(desired: Desired, members: Mapping[str, Member], trouble: str) -> Record:
    """The record that a run leaves behind."""
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


def _triggered(record: Record, desired: Desired) -> bool:
    return bool(record.members) and dict(record.triggers) != dict(desired.triggers)
