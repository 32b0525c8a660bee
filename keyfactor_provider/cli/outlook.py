"""Computes what a planned run would do from old outputs and new inputs, with the decisions of the core."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from keyfactor_provider import text
from keyfactor_provider.cli.ahead import GROUPS, REQUESTS, Ahead, Outlook
from keyfactor_provider.cli.recorded import Fleet, fleet_of
from keyfactor_provider.cli.sources import HIDDEN, Change, Plan, holds
from keyfactor_provider.cli.waves import progress
from keyfactor_provider.reenrollment.desired import GIVEN, UNKNOWN, Checked, Desired, check
from keyfactor_provider.reenrollment.fleet import Forecast, forecast, members_of, recorded
from keyfactor_provider.reenrollment.record import DRIFTED, FAILED, Record

_LEAVES: Final = ("delete", "forget")


def outlook(plan: Plan) -> Outlook:
    """What the planned run would do.

    Raises:
        RecordError: a recorded state can't be read.
    """
    checked = {change.name: _checked(change) for change in plan.changes}
    fleets = []
    for change in sorted(plan.changes, key=lambda change: change.name):
        others = (other.known_members for name, other in checked.items() if other is not None and name != change.name)
        fleets.append(_ahead(change, checked[change.name], frozenset().union(*others), refreshed=plan.refreshed))
    return Outlook(tuple(fleets), plan.messages, plan.incomplete, plan.refreshed)


def _checked(change: Change) -> Checked | None:
    """The fleet's validated new arguments; None if it is deleted or unchanged."""
    if change.after is None or change.action in (*_LEAVES, "same"):
        return None
    after = dict(change.after)
    if (members := after.get("orchestrators")) is not None:
        # Pulumi's inputs have the members as a map from GUID to status.
        after["orchestrator_ids"] = list(members) if isinstance(members, Mapping) else members
    # A hidden secret is treated like a value that is not known yet.
    return check(change.name, {name: _known(after.get(name)) for name in GIVEN})


def _known(value: Any) -> Any:
    return UNKNOWN if holds(value, HIDDEN) else value


def _ahead(change: Change, checked: Checked | None, claimed: Collection[str], *, refreshed: bool) -> Ahead:
    fleet = fleet_of(change.name, change.engine, change.before) if change.before else None
    record = fleet.record if fleet else None
    members = record.members if record else {}
    desired = checked.desired if checked else None
    status = desired.status.value if desired else record.status.value if record else ""
    ahead = Ahead(
        text.safe(change.name),
        change.action,
        status,
        machines={guid: text.safe(member.machine) for guid, member in members.items() if member.machine},
        withheld=change.withheld,
    )
    if change.action in _LEAVES:
        if record is None:
            return replace(ahead, unknown=(f"{_unreadable(fleet)} The run may clear flags.",))
        return replace(ahead, groups=_leaving(change, record, claimed))
    if checked is None:
        return _unchanged(ahead, record)
    if desired is None:
        return _not_known(ahead, change, checked)
    if fleet is not None and record is None:
        return replace(
            ahead,
            unknown=(f"{_unreadable(fleet)} The run may request every member.",),
            at_most=len(desired.members),
        )
    if change.before is not None and holds(change.before.get("triggers"), HIDDEN):
        sentence = "The recorded triggers are secret, so this may be a new round, which requests every member."
        return replace(ahead, unknown=(sentence,), at_most=len(desired.members))
    return _forecast(ahead, change, record, desired, claimed, refreshed=refreshed)


def _unreadable(fleet: Fleet | None) -> str:
    return f"The recorded state can't be read: {fleet.unreadable if fleet else 'there is none'}."


def _not_known(ahead: Ahead, change: Change, checked: Checked) -> Ahead:
    after = change.after or {}
    members = "orchestrators" if "orchestrators" in after else "orchestrator_ids"
    secret = [name for name in GIVEN if holds(after.get(members if name == "orchestrator_ids" else name), HIDDEN)]
    later = [name for name in GIVEN if name in checked.unknown and name not in secret]
    sentences = []
    if later:
        sentences.append(f"{text.listed(later)}: known only during the run.")
    if secret:
        sentences.append(f"{text.listed(secret)}: secret in this document.")
    sentences += [f"{problem.property} is invalid." for problem in checked.problems]
    counted = "orchestrator_ids" not in (*later, *secret) and not checked.problems
    return replace(ahead, unknown=tuple(sentences), at_most=len(checked.known_members) if counted else None)


def _unchanged(ahead: Ahead, record: Record | None) -> Ahead:
    if record is None:
        return ahead
    queued = tuple(record.queued_ids())
    return replace(
        ahead,
        groups={"queued": queued} if queued else {},
        unchanged=sum(1 for _ in record.staying()) - len(queued),
        reenrolled=len(record.reenrolled_ids()),
        wave=progress(record).name,
    )


def _forecast(
    ahead: Ahead, change: Change, record: Record | None, desired: Desired, claimed: Collection[str], *, refreshed: bool
) -> Ahead:
    # The new resource of a replacement does not inherit the record of the old one.
    old = record if record is not None and change.action != "replace" else Record(change.name)
    run = forecast(old, desired)
    groups = _groups(run, old, claimed)
    if change.action == "replace" and record is not None:
        for group, ids in _leaving(change, record, claimed).items():
            groups[group] = tuple(member_id for member_id in ids if member_id not in desired.members)
    groups = {group: groups[group] for group in GROUPS if groups.get(group)}
    requests = sum(len(groups.get(group, ())) for group in REQUESTS)
    waves = progress(recorded(desired, members_of(old, desired), ""))
    # A run that reads Command itself may find the open wave finished, and then opens the next.
    more = 0 if refreshed else max(0, waves.next_room - len(run.first))
    return replace(
        ahead,
        new_round=run.new_round,
        groups=groups,
        unchanged=len(run.unchanged),
        reenrolled=len(run.reenrolled),
        wave=waves.name,
        more=more,
        at_most=requests + more,
    )


def _groups(run: Forecast, old: Record, claimed: Collection[str]) -> dict[str, tuple[str, ...]]:
    again: dict[str, list[str]] = {"retried": [], "drifted": [], "status_changed": []}
    for member_id in run.again:
        member = old.members.get(member_id)
        failed = member is not None and member.phase in FAILED
        drifted = member is not None and member.phase in DRIFTED
        again["retried" if failed else "drifted" if drifted else "status_changed"].append(member_id)
    return {
        "first": run.first,
        **{group: tuple(ids) for group, ids in again.items()},
        "cleared": run.cleared,
        "removed": tuple(member_id for member_id in run.removed if member_id not in claimed),
        "moved": tuple(member_id for member_id in run.removed if member_id in claimed),
        "kept": run.forgotten,
        "queued": run.queued,
    }


def _leaving(change: Change, record: Record, claimed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The members of a deleted fleet by what happens to their flags: owned ones are cleared unless retained."""
    retained = change.action == "forget" or record.on_removal == "retain"
    groups: dict[str, list[str]] = {"removed": [], "moved": [], "kept": []}
    for member_id, member in sorted(record.members.items()):
        clears = bool(member.owned_flags) and not retained
        groups["kept" if not clears else "moved" if member_id in claimed else "removed"].append(member_id)
    return {group: tuple(ids) for group, ids in groups.items() if ids}
