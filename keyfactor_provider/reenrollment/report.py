"""The messages about a fleet: what a run will do, what it did, and why it failed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from keyfactor_provider.errors import ReenrollmentFailed
from keyfactor_provider.messages import Message
from keyfactor_provider.reenrollment.desired import Desired, Rollout
from keyfactor_provider.reenrollment.fleet import Forecast
from keyfactor_provider.reenrollment.life import NONE, at_rest
from keyfactor_provider.reenrollment.record import DRIFTED, FAILED, Member, Phase, Record
from keyfactor_provider.reenrollment.rollout import Tally, has_started, is_bad, tally
from keyfactor_provider.reenrollment.words import describe
from keyfactor_provider.text import MOST_NAMED, count, listed

_SUMMARY: Final = 80
"""The most characters in a summary."""

Named = Callable[[str], str]


def forecast(desired: Desired, ahead: Forecast, named: Named, *, looks: bool = False) -> Message:
    """What the next run will do for a fleet.

    Args:
        named: gives the name of a member in messages.
        looks: the run observes Command before it decides, so the numbers of a roll-out are upper bounds.
    """
    status = desired.status.value
    upto = "up to " if looks and desired.rollout.limited else ""
    standing = [member_id for member_id in ahead.cleared if member_id not in ahead.unsure]
    clauses = [
        f"will request re-enrollment of {upto}{count(len(ahead.first))} ({status})" if ahead.first else "",
        f"will retry {count(len(ahead.again))} ({status})" if ahead.again else "",
        f"will clear the flag of {count(len(standing) + len(ahead.removed))}" if standing or ahead.removed else "",
        f"will clear any flag that stands on {count(len(ahead.unsure))}" if ahead.unsure else "",
        f"will forget {count(len(ahead.forgotten))}" if ahead.forgotten else "",
    ]
    acts = [clause for clause in clauses if clause] or ["will request nothing new"]
    stays = [
        f"{len(ahead.queued)} queued" if ahead.queued else "",
        f"{len(ahead.unchanged)} unchanged" if ahead.unchanged else "",
    ]
    summary, rest = _fitting([*acts, *(clause for clause in stays if clause)])
    details = [
        f"Also: {'; '.join(rest)}." if rest else "",
        "This starts a new round." if ahead.new_round else "",
        _standing(desired.rollout, ahead.counted),
        *(
            f"{what}: {listed([named(member_id) for member_id in ids])}."
            for what, ids in (
                ("First request", ahead.first),
                ("Retry", ahead.again),
                ("Clear", standing),
                ("Clear if a flag stands", sorted(ahead.unsure)),
                ("Removed, flag cleared", ahead.removed),
                ("Removed", ahead.forgotten),
            )
            if ids
        ),
        f"{count(len(ahead.reenrolled))} stay unchanged because they have re-enrolled in this round; "
        "a change of triggers starts a new one."
        if ahead.reenrolled and ahead.new_status
        else "",
    ]
    members = (*ahead.first, *ahead.again, *ahead.cleared, *ahead.removed)
    return Message(desired.fleet, "info", "forecast", summary, " ".join(filter(None, details)), members)


def unknown(
    fleet: str, record: Record | None, known: Iterable[str], what: Sequence[str], after: Sequence[str]
) -> Message:
    """The forecast for a fleet with arguments that are known only during the run.

    Args:
        known: the members that are already known.
        what: the arguments that are not known.
        after: the resources that these depend on.
    """
    behind = f" after {listed(list(after))}" if after else " during the run"
    may_clear = []
    if record is not None and "orchestrator_ids" in what and record.on_removal == "unset":
        staying = set(known)
        may_clear = [
            member_id for member_id, member in record.members.items() if member.owned_flags and member_id not in staying
        ]
    more = f"; may clear up to {len(may_clear)}" if may_clear else ""
    return Message(
        fleet,
        "info",
        "forecast-unknown",
        f"{' and '.join(what)} known{behind}{more}",
        f"Flags that may be cleared: {listed([record.name(member_id) for member_id in sorted(may_clear)])}."
        if record and may_clear
        else "",
    )


def retry(record: Record, ahead: Forecast) -> list[Message]:
    """Warnings that name the members that failed in the last run and will be retried."""
    requested = {*ahead.again, *ahead.cleared}
    failed = [member_id for member_id in record.having(*FAILED) if member_id in requested]
    stuck = [member_id for member_id in record.having(Phase.LEAVING) if member_id in ahead.removed]
    return [
        Message(
            record.fleet,
            "warning",
            "retry",
            f"{count(len(ids))} {what}",
            f"{_by_reason(record, ids)}.",
            tuple(ids),
        )
        for ids, what in (
            (failed, "failed in the last run and will be retried"),
            (stuck, "could not be cleared in the last run and will be retried"),
        )
        if ids
    ]


def drifted(record: Record, member_ids: Iterable[str]) -> list[Message]:
    """Warnings that name the members whose flag was changed or cleared outside this stack."""
    messages = []
    for phase, what in ((Phase.CLEARED, "cleared"), (Phase.CHANGED, "changed")):
        ids = [member_id for member_id in sorted(member_ids) if record.members[member_id].phase is phase]
        if not ids:
            continue
        flags = "flag" if len(ids) == 1 else "flags"
        names = [
            record.name(member_id) + (f" ({record.members[member_id].reason})" if phase is Phase.CHANGED else "")
            for member_id in ids
        ]
        messages.append(
            Message(
                record.fleet,
                "warning",
                "drift",
                f"{len(ids)} {flags} {what} outside this stack",
                f"{listed(names)}. The next run requests {'it' if len(ids) == 1 else 'them'} again.",
                tuple(ids),
            )
        )
    return messages


def outcome(record: Record, before: Record | None) -> Message:
    """What a run did for a fleet."""
    earlier: Mapping[str, Member] = before.members if before else {}
    requested = sum(
        1
        for member_id, member in record.members.items()
        if member.accepted_at and member.accepted_at != getattr(earlier.get(member_id), "accepted_at", "")
    )
    staying = dict(record.staying())
    counted = tally(staying, record.rollout)
    reenrolled = record.reenrolled_ids()
    in_use = sum(1 for member_id in reenrolled if record.members[member_id].in_use)
    cleared = len(record.having(Phase.SETTLED))
    parts = [
        f"requested {requested}" if requested else "",
        f"{len(record.pending_ids())} pending",
        f"{len(reenrolled)} re-enrolled ({in_use} in use)" if reenrolled else "",
        f"{len(counted.queued)} queued" if counted.queued else "",
        f"{len(record.overdue_ids())} overdue" if record.overdue_ids() else "",
        f"{len(record.failed_ids())} failed" if record.failed_ids() else "",
        f"{len(record.having(Phase.UNVERIFIED))} unverified" if record.having(Phase.UNVERIFIED) else "",
        f"{cleared} cleared" if cleared else "",
    ]
    if record.status is NONE:
        parts = [part for part in parts if not part.endswith(" pending")]
    summary, rest = _fitting([part for part in parts if part] or ["nothing requested"], ", ")
    detail = " ".join(filter(None, (f"Also {', '.join(rest)}." if rest else "", _standing(record.rollout, counted))))
    return Message(record.fleet, "info", "outcome", summary, detail)


def destroyed(record: Record, cleared: Sequence[str]) -> Message:
    """What the destruction of a fleet did."""
    kept = " (on_removal is retain)" if record.on_removal == "retain" else ""
    return Message(
        record.fleet,
        "info",
        "destroyed",
        f"cleared the flag of {count(len(cleared))}{kept}",
        f"{listed([record.name(member_id) for member_id in cleared])}." if cleared else "",
        tuple(cleared),
    )


def failure(record: Record) -> ReenrollmentFailed | None:
    """The error that ends a run; None if nothing failed, or no more than `max_failed` allows."""
    staying = dict(record.staying())
    counted = tally(staying, record.rollout)
    unreached = record.having(Phase.UNREACHED)
    stuck = record.having(Phase.LEAVING)
    unclear = [member_id for member_id in record.having(Phase.REJECTED) if record.members[member_id].desired is NONE]
    bad = list(counted.bad) if counted.over_budget else []
    failed = sorted({*bad, *unreached, *unclear})
    if not failed and not stuck and not record.trouble:
        return None
    parts = [
        f"{len(failed)} of {count(len(staying))} failed" if failed else "",
        f"{count(len(stuck))} removed, but not cleared" if stuck else "",
    ]
    summary = "; ".join(filter(None, parts)) or "Command could not be read"
    came_back = _by_reason(record, failed + stuck) if failed or stuck else record.trouble
    return ReenrollmentFailed(
        summary,
        came_back,
        " ".join(filter(None, _after_failure(record, counted, failed, stuck, came_back))),
        resource=record.fleet,
    )


def tolerated(failure: ReenrollmentFailed) -> Message:
    """A failure as a warning, for a fleet with on_failure="warn"."""
    return Message(
        failure.resource, "warning", "failure", failure.what, f"{failure.came_back.rstrip('.')}. {failure.next_step}"
    )


def stale_reading(fleet: str) -> Message:
    """Why a run waits before it begins a new round."""
    return Message(
        fleet,
        "info",
        "stale-reading",
        "waiting for Command to show its last change",
        "A new round begins within 60 s of the last request.",
    )


def stragglers(record: Record, about: Mapping[str, str]) -> list[Message]:
    """What Command reports about overdue and bad members: last seen, last error, version.

    Args:
        about: the report by GUID, made safe; shown but never stored.
    """
    ids = sorted(guid for guid, member in record.staying() if guid in about and has_started(member) and is_bad(member))
    if not ids:
        return []
    named = [f"{record.name(guid)}: {describe(record.members[guid])}; {about[guid]}" for guid in ids]
    return [
        Message(
            record.fleet,
            "warning",
            "stragglers",
            f"{count(len(ids))} overdue or rejected",
            f"{listed(named)}.",
            tuple(ids),
        )
    ]


def _after_failure(
    record: Record, counted: Tally, failed: Sequence[str], stuck: Sequence[str], came_back: str
) -> Iterable[str]:
    if record.trouble and record.trouble != came_back:
        yield record.trouble
    if counted.blocked == "halted":
        yield (
            f"The roll-out is halted: {len(counted.bad)} bad of {counted.started} started, {counted.budget} allowed"
            + (", and a canary is among them." if counted.bad_canaries else ".")
        )
    named = set(failed)
    others = {
        phase: sum(member_id not in named for member_id in record.having(phase))
        for phase in (Phase.PENDING, Phase.REENROLLED, Phase.UNVERIFIED, Phase.SETTLED)
    }
    if any(others.values()):
        rest = ", ".join(f"{number} {phase.value}" for phase, number in others.items() if number)
        yield f"The others are recorded: {rest}."
    retried = sum(not at_rest(record.members[member_id]) for member_id in failed)
    if retried:
        which = f"{retried} of them" if retried < len(failed) else "it" if retried == 1 else f"these {retried}"
        yield f"The next run retries {which}."
    if retried < len(failed):
        yield "Overdue members stay requested: find out why they have not re-enrolled."
    if failed:
        return
    if stuck:
        yield "The next run tries to clear them again."
    else:
        yield "Nothing else was changed. Run again once this is corrected."


def _standing(rollout: Rollout, counted: Tally) -> str:
    """The state of a roll-out in one sentence; empty if there is nothing to say."""
    if counted.blocked == "paused":
        return f"The roll-out is paused: {len(counted.queued)} queued." if counted.queued else ""
    if not rollout.limited or not (counted.queued or counted.started):
        return ""
    if counted.blocked == "halted":
        named = f"; bad: {listed(list(counted.bad))}" if counted.bad else ""
        return f"The roll-out is halted: {len(counted.bad)} bad, {counted.budget} allowed{named}."
    if counted.lost_canaries:
        return "No canary is left, because all of them re-enrolled without a request."
    if counted.open_canaries:
        return f"Canaries: {len(counted.open_canaries)} not re-enrolled and in use yet; the others wait for them."
    if not counted.queued:
        return ""
    return f"Wave {counted.wave}: {counted.started} of {counted.members} started, {counted.finished} finished."


def _fitting(clauses: Sequence[str], separator: str = "; ") -> tuple[str, list[str]]:
    """As many clauses as fit in a summary, and the rest."""
    fitting = 1
    while fitting < len(clauses) and len(separator.join(clauses[: fitting + 1])) <= _SUMMARY:
        fitting += 1
    return separator.join(clauses[:fitting]), list(clauses[fitting:])


def _by_reason(record: Record, member_ids: Sequence[str]) -> str:
    """Members grouped by what went wrong; names at most MOST_NAMED in total."""
    groups: dict[str, list[str]] = {}
    for member_id in member_ids:
        groups.setdefault(describe(record.members[member_id]), []).append(member_id)
    named, parts = 0, []
    for reason, ids in groups.items():
        most = max(0, MOST_NAMED - named)
        named += min(len(ids), most)
        names = listed([record.name(member_id) for member_id in ids], most) if most else "named in the state"
        parts.append(f"{len(ids)} {reason}: {names}")
    return "; ".join(parts)


def changed(record: Record) -> list[str]:
    """The GUIDs of the members whose flag was changed or cleared outside this stack."""
    return record.having(*DRIFTED)
