"""Names as programs of every language write them, from those of Python and back."""

from collections.abc import Iterable
from typing import Final

import msgspec

from keyfactor_provider.reenrollment.desired import GIVEN
from keyfactor_provider.reenrollment.record import Member

PACKAGE: Final = "keyfactor"
"""What programs call the plugin."""


def camel(name: str) -> str:
    """`orchestrator_ids` as `orchestratorIds`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _by_name(names: Iterable[str]) -> dict[str, str]:
    return {name: camel(name) for name in names}


ARGUMENTS: Final = _by_name(GIVEN)
"""Every argument of a fleet, by its name in Python."""

MEMBER_FIELDS: Final = _by_name(field.encode_name for field in msgspec.structs.fields(Member))
"""What is recorded of a member, by its name in the recorded state."""

LISTS: Final = {
    "failedOrchestratorIds": "Rejected by Command, not reached, or not found. The next run requests these again.",
    "pendingOrchestratorIds": "Requested, and not re-enrolled at the last observation.",
    "reenrolledOrchestratorIds": "Re-enrolled in this round: each holds another certificate than at its start.",
    "queuedOrchestratorIds": "Not requested yet because of a limit of the roll-out.",
    "overdueOrchestratorIds": "Requested longer ago than `overdueAfter`, and not both re-enrolled and in use.",
}
"""The lists of GUIDs that a fleet offers, and what they mean."""
