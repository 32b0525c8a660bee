"""The life of one orchestrator in one round: what a reading means, what to ask, what an answer leaves.

A round is one desired for a new certificate. It begins when the orchestrator enters the fleet, when the
triggers change, or when the desired leaves None; the desired None closes it and forgets it.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from keyfactor_provider.reenrollment.record import FAILED, NONE_OURS, UNSEEN, Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

NONE: Final = ReenrollmentStatus.NONE

_AT_REST: Final = frozenset({Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED})
_ALONE: Final = {status.value: frozenset({status}) for status in ReenrollmentStatus}
_NOT_ASKED_SINCE: Final = frozenset({Phase.REFUSED, Phase.UNREACHED})


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What a reading of Command shows of one orchestrator.

    Attributes:
        flag: its AuthCertificateReenrollment; a status name, or the text of one nobody knows yet.
        thumbprint: the certificate that Command expects of it, upper case; None when it has none.
        last_used: the certificate it last presented; None when Command does not say.
        legacy: the certificate before a renewal, until it registers with the new one.
    """

    flag: str
    thumbprint: str | None
    machine: str = ""
    last_used: str | None = None
    legacy: str | None = None


class Judged(msgspec.Struct, frozen=True, gc=False):
    """What a reading makes of a member.

    Attributes:
        ask: the status to post for it now; None when nothing is to be asked.
        warning: what a user should know although nothing failed; empty when nothing.
    """

    member: Member
    ask: ReenrollmentStatus | None = None
    warning: str = ""


def enter(recorded: Member | None, desired: ReenrollmentStatus, *, triggered: bool) -> Member:
    """The member as it goes into a run with this desired, its round begun, continued or closed."""
    if recorded is None:
        return Member(desired, Phase.DUE)
    opens = triggered or recorded.phase is Phase.LEAVING or (recorded.desired is NONE and desired is not NONE)
    closes = desired is NONE and recorded.desired is not NONE
    if opens or closes:
        return Member(desired, Phase.DUE, ours=recorded.ours, machine=recorded.machine)
    if desired is recorded.desired:
        return recorded
    stays = recorded.phase is Phase.REENROLLED or recorded.phase in FAILED
    return (
        replace(recorded, desired=desired) if stays else replace(recorded, desired=desired, phase=Phase.DUE, reason="")
    )


def at_rest(member: Member) -> bool:
    """Whether the record alone says that nothing is to be asked of it."""
    return member.phase in _AT_REST


def judge(member: Member, seen: Observation | None) -> Judged:
    """What a reading means for a member; `seen` is None where Command has no such orchestrator.

    The rules are ordered, the first that matches wins (design: the life of one orchestrator in one round).
    """
    member = _noting(member, seen)
    if member.desired is NONE:
        return _judge_release(member, seen)
    if member.phase is Phase.REENROLLED:
        return Judged(member, warning=_oddity(member, seen))
    if seen is None:
        return Judged(replace(member, phase=Phase.MISSING, reason="no such orchestrator"))
    if seen.thumbprint is not None and seen.thumbprint != member.baseline:
        done = replace(member, phase=Phase.REENROLLED, reason="")
        return Judged(done, warning=_oddity(done, seen))
    if seen.flag == member.desired.value:
        return Judged(_holds(member, member.ours))
    if seen.flag != NONE.value:
        return Judged(_still_to_ask(member, Phase.CHANGED, f"its flag is {seen.flag}"), ask=member.desired)
    # Without a baseline there is no certificate now either, or the rule before the last would have matched.
    if member.asked is member.desired and member.baseline == "":
        reason = "its flag is gone and it has no certificate that could tell whether it re-enrolled"
        return Judged(replace(member, phase=Phase.UNVERIFIED, reason=reason))
    return Judged(_still_to_ask(member, Phase.CLEARED, "its flag was taken back"), ask=member.desired)


def accepted(member: Member, asked: ReenrollmentStatus) -> Member:
    """The member after Command accepted the request."""
    # Whatever stood there before, of ours or not, is overwritten.
    return _settled(member) if asked is NONE else _holds(member, NONE_OURS)


def refused(member: Member, reason: str) -> Member:
    """The member after Command turned the request down."""
    return replace(member, phase=Phase.REFUSED, reason=reason)


def unreached(member: Member, reason: str, *, outcome_open: bool) -> Member:
    """The member after a call that failed or was not sent; one that may have been carried out is ours."""
    ours = member.ours | {member.desired} if outcome_open and member.desired is not NONE else member.ours
    return replace(member, phase=Phase.UNREACHED, reason=reason, ours=ours)


class Departed(msgspec.Struct, frozen=True, gc=False):
    """A member that leaves: whether its flag is to be taken back first, or what to say of it."""

    member: Member
    take_back: bool = False
    warning: str = ""


def depart(member: Member, seen: Observation | None) -> Departed:
    """What is to be done for a member that leaves its fleet, whatever its phase."""
    member = _noting(member, seen)
    if seen is None:
        return Departed(member, warning="is gone from Command; there was nothing to take back" if member.ours else "")
    if member.ours or seen.flag == NONE.value:
        return Departed(member, take_back=bool(member.ours))
    return Departed(member, warning=f"keeps its flag {seen.flag}: somebody else set it")


def leaving(member: Member, reason: str) -> Member:
    """A member whose flag could not be taken back; the next run tries again."""
    return replace(member, phase=Phase.LEAVING, reason=reason)


def _noting(member: Member, seen: Observation | None) -> Member:
    if seen is None:
        return member
    standing = _ALONE.get(seen.flag, NONE_OURS)
    first = member.baseline is UNSEEN and member.desired is not NONE
    return replace(
        member,
        baseline=(seen.thumbprint or "") if first else member.baseline,
        ours=standing if standing <= member.ours else NONE_OURS,
        machine=seen.machine or member.machine,
    )


def _judge_release(member: Member, seen: Observation | None) -> Judged:
    if seen is None or seen.flag == NONE.value:
        return Judged(_settled(member))
    if member.phase in (Phase.SETTLED, Phase.CHANGED):
        return Judged(replace(member, phase=Phase.CHANGED, reason=f"its flag is {seen.flag}"), ask=NONE)
    return Judged(member, ask=NONE)


def _settled(member: Member) -> Member:
    return Member(NONE, Phase.SETTLED, machine=member.machine)


def _holds(member: Member, others: frozenset[ReenrollmentStatus]) -> Member:
    ours = others | _ALONE[member.desired.value] if others else _ALONE[member.desired.value]
    return replace(member, phase=Phase.PENDING, reason="", asked=member.desired, ours=ours)


def _still_to_ask(member: Member, drift: Phase, reason: str) -> Member:
    if member.phase in _NOT_ASKED_SINCE:
        return member
    if member.asked is member.desired:
        return replace(member, phase=drift, reason=reason)
    return member if member.phase is Phase.DUE else replace(member, phase=Phase.DUE, reason="")


def _oddity(member: Member, seen: Observation | None) -> str:
    if seen is None:
        return "re-enrolled and is gone from Command since"
    if seen.flag in {status.value for status in member.ours}:
        return f"has re-enrolled, but its flag still stands at {seen.flag}; it is not asked again"
    return ""
