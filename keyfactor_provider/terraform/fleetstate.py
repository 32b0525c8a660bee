"""A fleet between Terraform's attributes and the decisions: what a configuration gives, and the state of a resource."""

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
"""What is recorded of one orchestrator; what is not recorded of it is null."""

_KEPT_BY_A_REQUEST: Final = ("status", "baseline_thumbprint", "machine")
"""What a request leaves as it is, where that is known."""

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
    Attribute("id", String(), "Names the resource to this provider; random.", computed=True),
    *(
        Attribute(name, Set(String()), meaning, computed=True)
        for name, meaning in zip(LISTS, _LIST_MEANINGS, strict=True)
    ),
    Attribute("failure", String(), "Why the last apply failed, in one line; empty when it did not.", computed=True),
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
    """What a configuration or a plan gives, as `check` takes it."""
    return {name: _plain(attributes.get(name)) for name in GIVEN}


def desired_of(attributes: Mapping[str, Any], name: str) -> Desired:
    """What is desired by attributes that were checked and are known."""
    desired = check(name, given(attributes)).desired
    assert desired is not None, "what an apply is given was checked by its plan, and is known by now"
    return desired


def record_of(attributes: Mapping[str, Any]) -> Record:
    """The record that a state holds.

    Raises:
        RecordError: it is damaged.
    """
    known = {name: attributes.get(name) for name in GIVEN if name not in ("orchestrator_ids", "status")}
    return from_state(
        {
            "version": VERSION,
            "fleet": attributes["id"],
            "status": _status(attributes["status"]),
            "members": _without_nulls(attributes["members"] or {}),
            "triggers": known.pop("triggers") or {},
            "on_removal": known.pop("on_removal") or "unset",
            "on_failure": known.pop("on_failure") or "error",
            **known,
        }
    )


def members_of(attribute: Mapping[str, Any]) -> dict[str, Member]:
    """The members that a `members` attribute holds.

    Raises:
        RecordError: it is damaged.
    """
    return members_from_state(_without_nulls(attribute))


def upgraded(state: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A state of an older version with the names of today, and the lists and the verdict that it had none of."""
    if version >= VERSION:
        return dict(state)
    members = members_to_state(members_of(state.get("members") or {}))
    newer = {**state, "members": {member_id: MEMBER.encode(member) for member_id, member in members.items()}}
    # A completion has members too, but no lists of them.
    return settled(newer) if "orchestrator_ids" in newer else newer


def computed(record: Record) -> dict[str, Any]:
    """The computed attributes of a record."""
    members = {one: MEMBER.encode(member) for one, member in members_to_state(record.members).items()}
    return {"id": record.fleet, "members": members, **_derived(record)}


def unknown(name: Any = UNKNOWN) -> dict[str, Any]:
    """The computed attributes of a change of which only an apply can tell the outcome."""
    return {"id": name, "members": UNKNOWN, "failure": UNKNOWN} | dict.fromkeys(LISTS, UNKNOWN)


def expected(record: Record, desired: Desired, ahead: fleet.Forecast) -> dict[str, Any]:
    """The computed attributes of a change, as far as they are known before it.

    A plan shows, element by element, who moves; what becomes of those that are requested is left to apply, and so are
    the lists and the verdict, since Terraform takes no result but a planned one.
    """
    requested = {*ahead.first, *ahead.again, *ahead.cleared}
    members = {}
    for member_id, member in members_to_state(fleet.members_of(record, desired)).items():
        shown = MEMBER.encode(member)
        if member_id in requested:
            kept = {name: shown[name] for name in _KEPT_BY_A_REQUEST if shown[name] is not None}
            shown = dict.fromkeys(shown, UNKNOWN) | kept
        members[member_id] = shown
    return unknown(record.fleet) | {"members": members}


def settled(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes whose lists and verdict agree with their members."""
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


def _status(value: Any) -> str:
    from keyfactor_provider.status import ReenrollmentStatus

    return ReenrollmentStatus.parse(value).value


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
