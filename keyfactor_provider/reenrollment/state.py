"""The format of a record in an engine's state, with a reader for every older version."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import msgspec

from keyfactor_provider import guid
from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.desired import OnFailure, OnRemoval, rollout_from_inputs, rollout_inputs
from keyfactor_provider.reenrollment.record import Member, Record
from keyfactor_provider.status import ReenrollmentStatus

VERSION: Final = 2
"""The version of the format in state; a change needs a reader for every older one."""

_OLDER_NAMES: Final = {"baseline": "baseline_thumbprint", "asked": "requested_status", "ours": "owned_flags"}
"""The names of a member's fields that version 1 spelled differently."""


class MemberState(TypedDict, total=False):
    """One orchestrator in an engine's state and in a fleet's `members`.

    `status` (the desired one) and `phase` are always present; empty values are omitted. Times are RFC 3339 in UTC.
    """

    status: str
    phase: str
    reason: str
    baseline_thumbprint: str
    requested_status: str
    owned_flags: list[str]
    machine: str
    requested_at: str
    accepted_at: str
    reenrolled_at: str
    in_use: bool
    overdue: bool


class _Fields(msgspec.Struct):
    """The state apart from its roll-out, with the members still unparsed."""

    version: int
    fleet: str
    status: ReenrollmentStatus
    members: dict[str, Any]
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"
    triggers: dict[str, str] | None = None
    trouble: str | None = None


def to_state(record: Record) -> dict[str, Any]:
    """A record as it is stored; values that can be computed from others are not."""
    return {
        "version": VERSION,
        "fleet": record.fleet,
        "status": record.status.value,
        "members": members_to_state(record.members),
        "triggers": dict(record.triggers),
        "on_removal": record.on_removal,
        "on_failure": record.on_failure,
        **rollout_inputs(record.rollout),
        "trouble": record.trouble,
    }


def from_state(state: Mapping[str, Any]) -> Record:
    """The record that `to_state` wrote, in this or any older version.

    Raises:
        RecordError: the state is damaged, was not written by this project, or is newer than this release.
    """
    version = state.get("version")
    if version not in (1, 1.0, VERSION):
        newer = isinstance(version, (int, float)) and version > VERSION
        came_back = f"its version is {version!r}, and this release reads versions 1 and {VERSION}"
        raise _unreadable(came_back, "Use the release that wrote it, or a newer one." if newer else _RESTORE)
    try:
        fields = msgspec.convert(dict(state), _Fields, strict=False)
        rollout = rollout_from_inputs(state)
    except (msgspec.ValidationError, ValueError) as error:
        raise _unreadable(str(error), _RESTORE) from None
    return Record(
        fleet=fields.fleet,
        status=fields.status,
        members=members_from_state(fields.members),
        triggers=fields.triggers or {},
        on_removal=fields.on_removal,
        on_failure=fields.on_failure,
        rollout=rollout,
        trouble=fields.trouble or "",
    )


def members_to_state(members: Mapping[str, Member]) -> dict[str, Any]:
    """Members as they are stored: by GUID, sorted, without defaults."""
    written: dict[str, Any] = msgspec.to_builtins(members, order="deterministic")
    return written


def members_from_state(members: Mapping[str, Any]) -> dict[str, Member]:
    """The members that `members_to_state` wrote, in this or any older version.

    Raises:
        RecordError: a member is damaged; the message names it.
    """
    try:
        parsed = msgspec.convert(members, dict[str, Member])
    except msgspec.ValidationError:
        try:
            parsed = msgspec.convert(_renamed(members), dict[str, Member])
        except (msgspec.ValidationError, AttributeError, TypeError) as error:
            raise _unreadable(f"its members are damaged ({error})", _RESTORE) from None
    for member_id in parsed:
        if not guid.is_canonical(member_id):
            raise _unreadable(f"{member_id!r} is not an orchestrator's GUID in its canonical form", _RESTORE)
    return parsed


def _renamed(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members of version 1 with today's names."""
    renamed = {}
    for member_id, member in members.items():
        fields = {_OLDER_NAMES.get(name, name): value for name, value in member.items()}
        if fields.get("phase") == "refused":
            fields["phase"] = "rejected"
        renamed[member_id] = fields
    return renamed


_RESTORE: Final = "Restore an earlier state of the stack, or remove the resource from the state and declare it again."


def _unreadable(came_back: str, next_step: str) -> RecordError:
    return RecordError("The recorded state of an orchestrator fleet can't be read", came_back, next_step)
