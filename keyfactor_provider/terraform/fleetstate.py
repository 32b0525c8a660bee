"""A fleet between Terraform's attributes and the values of `operations`.

The state of a resource is its whole memory: everything recorded of a member stands in `members`.
"""

from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute
from tf.types import List, Map, Set, String

from keyfactor_provider.reenrollment import fleet
from keyfactor_provider.reenrollment.desired import UNKNOWN as NOT_KNOWN_YET
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.record import VERSION, Phase, Record, to_state
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.terraform.values import UNKNOWN, Object, is_unknown

GIVEN: Final = ("orchestrator_ids", "status", "triggers", "on_removal", "on_failure")
"""The attributes that a configuration gives."""
LISTS: Final = ("failed_orchestrator_ids", "pending_orchestrator_ids", "reenrolled_orchestrator_ids")

MEMBER: Final = Object(
    {
        "machine": String(),
        "status": String(),
        "phase": String(),
        "reason": String(),
        "baseline": String(),
        "asked": String(),
        "ours": List(String()),
    }
)
"""What is recorded of one orchestrator; what nothing is recorded of is null."""

_LEFT_TO_APPLY: Final = ("phase", "reason", "asked", "ours")

COMPUTED: Final = [
    Attribute("id", String(), "Names the resource to this provider; random.", computed=True),
    Attribute(
        "failed_orchestrator_ids",
        Set(String()),
        "Refused by Command, not reached, or not there. The next apply asks them, and them alone.",
        computed=True,
    ),
    Attribute(
        "pending_orchestrator_ids",
        Set(String()),
        "Asked, and not re-enrolled yet at the last reading.",
        computed=True,
    ),
    Attribute(
        "reenrolled_orchestrator_ids",
        Set(String()),
        "Hold a certificate other than at the start of the round.",
        computed=True,
    ),
    Attribute(
        "members",
        Map(MEMBER),
        "What is recorded of each orchestrator, by GUID: `machine`, `status` (wanted), `phase`, `reason`, `baseline` "
        "(its thumbprint at the start of the round; empty when it had none), `asked` (the status last accepted) and "
        "`ours` (the flags that a removal takes back).",
        computed=True,
    ),
]


def given(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a configuration or a plan gives, as `operations` checks it."""
    return {"fleet": name} | {each: _plain(attributes[each]) for each in GIVEN}


def to_operations(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The state as `operations` keeps it."""
    return {
        "version": VERSION,
        "fleet": attributes["id"],
        "status": ReenrollmentStatus.parse(attributes["status"]).value,
        "members": {
            member_id: {name: value for name, value in member.items() if value is not None}
            for member_id, member in (attributes["members"] or {}).items()
        },
        "triggers": attributes["triggers"] or {},
        "on_removal": attributes["on_removal"] or "unset",
        "on_failure": attributes["on_failure"] or "error",
    }


def from_operations(state: Mapping[str, Any]) -> dict[str, Any]:
    """The computed attributes that a state of `operations` gives."""
    return {
        "id": state["fleet"],
        "members": {member_id: MEMBER.encode(member) for member_id, member in state["members"].items()},
    } | {name: state[name] for name in LISTS}


def unknown(name: Any = UNKNOWN) -> dict[str, Any]:
    """The computed attributes of a change of which only an apply can tell the outcome."""
    return {"id": name, "members": UNKNOWN} | dict.fromkeys(LISTS, UNKNOWN)


def expected(record: Record, desired: Desired, ahead: fleet.Forecast) -> dict[str, Any]:
    """The computed attributes after a change that goes well: known wherever nothing is to be asked.

    So a plan shows, element by element, what moves; whom it asks is left to apply.
    """
    asked = {*ahead.first, *ahead.again, *ahead.cleared}
    members = {}
    for member_id, member in to_state(fleet.members_of(record, desired)).items():
        shown = MEMBER.encode(member)
        if member_id in asked:
            shown |= dict.fromkeys(_LEFT_TO_APPLY, UNKNOWN)
            shown |= {name: UNKNOWN for name in ("machine", "baseline") if shown[name] is None}
        members[member_id] = shown
    pending = {member_id for member_id, member in members.items() if member["phase"] == Phase.PENDING.value}
    if desired.status is not ReenrollmentStatus.NONE:
        pending |= asked
    return {
        "id": record.fleet,
        "members": members,
        "failed_orchestrator_ids": UNKNOWN if asked or record.members.keys() - desired.members else [],
        "pending_orchestrator_ids": sorted(pending),
        "reenrolled_orchestrator_ids": sorted(ahead.reenrolled),
    }


def _plain(value: Any) -> Any:
    if is_unknown(value):
        return NOT_KNOWN_YET
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
