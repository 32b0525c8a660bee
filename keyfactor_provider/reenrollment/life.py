"""The life of one orchestrator in one round: what an observation means, what to request, and what to record after.

A round is one demand for a new certificate. It begins when the orchestrator enters the fleet, when the triggers
change, or when the desired status changes from None; the desired status None ends it and discards its record.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from keyfactor_provider.reenrollment.record import FAILED, GONE, NO_FLAGS, UNSEEN, Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

NONE: Final = ReenrollmentStatus.NONE

STALE_FOR: Final = timedelta(seconds=60)
"""How long Command may still show the old state after it accepted a request (observed on its API)."""

_AT_REST: Final = frozenset({Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED})
_ALONE: Final = {status.value: frozenset({status}) for status in ReenrollmentStatus}
_APPEARED: Final = "has appeared"


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What Command shows of one orchestrator at one moment.

    Attributes:
        flag: its AuthCertificateReenrollment: the name of a status, or the text of an unknown value.
        thumbprint: of the certificate that Command expects, in upper case; None if there is none.
        machine: its ClientMachine.
        last_used: thumbprint of the certificate that it last presented; None if Command does not say.
        legacy: thumbprint of the certificate before a renewal, until it registers with the new one.
    """

    flag: str
    thumbprint: str | None
    machine: str = ""
    last_used: str | None = None
    legacy: str | None = None

    @property
    def in_use(self) -> bool:
        """Whether its certificate was presented; if Command does not say, an issued certificate counts as in use."""
        return self.last_used is None or (self.last_used == self.thumbprint and self.legacy is None)


class Moment(msgspec.Struct, frozen=True):
    """The time of an observation, and the limits that follow; in the recorded form, which sorts chronologically.

    Attributes:
        now: the time of the observation.
        stale_after: Command may not show the effect of requests accepted after this time yet.
        overdue_before: members requested before this time are overdue; empty if there is no limit.
    """

    now: str
    stale_after: str
    overdue_before: str = ""


def moment(now: datetime, overdue_after: int | None = None) -> Moment:
    """The moment of an observation.

    Args:
        overdue_after: seconds; None if members never become overdue.
    """
    before = _written(now - timedelta(seconds=overdue_after)) if overdue_after is not None else ""
    return Moment(_written(now), _written(now - STALE_FOR), before)


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A member after an observation, and what to do for it.

    Attributes:
        request: the status to post; None for no request.
        warning: what the user should know although nothing failed; may be empty.
    """

    member: Member
    request: ReenrollmentStatus | None = None
    warning: str = ""


def enter(recorded: Member | None, desired: ReenrollmentStatus, *, triggered: bool) -> Member:
    """The member as it enters a run, with its round begun, continued or ended."""
    if recorded is None:
        return Member(desired, Phase.DUE)
    opens = triggered or recorded.phase is Phase.LEAVING or (recorded.desired is NONE and desired is not NONE)
    closes = desired is NONE and recorded.desired is not NONE
    if opens or closes:
        return Member(
            desired,
            Phase.DUE,
            owned_flags=recorded.owned_flags,
            machine=recorded.machine,
            accepted_at=recorded.accepted_at,
        )
    if desired is recorded.desired:
        return recorded
    if recorded.phase is Phase.REENROLLED or recorded.phase in FAILED:
        return replace(recorded, desired=desired)
    return replace(recorded, desired=desired, phase=Phase.DUE, reason="")


def at_rest(member: Member) -> bool:
    """Whether the record alone shows that the member needs no request."""
    return member.phase in _AT_REST


def good(member: Member) -> bool:
    """Whether it has re-enrolled and its certificate is in use, or it has been deleted since."""
    return member.phase is Phase.REENROLLED and (member.in_use or member.reason == GONE)


def stale(member: Member, observed: Observation | None, at: Moment) -> bool:
    """Whether the observation may predate the last request that Command accepted for this member."""
    return (
        observed is not None
        and at.stale_after < member.accepted_at <= at.now
        and observed.flag not in member.owned_flags
        and (member.baseline_thumbprint is UNSEEN or (observed.thumbprint or "") == member.baseline_thumbprint)
    )


def judge(member: Member, observed: Observation | None, at: Moment) -> Judged:
    """Applies the first rule that matches an observation of a member.

    Args:
        observed: None if Command has no such orchestrator.
    """
    doubtful = stale(member, observed, at)
    judged = _judge(_noting(member, observed, at, doubtful=doubtful), observed, at, doubtful=doubtful)
    overdue = (
        judged.member.desired is not NONE
        and "" < judged.member.requested_at < at.overdue_before
        and not good(judged.member)
    )
    if overdue is judged.member.overdue:
        return judged
    return Judged(replace(judged.member, overdue=overdue), judged.request, judged.warning)


def _judge(member: Member, observed: Observation | None, at: Moment, *, doubtful: bool) -> Judged:
    if member.desired is NONE:
        return _judge_clearing(member, observed, doubtful=doubtful)
    if member.phase is Phase.REENROLLED:
        return _judge_reenrolled(member, observed)
    if observed is None:
        # A queued member fails only once it is selected.
        return Judged(member if member.queued else missing(member))
    if observed.thumbprint is not None and observed.thumbprint != member.baseline_thumbprint:
        renewed = replace(member, phase=Phase.REENROLLED, reason="", reenrolled_at=at.now)
        return _judge_reenrolled(renewed, observed)
    if observed.flag == member.desired:
        return Judged(_adopted(member, at))
    if doubtful and member.phase is Phase.PENDING:
        return Judged(member)
    if observed.flag != NONE:
        flag_is = f"its flag is {observed.flag}"
        return Judged(_to_be_requested(member, Phase.CHANGED, flag_is, otherwise=flag_is), member.desired)
    # With no certificate at the baseline there is none now either: otherwise an earlier rule would have matched.
    if member.requested_status is member.desired and member.baseline_thumbprint == "":
        reason = "its flag is cleared and it has no certificate that could tell whether it re-enrolled"
        return Judged(replace(member, phase=Phase.UNVERIFIED, reason=reason))
    return Judged(_to_be_requested(member, Phase.CLEARED, "its flag was cleared"), member.desired)


def accepted(member: Member, status: ReenrollmentStatus, at: Moment) -> Member:
    """The member after Command accepted the request."""
    if status is NONE:
        return _settled(member)
    first = not member.requested_at or member.requested_status is not status
    # The request has overwritten any earlier flag, owned or not.
    return replace(
        member,
        phase=Phase.PENDING,
        reason="",
        requested_status=status,
        owned_flags=_ALONE[status.value],
        requested_at=at.now if first else member.requested_at,
        accepted_at=at.now,
        overdue=member.overdue and not first,
    )


def rejected(member: Member, reason: str) -> Member:
    """The member after Command rejected the request for it."""
    return replace(member, phase=Phase.REJECTED, reason=reason)


def missing(member: Member) -> Member:
    """The member when it should be requested but Command has no such orchestrator."""
    return replace(member, phase=Phase.MISSING, reason="")


def unreached(member: Member, reason: str, *, outcome_open: bool) -> Member:
    """The member after a call that failed or was not sent; a flag that the call may have set counts as owned."""
    owned = member.owned_flags
    if outcome_open and member.desired is not NONE:
        owned = owned | {member.desired}
    return replace(member, phase=Phase.UNREACHED, reason=reason, owned_flags=owned)


class Departed(msgspec.Struct, frozen=True, gc=False):
    """A removed member: whether its flag has to be cleared, or else what to warn about."""

    member: Member
    clear: bool = False
    warning: str = ""


def depart(member: Member, observed: Observation | None, at: Moment) -> Departed:
    """What to do for a member, in any phase, that was removed from its fleet."""
    doubtful = stale(member, observed, at)
    member = _noting(member, observed, at, doubtful=doubtful)
    if observed is None:
        return Departed(member, warning="no longer in Command; nothing to clear" if member.owned_flags else "")
    if member.owned_flags or observed.flag == NONE:
        return Departed(member, clear=bool(member.owned_flags))
    return Departed(member, warning=f"flag left at {observed.flag}: not set by this stack")


def leaving(member: Member, reason: str) -> Member:
    """A removed member whose flag could not be cleared; the next run retries."""
    return replace(member, phase=Phase.LEAVING, reason=reason, overdue=False)


def _noting(member: Member, observed: Observation | None, at: Moment, *, doubtful: bool) -> Member:
    """The member with the facts that an observation gives in any phase."""
    requested_at = min(member.requested_at, at.now)
    if member.requested_status is not None and not requested_at:
        requested_at = at.now
    accepted_at = member.accepted_at if at.stale_after < member.accepted_at <= at.now else ""
    if observed is None:
        return replace(member, requested_at=requested_at, accepted_at=accepted_at)
    baseline = member.baseline_thumbprint
    if baseline is UNSEEN and member.desired is not NONE:
        baseline = observed.thumbprint or ""
    owned = member.owned_flags
    if not doubtful:
        standing = _ALONE.get(observed.flag, NO_FLAGS)
        owned = standing if standing <= owned else NO_FLAGS
    owned = owned or NO_FLAGS
    machine = observed.machine or member.machine
    noted = (baseline, owned, machine, requested_at, accepted_at)
    if noted == (
        member.baseline_thumbprint,
        member.owned_flags,
        member.machine,
        member.requested_at,
        member.accepted_at,
    ):
        return member
    return replace(
        member,
        baseline_thumbprint=baseline,
        owned_flags=owned,
        machine=machine,
        requested_at=requested_at,
        accepted_at=accepted_at,
    )


def _judge_clearing(member: Member, observed: Observation | None, *, doubtful: bool) -> Judged:
    if observed is None or (observed.flag == NONE and not doubtful):
        return Judged(_settled(member))
    if member.phase in (Phase.SETTLED, Phase.CHANGED):
        return Judged(replace(member, phase=Phase.CHANGED, reason=f"its flag is {observed.flag}"), NONE)
    return Judged(member, NONE)


def _judge_reenrolled(member: Member, observed: Observation | None) -> Judged:
    if observed is None:
        return Judged(replace(member, reason=GONE), warning=GONE)
    in_use = member.in_use or observed.in_use
    if in_use != member.in_use or member.reason:
        member = replace(member, in_use=in_use, reason="")
    if observed.flag in member.owned_flags:
        return Judged(member, warning=f"re-enrolled, but its flag still stands at {observed.flag}; not requested again")
    return Judged(member)


def _settled(member: Member) -> Member:
    return Member(NONE, Phase.SETTLED, machine=member.machine)


def _adopted(member: Member, at: Moment) -> Member:
    return replace(
        member,
        phase=Phase.PENDING,
        reason="",
        requested_status=member.desired,
        owned_flags=member.owned_flags | _ALONE[member.desired.value],
        requested_at=member.requested_at or at.now,
    )


def _to_be_requested(member: Member, drift: Phase, reason: str, *, otherwise: str = "") -> Member:
    """The member until its request is posted: it stays failed, has drifted if it was requested, or else is due.

    Args:
        otherwise: the reason if it is due.
    """
    if member.phase in (Phase.REJECTED, Phase.UNREACHED):
        return member
    if member.phase is Phase.MISSING:
        return replace(member, reason=_APPEARED)
    if member.requested_status is member.desired:
        return replace(member, phase=drift, reason=reason)
    return replace(member, phase=Phase.DUE, reason=otherwise)


def _written(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
