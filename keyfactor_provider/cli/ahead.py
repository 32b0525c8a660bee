"""What the run after a plan would do to each fleet, computed by the core from old outputs and new inputs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keyfactor_provider import text
from keyfactor_provider.cli.recorded import DRIFTED, FAILED, QUEUED, Fleet, fleet_of
from keyfactor_provider.cli.sources import HIDDEN, Action, Change, Plan, Told
from keyfactor_provider.reenrollment.desired import UNKNOWN, Desired, check
from keyfactor_provider.reenrollment.fleet import forecast
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.version import RELEASE

REQUESTS: Final = ("first", "retried", "drifted", "status_changed")
"""The groups whose members the run would request."""
GROUPS: Final = (*REQUESTS, "cleared", "removed", "kept", "queued")


@dataclass(frozen=True)
class Ahead:
    """What a run would do to one fleet.

    Attributes:
        name: safe to show.
        groups: GUIDs by what will happen to them, one of GROUPS; `removed` are cleared because they leave, `kept`
            leave with whatever flag they have.
        machines: recorded machine names by GUID, safe to show.
        unchanged: for how many members there is nothing to do.
        reenrolled: how many of those have re-enrolled in this round.
        unknown: why not all of this can be known; whole sentences.
        at_most: how many orchestrators the run may request; None where nobody can tell.
        withheld: its members must not be named.
    """

    name: str
    action: Action
    status: str = ""
    new_round: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)
    unchanged: int = 0
    reenrolled: int = 0
    unknown: tuple[str, ...] = ()
    at_most: int | None = 0
    withheld: bool = False

    def count(self, *groups: str) -> int:
        """How many members are in some of the groups."""
        return sum(len(self.groups.get(group, ())) for group in groups)

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`."""
        return {
            "name": self.name,
            "action": self.action,
            "status": self.status or None,
            "new_round": self.new_round,
            "requests_at_most": self.at_most,
            "counts": {group: self.count(group) for group in GROUPS}
            | {"unchanged": self.unchanged, "re_enrolled": self.reenrolled},
            "orchestrators": None
            if self.withheld
            else {
                group: [{"id": one, "machine": self.machines.get(one)} for one in ids]
                for group, ids in self.groups.items()
            },
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True)
class Outlook:
    """What a run would do to all fleets of a plan, and what its engine says of it."""

    fleets: tuple[Ahead, ...]
    messages: tuple[Told, ...]
    incomplete: str = ""
    refreshed: bool = True

    def count(self, *groups: str) -> int:
        """How many members of all fleets are in some of the groups."""
        return sum(fleet.count(*groups) for fleet in self.fleets)

    def excess(self, most: int) -> str:
        """Why the run may request more than `most` orchestrators; empty where it can't."""
        if open_ones := [fleet.name for fleet in self.fleets if fleet.at_most is None]:
            return (
                f"--max-requests {most}: nobody can tell how many orchestrators {text.listed(open_ones)} will request"
            )
        total = sum(fleet.at_most or 0 for fleet in self.fleets)
        if total <= most:
            return ""
        each = [f"{fleet.name} {fleet.at_most}" for fleet in self.fleets if fleet.at_most]
        return f"--max-requests {most}: the run may request {text.count(total)} ({text.listed(each)})"

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`."""
        open_ones = any(fleet.at_most is None for fleet in self.fleets)
        return {
            "version": 1,
            "release": RELEASE,
            "requests_at_most": None if open_ones else sum(fleet.at_most or 0 for fleet in self.fleets),
            "incomplete": self.incomplete or None,
            "refreshed": self.refreshed,
            "fleets": [fleet.to_json() for fleet in self.fleets],
            "messages": [{"severity": one.severity, "text": one.text} for one in self.messages],
        }


def outlook(plan: Plan) -> Outlook:
    """What the run of a plan would do.

    Raises:
        RecordError: a recorded state can't be read.
    """
    desired = {change.name: _desired(change) for change in plan.changes}
    fleets = []
    for change in sorted(plan.changes, key=lambda each: each.name):
        others = [wish.members for name, wish in desired.items() if wish is not None and name != change.name]
        fleets.append(_ahead(change, desired[change.name], frozenset().union(*others)))
    return Outlook(tuple(fleets), plan.messages, plan.incomplete, plan.refreshed)


def _ahead(change: Change, desired: Desired | None, claimed: Collection[str]) -> Ahead:
    fleet = fleet_of(change.name, change.engine, change.before) if change.before else None
    machines = {
        member.id: text.safe(member.machine) for member in (fleet.members.values() if fleet else ()) if member.machine
    }
    name = text.safe(change.name)
    status = desired.status.value if desired is not None else fleet.status if fleet else ""
    made = Ahead(name, change.action, status, machines=machines, withheld=change.withheld)
    if change.action in ("delete", "forget"):
        return _with(made, **_leaving(change, fleet, claimed))
    if change.action == "same":
        return _with(made, **_unchanged(fleet))
    if desired is None:
        known = _known_after(change)
        return _with(
            made, unknown=(f"{known} only after the run, so nobody can tell yet what will be requested.",), at_most=None
        )
    if fleet is not None and fleet.record is None:
        sentence = f"What the state records can't be told: {fleet.unreadable}. The run may request every member."
        return _with(made, unknown=(sentence,), at_most=len(desired.members))
    hidden = change.before is not None and _holds(change.before.get("triggers"), HIDDEN)
    if hidden or _holds((change.after or {}).get("triggers"), HIDDEN):
        sentence = "Its triggers are secret: nobody can tell whether a new round begins, which requests every member."
        return _with(made, unknown=(sentence,), at_most=len(desired.members))
    return _with(made, **_forecast(change, fleet, desired, claimed))


def _with(made: Ahead, **changes: Any) -> Ahead:
    return replace(made, **changes)


def _forecast(change: Change, fleet: Fleet | None, desired: Desired, claimed: Collection[str]) -> dict[str, Any]:
    old = fleet.record if fleet is not None and fleet.record is not None else Record(change.name)
    # The new resource of a replacement knows nothing of the old one.
    record = Record(change.name) if change.action == "replace" else old
    ahead = forecast(record, desired, claimed)
    phases = {member.id: member.phase for member in fleet.members.values()} if fleet else {}
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    groups["first"] += ahead.first
    for member_id in ahead.again:
        phase = phases.get(member_id, "")
        group = "retried" if phase in FAILED else "drifted" if phase in DRIFTED else "status_changed"
        groups[group].append(member_id)
    groups["cleared"] += ahead.cleared
    groups["removed"] += ahead.taken_back
    groups["kept"] += ahead.let_go
    if change.action == "replace":
        leaving = _leaving(change, fleet, {*claimed, *desired.members})["groups"]
        groups["removed"] += leaving.get("removed", ())
        groups["kept"] += [one for one in leaving.get("kept", ()) if one not in desired.members]
    taken = {*ahead.first, *ahead.again, *ahead.cleared, *ahead.left_alone}
    groups["queued"] += sorted(desired.members - taken)
    found = {group: tuple(ids) for group, ids in groups.items() if ids}
    return {
        "new_round": ahead.new_round,
        "groups": found,
        "unchanged": len(ahead.left_alone),
        "reenrolled": len(ahead.reenrolled),
        "at_most": sum(len(found.get(group, ())) for group in REQUESTS),
    }


def _leaving(change: Change, fleet: Fleet | None, claimed: Collection[str]) -> dict[str, Any]:
    """A fleet that goes: flags of its own are cleared, unless another fleet names the member or they are retained."""
    if fleet is None:
        return {}
    if fleet.record is None:
        return {"unknown": (f"What the state records can't be told: {fleet.unreadable}. The run may clear flags.",)}
    retained = change.action == "forget" or fleet.record.on_removal == "retain"
    groups: dict[str, list[str]] = {"removed": [], "kept": []}
    for member in sorted(fleet.members.values(), key=lambda each: each.id):
        clears = member.owned_flags and not retained and member.id not in claimed
        groups["removed" if clears else "kept"].append(member.id)
    return {"groups": {group: tuple(ids) for group, ids in groups.items() if ids}}


def _unchanged(fleet: Fleet | None) -> dict[str, Any]:
    if fleet is None or fleet.unreadable:
        return {}
    queued = tuple(sorted(member.id for member in fleet.in_phase([QUEUED])))
    return {
        "groups": {"queued": queued} if queued else {},
        "unchanged": len(fleet.staying) - len(queued),
        "reenrolled": len(fleet.in_phase(["re-enrolled"])),
    }


def _desired(change: Change) -> Desired | None:
    """What the program wants of the fleet; None where that is not known, or nothing any more."""
    if change.after is None or change.action in ("delete", "forget", "same"):
        return None
    if change.engine == "terraform":
        return check({**change.after, "fleet": change.name}).desired
    given = {key: value for key, value in change.after.items() if key != "triggers"}
    if _holds(given, UNKNOWN) or _holds(given, HIDDEN) or _holds(change.after.get("triggers"), UNKNOWN):
        return None
    triggers = change.after.get("triggers")
    return Desired.from_inputs({**change.after, "triggers": {} if _holds(triggers, HIDDEN) else triggers})


def _known_after(change: Change) -> str:
    after = change.after or {}
    named = {"orchestrators": "orchestrator_ids"}
    given = ("orchestrators", "orchestrator_ids", "status", "triggers")
    secret = [named.get(key, key) for key in given if _holds(after.get(key), HIDDEN)]
    open_ones = [named.get(key, key) for key in given if _holds(after.get(key), UNKNOWN)]
    if secret and not open_ones:
        return f"Its {text.listed(secret)} are secret in this document: they are shown"
    return f"Its {text.listed(open_ones) or 'values'} are known"


def _holds(value: Any, mark: object) -> bool:
    """Whether a mark stands anywhere in a value."""
    if isinstance(value, Mapping):
        return any(_holds(item, mark) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_holds(item, mark) for item in value)
    return value is mark
