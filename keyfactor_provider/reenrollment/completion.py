"""When a round counts as complete: its members re-enrolled and their new certificates in use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor

from keyfactor_provider.reenrollment.desired import share
from keyfactor_provider.reenrollment.life import Moment, Observation, good, judge
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.reenrollment.rollout import is_bad
from keyfactor_provider.reenrollment.words import describe

WITHOUT_USE = "new certificate issued; Command does not report it in use"


@dataclass
class Progress:
    """How far a round is.

    Attributes:
        complete: the members that count as complete.
        queued: the members that nothing was requested of yet; only another run of the fleet does.
        bad: why each of the bad members is, by GUID; they may still recover.
        waiting: what each of the others is waiting for, by GUID.
        warnings: what to know of members that count as complete although something is not as it should be.
    """

    complete: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


def round_of(members: Mapping[str, Member]) -> dict[str, str]:
    """What tells one round of a fleet from another: each member's desired status, and its certificate at the start."""
    return {
        member_id: f"{member.desired.value} since {member.baseline_thumbprint or 'no certificate'}"
        for member_id, member in members.items()
        if member.phase is not Phase.LEAVING
    }


def progress(members: Mapping[str, Member], observed: Mapping[str, Observation | None], at: Moment) -> Progress:
    """How far a fleet is, from its members' records and an observation of them."""
    made = Progress()
    for member_id, recorded in members.items():
        observation = observed[member_id]
        member = judge(recorded, observation, at).member
        if member.phase is Phase.SETTLED:
            made.complete.append(member_id)
            made.warnings[member_id] = "nothing is requested of it"
        elif good(member):
            made.complete.append(member_id)
            if member.reason:
                made.warnings[member_id] = member.reason
            elif observation is not None and observation.last_used is None:
                made.warnings[member_id] = WITHOUT_USE
        elif member.queued:
            made.queued.append(member_id)
        elif is_bad(member) or recorded.overdue:
            made.bad[member_id] = describe(member, overdue=recorded.overdue)
        else:
            made.waiting[member_id] = describe(member)
    return made


def allowed(max_failed: str, members: int) -> int:
    """How many members may not be good in a completion: a number, or a percent of all members, rounded down."""
    return floor(share(max_failed, members))
