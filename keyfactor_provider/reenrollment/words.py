"""The words for a member's phase in messages."""

from typing import Final

from keyfactor_provider.reenrollment.record import Member, Phase

_WORDS: Final = {
    Phase.DUE: "to be requested",
    Phase.PENDING: "pending",
    Phase.REENROLLED: "re-enrolled",
    Phase.UNVERIFIED: "unverified",
    Phase.SETTLED: "cleared",
    Phase.CHANGED: "changed outside this stack",
    Phase.CLEARED: "cleared outside this stack",
    Phase.REJECTED: "rejected by Command",
    Phase.UNREACHED: "not reached",
    Phase.MISSING: "not found in Command",
    Phase.LEAVING: "flag not cleared",
}


def word(member: Member) -> str:
    """A member's phase in words."""
    if member.queued:
        return "queued"
    if member.phase is Phase.REENROLLED and not member.in_use and not member.reason:
        return "re-enrolled, its new certificate not in use yet"
    return _WORDS[member.phase]


def describe(member: Member, *, overdue: bool = False) -> str:
    """A member's phase in words, with the time of its request and the reason if recorded."""
    parts = [word(member)]
    if member.requested_at and member.phase in (Phase.PENDING, Phase.UNVERIFIED, Phase.REENROLLED):
        parts.append(f"requested {member.requested_at}")
    if overdue or member.overdue:
        parts.append("overdue")
    text = ", ".join(parts)
    return f"{text} ({member.reason})" if member.reason else text
