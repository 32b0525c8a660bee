"""A fleet in an engine's document: its record, or why that can't be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyfactor_provider import text
from keyfactor_provider.cli.sources import HIDDEN, Engine, holds
from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.desired import GIVEN
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import from_state
from keyfactor_provider.status import ReenrollmentStatus

_NEEDED = ("members", "status", "version")
_FIRST_WITH_TIMES = 2


@dataclass(frozen=True)
class Fleet:
    """One fleet in a document.

    Attributes:
        record: None if it can't be read.
        unreadable: why there is no record, as a phrase to follow a colon; empty if there is one.
        shown_secrets: whether the document shows secrets of this fleet in plain text.
        timed: whether the state has times and use, which version 1 does not.
    """

    name: str
    engine: Engine
    record: Record | None = None
    unreadable: str = ""
    shown_secrets: bool = False
    timed: bool = False


def fleet_of(name: str, engine: Engine, state: Mapping[str, Any], *, shown_secrets: bool = False) -> Fleet:
    """The fleet in a state.

    Raises:
        RecordError: the state is damaged, or newer than this release; the message names the fleet.
    """
    if hidden := sorted(key for key in _NEEDED if holds(state.get(key), HIDDEN)):
        return Fleet(name, engine, unreadable=f"its {text.listed(hidden)} are secret in this document")
    if not state.get("members"):
        return Fleet(name, engine, unreadable="the state records no members")
    shown = text.safe(name)
    try:
        record = from_state(_as_recorded(shown, engine, state))
    except RecordError as error:
        raise RecordError(
            f'The recorded state of fleet "{shown}" can\'t be read', text.safe(error.came_back, 400), error.next_step
        ) from None
    except (AttributeError, TypeError, ValueError) as error:
        raise RecordError(
            f'The recorded state of fleet "{shown}" can\'t be read',
            text.safe(str(error), 400),
            "Export the state again, or restore an earlier one.",
        ) from None
    timed = any(member.requested_at for member in record.members.values()) or _version(state) >= _FIRST_WITH_TIMES
    return Fleet(name, engine, record, shown_secrets=shown_secrets, timed=timed)


def _as_recorded(name: str, engine: Engine, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state in the form that `from_state` reads, without hidden secrets."""
    shown = {key: value for key, value in state.items() if value is not None and not holds(value, HIDDEN)}
    if engine == "pulumi":
        return shown | {"fleet": name}
    members = {
        member_id: {key: value for key, value in member.items() if value is not None}
        for member_id, member in state["members"].items()
    }
    arguments = {key: shown[key] for key in GIVEN if key in shown and key != "orchestrator_ids"}
    status = ReenrollmentStatus.parse(state["status"]).value
    return arguments | {"version": _version(state), "fleet": name, "status": status, "members": members}


def _version(state: Mapping[str, Any]) -> Any:
    # A plan of Terraform has no version: the provider has already upgraded the state to the newest.
    return state.get("version") or _FIRST_WITH_TIMES
