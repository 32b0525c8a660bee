"""Translates between Terraform's attributes and `Desired` and `Record`, for configurations and for state."""

from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute
from tf.types import Bool, List, Map, Set, String

from keyfactor_provider.reenrollment import fleet, report
from keyfactor_provider.reenrollment.desired import GIVEN as GIVEN
from keyfactor_provider.reenrollment.desired import UNKNOWN as NOT_KNOWN_YET
from keyfactor_provider.reenrollment.desired import Desired, check
from keyfactor_provider.reenrollment.record import Member, Record
from keyfactor_provider.reenrollment.state import VERSION, from_state, members_from_state, members_to_state
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.terraform.values import UNKNOWN, Object, is_unknown

MEMBER: Final = Object(
    {
        "machine": String(),
        "status": String(),
        "phase": String(),
        "reason": String(),
        "baseline_thumbprint": String(),
        "requested_status": String(),
        "owned_flags": List(String()),
        "requested_at": String(),
        "accepted_at": String(),
        "reenrolled_at": String(),
        "in_use": Bool(),
        "overdue": Bool(),
    }
)
"""The record of one orchestrator; fields without a value are null."""

_KEPT_BY_A_REQUEST: Final = ("status", "baseline_thumbprint", "machine")
"""Fields that a request does not change once they have a value."""

LISTS: Final = (
    "failed_orchestrator_ids",
    "pending_orchestrator_ids",
    "reenrolled_orchestrator_ids",
    "queued_orchestrator_ids",
    "overdue_orchestrator_ids",
)

_LIST_MEANINGS: Final = (
    "Rejected by Command, not reached, or not found. The next apply retries these.",
    "Requested, and not re-enrolled at the last observation.",
    "Hold another certificate than at the start of the round.",
    "Not requested yet because of a limit of the roll-out.",
    "Requested longer ago than `overdue_after`, and not both re-enrolled and in use.",
)

COMPUTED: Final = [
    Attribute("id", String(), "Identifies the resource to this provider; random.", computed=True),
    *(
        Attribute(name, Set(String()), meaning, computed=True)
        for name, meaning in zip(LISTS, _LIST_MEANINGS, strict=True)
    ),
    Attribute("failure", String(), "Why the last apply failed, in one line; empty if it did not.", computed=True),
    Attribute(
        "members",
        Map(MEMBER),
        "What is recorded of each orchestrator, by GUID: `machine`, `status` (desired), `phase`, `reason`, "
        "`baseline_thumbprint` (at the start of the round; empty when it had no certificate), `requested_status` (last "
        "accepted), `owned_flags` (those that a removal clears), `requested_at`, `accepted_at`, `reenrolled_at`, "
        "`in_use` and `overdue`.",
        computed=True,
    ),
]


def given(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The given attributes of a configuration or a plan, as `check` takes them."""
    return {name: _plain(attributes.get(name)) for name in GIVEN}


def desired_of(attributes: Mapping[str, Any], name: str) -> Desired:
    """Parses attributes that were checked and are known."""
    desired = check(name, given(attributes)).desired
    assert desired is not None, "the plan has checked these attributes, and an apply knows them all"
    return desired


def record_of(attributes: Mapping[str, Any]) -> Record:
    """Parses a state.

    Raises:
        RecordError: the state is damaged.
    """
    known = {name: attributes.get(name) for name in GIVEN if name not in ("orchestrator_ids", "status")}
    return from_state(
        {
            "version": VERSION,
            "fleet": attributes["id"],
            "status": ReenrollmentStatus.parse(attributes["status"]).value,
            "members": _without_nulls(attributes["members"] or {}),
            "triggers": known.pop("triggers") or {},
            "on_removal": known.pop("on_removal") or "unset",
            "on_failure": known.pop("on_failure") or "error",
            **known,
        }
    )


def members_of(attribute: Mapping[str, Any]) -> dict[str, Member]:
    """Parses a `members` attribute.

    Raises:
        RecordError: the state is damaged.
    """
    return members_from_state(_without_nulls(attribute))


def upgraded(state: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A state of an older version in today's form, with the lists and the failure that it lacks."""
    if version >= VERSION:
        return dict(state)
    members = members_to_state(members_of(state.get("members") or {}))
    current = {**state, "members": {member_id: MEMBER.encode(member) for member_id, member in members.items()}}
    # A completion has members too, but no lists of them.
    return settled(current) if "orchestrator_ids" in current else current


def computed(record: Record) -> dict[str, Any]:
    """The computed attributes of a record."""
    members = {member_id: MEMBER.encode(member) for member_id, member in members_to_state(record.members).items()}
    return {"id": record.fleet, "members": members, **_derived(record)}


def unknown(name: Any = UNKNOWN) -> dict[str, Any]:
    """The computed attributes of a change whose outcome is known only after apply."""
    return {"id": name, "members": UNKNOWN, "failure": UNKNOWN} | dict.fromkeys(LISTS, UNKNOWN)


def expected(record: Record, desired: Desired, ahead: fleet.Forecast) -> dict[str, Any]:
    """The computed attributes of a change, as far as they are known in advance.

    A plan shows which members change. Members to request are unknown until apply, and so are the lists and `failure`,
    because Terraform accepts no result that differs from the plan.
    """
    requested = {*ahead.first, *ahead.again, *ahead.cleared}
    members = {}
    for member_id, member in members_to_state(fleet.members_of(record, desired)).items():
        planned = MEMBER.encode(member)
        if member_id in requested:
            kept = {name: planned[name] for name in _KEPT_BY_A_REQUEST if planned[name] is not None}
            planned = dict.fromkeys(planned, UNKNOWN) | kept
        members[member_id] = planned
    return unknown(record.fleet) | {"members": members}


def settled(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes, with lists and `failure` that agree with the members."""
    return attributes | _derived(record_of(attributes))


def _derived(record: Record) -> dict[str, Any]:
    failure = report.failure(record)
    lists = (
        record.failed_ids(),
        record.pending_ids(),
        record.reenrolled_ids(),
        record.queued_ids(),
        record.overdue_ids(),
    )
    return {**dict(zip(LISTS, lists, strict=True)), "failure": failure.what if failure else ""}


def _without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        member_id: {name: value for name, value in member.items() if value is not None}
        for member_id, member in members.items()
    }


def _plain(value: Any) -> Any:
    if is_unknown(value):
        return NOT_KNOWN_YET
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
