"""What a user reads about a fleet: one line before a run, the failures after it."""

from collections.abc import Iterable, Sequence
from typing import Final

from keyfactor_provider.errors import ReenrollmentFailed
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.fleet import Forecast
from keyfactor_provider.reenrollment.record import DRIFTED, FAILED, Phase, Record

MOST_NAMED: Final = 20
"""No message names more orchestrators than this; the state has the rest."""

_MEANING: Final = {
    Phase.REFUSED: "refused by Command",
    Phase.UNREACHED: "not reached",
    Phase.MISSING: "missing",
    Phase.LEAVING: "not released",
}


def title(fleet: str) -> str:
    """How a message on a fleet begins."""
    return f'Fleet "{fleet}": '


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Names joined by commas, at most `most` of them, with the number of those left out."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more (the state has them all)" if len(names) > most else shown


def each_of(names: Sequence[str], said: str) -> str:
    """A sentence on one or more orchestrators, of each of which the same is to be said."""
    if len(names) == 1:
        return f"{names[0]} {said}."
    return f"each of {count(len(names))} {said}. They are {listed(names)}."


def count(number: int, noun: str = "orchestrator") -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def intent(desired: Desired, ahead: Forecast) -> str:
    """The one line that says what the next run will do for a fleet."""
    status = desired.status.value
    parts = [
        f"asks {count(len(ahead.first))} ({status})" if ahead.first else "",
        f"asks {len(ahead.again)} again ({status})" if ahead.again else "",
        f"clears the flag of {count(len(ahead.cleared))}" if ahead.cleared else "",
        f"takes back the request of {len(ahead.taken_back)}" if ahead.taken_back else "",
        f"forgets {len(ahead.let_go)}" if ahead.let_go else "",
        f"leaves {len(ahead.left_alone)} alone" if ahead.left_alone else "",
    ]
    doing = ", ".join(part for part in parts if part)
    opening = "a new round: " if ahead.new_round else ""
    line = f"{title(desired.fleet)}{opening}{doing or 'records its options'}."
    if ahead.reenrolled and (ahead.again or ahead.new_status):
        line += (
            f" {len(ahead.reenrolled)} of those left alone have re-enrolled in this round; "
            "a change of triggers starts a new one."
        )
    return line


def retry(record: Record, ahead: Forecast) -> list[str]:
    """The warnings that name the members with which the last run failed, and which the next one tries again."""
    asked = {*ahead.again, *ahead.cleared}
    failed = [member_id for member_id in record.having(*FAILED) if member_id in asked]
    stuck = [member_id for member_id in record.having(Phase.LEAVING) if member_id in ahead.taken_back]
    return [
        f"{title(record.fleet)}{count(len(members))} {what}: {_by_reason(record, members)}."
        for members, what in (
            (failed, "failed in the last run and will be asked again"),
            (stuck, "could not be released in the last run, which will be tried again"),
        )
        if members
    ]


def drifted(record: Record, member_ids: Iterable[str]) -> str:
    """The warning that names the members whose flag somebody else moved; empty when there are none."""
    moved = [member_id for member_id in sorted(member_ids) if record.members[member_id].phase in DRIFTED]
    if not moved:
        return ""
    names = [f"{record.name(member_id)}: {record.members[member_id].reason}" for member_id in moved]
    return (
        f"{title(record.fleet)}the flag of {count(len(moved))} was moved by somebody else and will be set again: "
        f"{listed(names)}."
    )


def failure(record: Record) -> ReenrollmentFailed | None:
    """The error that a run with failed members ends with; None when none failed."""
    failed = record.having(*FAILED)
    stuck = record.having(Phase.LEAVING)
    if not failed and not stuck:
        return None
    total = sum(1 for _ in record.staying())
    parts = []
    if failed:
        parts.append(f"{len(failed)} of {count(total)} failed")
    if stuck:
        parts.append(f"{count(len(stuck))} that left could not be released")
    rest = [
        f"{len(record.having(phase))} {phase.value}"
        for phase in (Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED)
        if record.having(phase)
    ]
    kept = f"The others are recorded: {', '.join(rest)}. " if rest else ""
    trouble = f"{record.trouble} " if record.trouble else ""
    again = "asks the failed ones alone" if failed else "tries again"
    return ReenrollmentFailed(
        f"{title(record.fleet)}{' and '.join(parts)}",
        _by_reason(record, failed + stuck),
        f"{trouble}{kept}The next run {again}.",
    )


def _by_reason(record: Record, member_ids: Sequence[str]) -> str:
    """Members grouped by what went wrong, at most MOST_NAMED of them named in all."""
    groups: dict[str, list[str]] = {}
    for member_id in member_ids:
        member = record.members[member_id]
        meaning = _MEANING.get(member.phase, member.phase.value)
        groups.setdefault(f"{meaning} ({member.reason})" if member.reason else meaning, []).append(member_id)
    named, parts = 0, []
    for reason, ids in groups.items():
        most = max(0, MOST_NAMED - named)
        named += min(len(ids), most)
        names = listed([record.name(member_id) for member_id in ids], most) if most else "named in the state"
        parts.append(f"{len(ids)} {reason}: {names}")
    return "; ".join(parts)
