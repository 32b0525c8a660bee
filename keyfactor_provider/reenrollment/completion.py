"""When a round is complete: every member has re-enrolled and its new certificate is in use."""

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
    """The progress of a round.

    Attributes:
        complete: the members that count as complete.
        queued: the members that were not requested yet; they need another run of the fleet.
        bad: the members that are bad, with the reason, by GUID; they may still recover.
        waiting: the state of all other members, by GUID.
        warnings: by GUID, what is wrong with members that nevertheless count as complete.
    """

    complete: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


def round_of(members: Mapping[str, Member]) -> dict[str, str]:
    """What identifies a round of a fleet: each member's desired status, and its certificate when the round began."""
    return {
        member_id: f"{member.desired.value} since {member.baseline_thumbprint or 'no certificate'}"
        for member_id, member in members.items()
        if member.phase is not Phase.LEAVING
    }


def progress(members: Mapping[str, Member], observed: Mapping[str, Observation | None], at: Moment) -> Progress:
    """The progress of a fleet's round, from its members' records and an observation of them."""
    result = Progress()
    for member_id, recorded in members.items():
        observation = observed[member_id]
        member = judge(recorded, observation, at).member
        if member.phase is Phase.SETTLED:
            result.complete.append(member_id)
            result.warnings[member_id] = "nothing is requested of it"
        elif good(member):
            result.complete.append(member_id)
            if member.reason:
                result.warnings[member_id] = member.reason
            elif observation is not None and observation.last_used is None:
                result.warnings[member_id] = WITHOUT_USE
        elif member.queued:
            result.queued.append(member_id)
        elif is_bad(member) or recorded.overdue:
            result.bad[member_id] = describe(member, overdue=recorded.overdue)
        else:
            result.waiting[member_id] = describe(member)
    return result


def allowed(max_failed: str, members: int) -> int:
    """How many members need not be good for a completion: a number, or a percent of all members, rounded down."""
    return floor(share(max_failed, members))
