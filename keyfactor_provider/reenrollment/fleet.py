"""A whole fleet: what the next run would do, from the record alone, and what a run does, from a reading."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from keyfactor_provider.reenrollment import life
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.record import DRIFTED, Member, Phase, Record
from keyfactor_provider.status import ReenrollmentStatus


@dataclass(frozen=True)
class Forecast:
    """What a run would do, as far as state and desired can tell; it never depends on Command.

    Attributes:
        new_round: the triggers changed, or the desired left None.
        first: members asked for the first time in their round.
        again: members asked again: failed, drifted, or under a new status.
        cleared: members whose flag is cleared because the desired is None.
        taken_back: members that leave and may carry a flag of ours.
        let_go: members that leave and are only forgotten.
        left_alone: members for which nothing is to be done.
        reenrolled: those among `left_alone` that have re-enrolled in this round.
        new_status: another status is wanted than in the last run.
        options_changed: an option is to be recorded.
    """

    new_round: bool
    first: tuple[str, ...]
    again: tuple[str, ...]
    cleared: tuple[str, ...]
    taken_back: tuple[str, ...]
    let_go: tuple[str, ...]
    left_alone: tuple[str, ...]
    reenrolled: tuple[str, ...]
    new_status: bool
    options_changed: bool

    @property
    def changes(self) -> bool:
        """Whether there is anything for a run to do or to record."""
        return self.options_changed or bool(self.first or self.again or self.cleared or self.taken_back or self.let_go)


def forecast(record: Record, desired: Desired, claimed: Collection[str] = ()) -> Forecast:
    """What `up` would do for a fleet; `claimed` are GUIDs that another fleet of this run names."""
    triggered = _triggered(record, desired)
    first, again, cleared, left_alone, reenrolled = [], [], [], [], []
    for member_id in sorted(desired.members):
        recorded = record.members.get(member_id)
        member = life.enter(recorded, desired.status, triggered=triggered)
        if life.at_rest(member):
            left_alone.append(member_id)
            if member.phase is Phase.REENROLLED:
                reenrolled.append(member_id)
        elif desired.status is ReenrollmentStatus.NONE:
            cleared.append(member_id)
        elif member.asked is None and member.phase is Phase.DUE:
            first.append(member_id)
        else:
            again.append(member_id)
    taken_back: list[str] = []
    let_go: list[str] = []
    for member_id in sorted(record.members.keys() - desired.members):
        stays_ours = record.members[member_id].ours and desired.on_removal == "unset" and member_id not in claimed
        (taken_back if stays_ours else let_go).append(member_id)
    left_none = any(member.desired is ReenrollmentStatus.NONE for _, member in record.staying())
    return Forecast(
        new_round=bool(record.members) and desired.status is not ReenrollmentStatus.NONE and (triggered or left_none),
        first=tuple(first),
        again=tuple(again),
        cleared=tuple(cleared),
        taken_back=tuple(taken_back),
        let_go=tuple(let_go),
        left_alone=tuple(left_alone),
        reenrolled=tuple(reenrolled),
        new_status=bool(record.members) and record.status is not desired.status,
        options_changed=(record.status, record.on_removal, record.on_failure)
        != (desired.status, desired.on_removal, desired.on_failure),
    )


@dataclass
class Plan:
    """What a run does for a fleet after its reading; `members` is what will be recorded.

    Attributes:
        asks: the status to post for a member that stays.
        take_backs: members that leave, whose flag is to be taken back.
        warnings: what to say of a member although nothing failed.
        drift: the real flags of members that somebody else changed.
        sent: whether a call that asks was sent.
    """

    members: dict[str, Member]
    asks: dict[str, ReenrollmentStatus] = field(default_factory=dict)
    take_backs: dict[str, Member] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    drift: dict[str, str] = field(default_factory=dict)
    sent: bool = False

    def judge(self, member_id: str, seen: life.Observation | None) -> None:
        """Takes one reading of a member that stays into the plan."""
        judged = life.judge(self.members[member_id], seen)
        self.members[member_id] = judged.member
        self.asks.pop(member_id, None)
        if judged.ask is not None:
            self.asks[member_id] = judged.ask
        if judged.warning:
            self.warnings.append((member_id, judged.warning))
        if seen is not None and judged.member.phase in DRIFTED:
            self.drift[member_id] = seen.flag


def members_of(record: Record, desired: Desired) -> dict[str, Member]:
    """The members of a desired as they go into a run."""
    triggered = _triggered(record, desired)
    return {
        member_id: life.enter(record.members.get(member_id), desired.status, triggered=triggered)
        for member_id in desired.members
    }


def standing(seen: Iterable[life.Observation | None]) -> ReenrollmentStatus:
    """The status that stands among orchestrators that are taken over: the most urgent flag that any has."""
    flags = {each.flag for each in seen if each is not None}
    return next((status for status in reversed(ReenrollmentStatus) if status.value in flags), ReenrollmentStatus.NONE)


def goers(
    record: Record, desired: Desired | None, held: Mapping[str, frozenset[ReenrollmentStatus]]
) -> dict[str, Member]:
    """The members that leave and have to be looked at; None as the desired: the fleet itself goes.

    Args:
        held: the members of other fleets, and the flags that those call their own. A flag of this fleet that
            the other could not replace is still this fleet's to take back.
    """
    staying = desired.members if desired else frozenset()
    if (desired.on_removal if desired else record.on_removal) == "retain":
        return {}
    found = {}
    for member_id, member in record.members.items():
        left = member.ours - held.get(member_id, frozenset())
        if member_id not in staying and (left or member_id not in held):
            found[member_id] = replace(member, ours=left)
    return found


def plan(
    members: Mapping[str, Member], leaving: Mapping[str, Member], seen: Mapping[str, life.Observation | None]
) -> Plan:
    """What a run does, from a reading of every member that stays or leaves."""
    made = Plan(dict(members))
    for member_id in members:
        made.judge(member_id, seen[member_id])
    for member_id, member in leaving.items():
        departed = life.depart(member, seen[member_id])
        if departed.take_back:
            made.take_backs[member_id] = departed.member
        if departed.warning:
            made.warnings.append((member_id, departed.warning))
    return made


def plan_unread(members: Mapping[str, Member], leaving: Mapping[str, Member], reason: str) -> Plan:
    """What a run records when Command could not be read: nothing is known to have changed."""
    made = Plan(
        {
            member_id: member if life.at_rest(member) else life.unreached(member, reason, outcome_open=False)
            for member_id, member in members.items()
        }
    )
    made.members |= {member_id: life.leaving(member, reason) for member_id, member in leaving.items() if member.ours}
    return made


def recorded(desired: Desired, made: Plan, trouble: str) -> Record:
    """The record that a run leaves."""
    return Record(
        fleet=desired.fleet,
        status=desired.status,
        members=made.members,
        triggers=desired.triggers,
        on_removal=desired.on_removal,
        on_failure=desired.on_failure,
        trouble=trouble,
    )


def _triggered(record: Record, desired: Desired) -> bool:
    return bool(record.members) and dict(record.triggers) != dict(desired.triggers)
