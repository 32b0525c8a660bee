"""Converts between Pulumi's properties and the core's types, and computes the differences that a preview shows."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from keyfactor_provider.plugin.names import ARGUMENTS, LISTS, MEMBER_FIELDS
from keyfactor_provider.plugin.values import Bag, has_unknown
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.desired import UNKNOWN, Checked, Desired, check, rollout_inputs
from keyfactor_provider.reenrollment.fleet import Forecast
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.reenrollment.state import from_state, members_from_state, members_to_state, to_state
from keyfactor_provider.text import MOST_NAMED

ORCHESTRATORS: Final = "orchestrators"
"""The input with the members as a map from GUID to status, so that an added member shows as one line."""
VERSION: Final = "recordVersion"
COMPUTED: Final = (*LISTS, "failure", "members", "round")
"""The outputs that are unknown until the run if anything is requested."""

_DERIVED: Final = frozenset({ORCHESTRATORS, "members", "round", *LISTS})
"""The properties that contain the members, and are secret if the members are."""

_FIELDS: Final = {theirs: name for name, theirs in MEMBER_FIELDS.items()}
_NAMES: Final = {theirs: name for name, theirs in ARGUMENTS.items()}
_AWAITED: Final = ("status", "phase", "reason", "baseline_thumbprint", "requested_status", "machine", "in_use")
_UNITS: Final = (("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1))


def given(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments among a resource's properties, by the names that `check` takes."""
    return {name: properties.get(theirs) for name, theirs in ARGUMENTS.items()}


def desired_of(fleet: str, inputs: Mapping[str, Any]) -> Desired:
    """The desired state from inputs that were checked and are known."""
    desired = check(fleet, given(inputs)).desired
    assert desired is not None, "the engine passes only checked inputs, which are known by now"
    return desired


def inputs_of(desired: Desired) -> dict[str, Any]:
    """The inputs that the engine keeps and compares, in canonical form."""
    members = sorted(desired.members)
    return {**_arguments(desired, members), ORCHESTRATORS: dict.fromkeys(members, desired.status.value)}


def unknown_inputs(checked: Checked, news: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a fleet of which some are not known yet, or invalid."""
    inputs = {name: value for name, value in news.items() if name in _NAMES and value is not None}
    if "orchestrator_ids" in checked.unknown:
        inputs[ORCHESTRATORS] = UNKNOWN
    else:
        inputs[ORCHESTRATORS] = dict.fromkeys(sorted(checked.known_members), news.get("status"))
    return inputs


def outputs_of(record: Record) -> dict[str, Any]:
    """A record as the properties that the engine keeps."""
    state = to_state(record)
    failure = report.failure(record)
    return {
        **_arguments(record.desired(), [member_id for member_id, _ in sorted(record.staying())]),
        "fleet": record.fleet,
        VERSION: state["version"],
        "trouble": record.trouble or None,
        "members": {
            member_id: {MEMBER_FIELDS[name]: value for name, value in member.items()}
            for member_id, member in state["members"].items()
        },
        "failedOrchestratorIds": record.failed_ids(),
        "pendingOrchestratorIds": record.pending_ids(),
        "reenrolledOrchestratorIds": record.reenrolled_ids(),
        "queuedOrchestratorIds": record.queued_ids(),
        "overdueOrchestratorIds": record.overdue_ids(),
        "failure": failure.what if failure else "",
        "round": _round(record.members),
    }


def expected(inputs: Mapping[str, Any], fleet: str) -> dict[str, Any]:
    """The properties that a preview can show of a run that may request something."""
    arguments = {name: value for name, value in inputs.items() if name != ORCHESTRATORS}
    return {**arguments, "fleet": fleet} | dict.fromkeys(COMPUTED, UNKNOWN)


def is_native(properties: Mapping[str, Any]) -> bool:
    """Whether this plugin wrote the state; otherwise the dynamic resource did."""
    return VERSION in properties


def record_of(properties: Mapping[str, Any]) -> Record:
    """The record in a resource's state, whichever front end wrote it.

    Raises:
        RecordError: the state is damaged, or newer than this release.
    """
    if not is_native(properties):
        return from_state(properties)
    members = {
        member_id: {_FIELDS.get(name, name): value for name, value in member.items()}
        for member_id, member in properties["members"].items()
    }
    arguments = {name: properties.get(theirs) for name, theirs in ARGUMENTS.items() if name != "orchestrator_ids"}
    return from_state(
        {
            **{name: value for name, value in arguments.items() if value is not None},
            "version": properties[VERSION],
            "fleet": properties.get("fleet"),
            "trouble": properties.get("trouble"),
            "members": members,
        }
    )


def awaited_members(awaited: Mapping[str, str]) -> dict[str, Member]:
    """The members in a fleet's `round`.

    Raises:
        RecordError: it is not the `round` of a fleet.
        ValueError: a value is not JSON.
    """
    return members_from_state({member_id: json.loads(member) for member_id, member in awaited.items()})


def secret_inputs(news: Bag) -> frozenset[str]:
    """The names of the inputs that are secret because the program's arguments are."""
    return _spread(news.secret)


def secret_outputs(*bags: Bag) -> frozenset[str]:
    """The names of the outputs that are secret because an input or an earlier output is."""
    return _spread({ARGUMENTS.get(name, name) for bag in bags for name in bag.secret})


def differences(
    old_inputs: Mapping[str, Any], outputs: Mapping[str, Any], record: Record, desired: Desired, ahead: Forecast
) -> dict[str, tuple[str, bool]]:
    """What a preview shows of a change: by property path, the kind of change, and whether the property is an input.

    An added member is one line, and so is a member with drift. Work without a difference in the inputs, such as retries
    and queued members that start, is shown on the outputs that list these members.
    """
    before, after = _arguments(record.desired(), []), _arguments(desired, [])
    paths: dict[str, tuple[str, bool]] = {}
    for name in ARGUMENTS.values():
        _compare(paths, name, before.get(name), after.get(name))
    old_members = old_inputs.get(ORCHESTRATORS)
    members = old_members if isinstance(old_members, Mapping) else dict(record.staying())
    drifted = set(report.changed(record)).intersection((*ahead.again, *ahead.cleared))
    for member_id in sorted(desired.members | members.keys()):
        if (kind := _kind(member_id in members, member_id in desired.members, member_id in drifted)) is not None:
            paths[f'{ORCHESTRATORS}["{member_id}"]'] = (kind, True)
    acting = {*ahead.first, *ahead.again, *ahead.cleared, *ahead.removed}
    for name in ("failedOrchestratorIds", "queuedOrchestratorIds"):
        places = [place for place, member_id in enumerate(outputs.get(name) or ()) if member_id in acting]
        paths |= {f"{name}[{place}]": ("DELETE", False) for place in places[:MOST_NAMED]}
    for member_id in record.having(Phase.LEAVING)[:MOST_NAMED]:
        paths[f'members["{member_id}"]'] = ("DELETE", False)
    if not is_native(outputs):
        paths["__provider"] = ("DELETE", False)
    elif not paths and outputs.get("failure"):
        paths["failure"] = ("UPDATE", False)
    return paths


def unknown_differences(news: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """The differences if some inputs are known only during the run."""
    return {name: ("UPDATE", True) for name, value in sorted(news.items()) if has_unknown(value)}


def _arguments(desired: Desired, members: Collection[str]) -> dict[str, Any]:
    rollout = rollout_inputs(desired.rollout)
    if desired.rollout.overdue_after is not None:
        rollout["overdue_after"] = _spelled(desired.rollout.overdue_after)
    arguments = {
        "orchestrator_ids": list(members),
        "status": desired.status.value,
        "triggers": dict(desired.triggers) or None,
        "on_removal": desired.on_removal,
        "on_failure": desired.on_failure,
        **rollout,
    }
    return {ARGUMENTS[name]: value for name, value in arguments.items() if value is not None}


def _round(members: Mapping[str, Member]) -> dict[str, str]:
    """What a completion needs of each member, as JSON, since a map of strings passes through every language."""
    staying = {member_id: members[member_id] for member_id in round_of(members)}
    return {
        member_id: json.dumps({name: member[name] for name in (*_AWAITED, "overdue") if name in member})
        for member_id, member in members_to_state(staying).items()
    }


def _spelled(seconds: int) -> str:
    """A duration in the largest unit that gives a whole number."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def _compare(paths: dict[str, tuple[str, bool]], path: str, old: Any, new: Any) -> None:
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        old, new = old or {}, new or {}
        for key in sorted({*old, *new}):
            _compare(paths, f"{path}[{json.dumps(key)}]", old.get(key), new.get(key))
    elif (kind := _kind(old is not None, new is not None, old != new)) is not None:
        paths[path] = (kind, True)


def _kind(was: bool, becomes: bool, differs: bool) -> str | None:
    if was and becomes:
        return "UPDATE" if differs else None
    return "ADD" if becomes else "DELETE" if was else None


def _spread(secret: Collection[str]) -> frozenset[str]:
    derived = _DERIVED if {"orchestratorIds", "status", *_DERIVED}.intersection(secret) else frozenset()
    return frozenset(secret) | derived
