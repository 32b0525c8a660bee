"""The names that programs in every language use, derived from those in Python."""

from collections.abc import Iterable
from typing import Final

import msgspec

from keyfactor_provider.reenrollment.desired import GIVEN
from keyfactor_provider.reenrollment.record import Member

PACKAGE: Final = "keyfactor"
"""The name of the package in programs."""


def camel(name: str) -> str:
    """`orchestrator_ids` as `orchestratorIds`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _by_name(names: Iterable[str]) -> dict[str, str]:
    return {name: camel(name) for name in names}


ARGUMENTS: Final = _by_name(GIVEN)
"""The arguments of a fleet, by their names in Python."""

MEMBER_FIELDS: Final = _by_name(field.encode_name for field in msgspec.structs.fields(Member))
"""The fields of a member, by their names in the recorded state."""

LISTS: Final = {
    "failedOrchestratorIds": "Rejected by Command, not reached, or not found. The next run retries these.",
    "pendingOrchestratorIds": "Requested, and not re-enrolled at the last observation.",
    "reenrolledOrchestratorIds": "Re-enrolled in this round: their certificate differs from the one at its start.",
    "queuedOrchestratorIds": "Not requested yet because of a limit of the roll-out.",
    "overdueOrchestratorIds": "Requested longer ago than `overdueAfter`, and not yet re-enrolled and in use.",
}
"""The lists of GUIDs among a fleet's outputs, with their descriptions."""
