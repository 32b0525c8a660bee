"""A fleet as an engine's state has it, typed: version 2 of the recorded state, with a reader for version 1.

Everything that depends on the form of the recorded state stands here, `for_the_core` included.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from keyfactor_provider import guid, text
from keyfactor_provider.cli.durations import seconds
from keyfactor_provider.cli.sources import HIDDEN, Engine
from keyfactor_provider.cli.waves import Wave, allowed, open_wave, waves
from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.status import ReenrollmentStatus

VERSION: Final = 2
"""The newest form of the recorded state that this module reads; the first with times."""
QUEUED: Final = "due"
DEFAULT_OVERDUE: Final = 7 * 24 * 3600
"""Seconds after which a request counts as overdue where a roll-out does not say."""
FAILED: Final = ("rejected", "unreached", "missing", "leaving")
"""The phases that fail a run."""
DRIFTED: Final = ("changed", "cleared")
"""The phases in which a flag was changed or cleared outside of the stack."""
_STARTED: Final = ("pending", "unverified", "changed", "rejected", "unreached", "missing")

PHASES: Final = {
    "due": "queued",
    "pending": "pending",
    "re-enrolled": "re-enrolled",
    "unverified": "unverified",
    "settled": "settled",
    "changed": "changed outside this stack",
    "cleared": "cleared outside this stack",
    "rejected": "rejected by Command",
    "unreached": "not reached",
    "missing": "not found in Command",
    "leaving": "removed, flag not cleared yet",
}
"""The phases in the words of the product."""

_OLD_NAMES: Final = {"baseline": "baseline_thumbprint", "asked": "requested_status", "ours": "owned_flags"}
_NEW_NAMES: Final = {new: old for old, new in _OLD_NAMES.items()}


class Member(msgspec.Struct, frozen=True):
    """One member of a fleet, as recorded.

    Attributes:
        id: its canonical GUID.
        status: the desired status.
        phase: one of PHASES.
        requested_at: the first acceptance or adoption in the round; None where version 1 recorded no times.
        reenrolled_at: when its new certificate was first observed.
        in_use: whether its new certificate was presented.
        gone: whether a look at Command has shown that the agent is gone since it re-enrolled.
    """

    status: str
    phase: str
    id: str = ""
    reason: str = ""
    baseline_thumbprint: str | None = None
    requested_status: str = ""
    owned_flags: tuple[str, ...] = ()
    machine: str = ""
    requested_at: datetime | None = None
    accepted_at: datetime | None = None
    reenrolled_at: datetime | None = None
    in_use: bool = False
    overdue: bool = False
    gone: bool = False

    @property
    def name(self) -> str:
        """Its machine, made safe to show, where one is recorded, and its GUID."""
        return f"{text.safe(self.machine)} ({self.id})" if self.machine else self.id

    @property
    def started(self) -> bool:
        """Whether the roll-out has selected it in this round."""
        return bool(self.requested_at or self.requested_status) or self.phase in _STARTED

    @property
    def reenrolled(self) -> bool:
        """Whether it holds a certificate other than at the start of the round."""
        return self.phase == "re-enrolled"

    @property
    def good(self) -> bool:
        """Whether nothing is left to do: re-enrolled and in use, or gone from Command since."""
        return self.reenrolled and (self.in_use or self.gone)

    @property
    def bad(self) -> bool:
        """Whether it counts against `max_failed`."""
        return self.started and (self.overdue or self.phase in ("rejected", "missing"))


@dataclass(frozen=True)
class Fleet:
    """What a state says of one fleet.

    Attributes:
        members: by GUID, those that leave included; empty where `unreadable` says why.
        unreadable: why the members can't be told; empty where they can.
        shown_secrets: the document shows secrets of this fleet in plain text.
        timed: whether the state records times and use (version 2).
        record: what the core reads from the state; None where the members can't be told.
    """

    name: str
    engine: Engine
    status: str = ""
    members: Mapping[str, Member] = field(default_factory=dict)
    waves: tuple[str, ...] = ()
    canary_ids: tuple[str, ...] = ()
    max_failed: str = "0"
    overdue_after: int | None = None
    paused: bool = False
    trouble: str = ""
    unreadable: str = ""
    shown_secrets: bool = False
    timed: bool = False
    record: Record | None = None

    @cached_property
    def staying(self) -> list[Member]:
        """The members that have not left the fleet."""
        return [member for member in self.members.values() if member.phase != "leaving"]

    @property
    def overdue_seconds(self) -> int | None:
        """After how many seconds a request counts as overdue; None for never."""
        if self.overdue_after is None and (self.waves or self.canary_ids):
            return DEFAULT_OVERDUE
        return self.overdue_after

    @cached_property
    def all_waves(self) -> tuple[Wave, ...]:
        """Its waves; none where everybody is requested at once."""
        if not (self.waves or self.canary_ids):
            return ()
        # Whoever has re-enrolled without a request is no canary any more: nobody learns anything from it.
        canaries = [one for one in self.staying if one.id in self.canary_ids and (one.started or not one.reenrolled)]
        return waves(len(self.staying), len(canaries), self.waves)

    @property
    def wave(self) -> int | None:
        """The place of the open wave in `all_waves`; None when all are finished, or there are none."""
        finished = sum(member.started and (member.good or member.bad) for member in self.staying)
        if finished == sum(member.started or member.phase == QUEUED for member in self.staying):
            return None
        return open_wave(self.all_waves, finished)

    @property
    def halted(self) -> bool:
        """Whether more members are bad than `max_failed` allows, or a canary is: the roll-out starts nobody new."""
        if not self.all_waves:
            return False
        staying = self.staying
        bad = {member.id for member in staying if member.bad}
        started = sum(member.started for member in staying)
        return len(bad) > allowed(self.max_failed, started) or not bad.isdisjoint(self.canary_ids)

    def in_phase(self, phases: Iterable[str]) -> list[Member]:
        """The members in one of the phases."""
        wanted = tuple(phases)
        return [member for member in self.members.values() if member.phase in wanted]


def fleet_of(name: str, engine: Engine, state: Mapping[str, Any], *, shown_secrets: bool = False) -> Fleet:
    """The fleet that a state records.

    Raises:
        RecordError: the state is not one that this release reads; names the fleet.
    """
    if hidden := sorted(key for key in ("members", "status", "version") if _has_hidden(state.get(key))):
        return Fleet(name, engine, unreadable=f"its {text.listed(hidden)} are secret in this document")
    if not state.get("members"):
        return Fleet(name, engine, unreadable="the state records no members")
    try:
        return _fleet(name, engine, state, shown_secrets=shown_secrets)
    except (msgspec.ValidationError, RecordError, ValueError, AttributeError, TypeError, KeyError) as error:
        came_back = error.came_back if isinstance(error, RecordError) else str(error)
        raise RecordError(
            f'The recorded state of fleet "{text.safe(name)}" can\'t be read',
            text.safe(came_back, 400),
            "Use the release that wrote it, or export the state again.",
        ) from None


def _fleet(name: str, engine: Engine, state: Mapping[str, Any], *, shown_secrets: bool) -> Fleet:
    state = {key: value for key, value in state.items() if value is not None}
    version = int(state.get("version") or 1)
    if version > VERSION:
        raise ValueError(f"its version is {version}, and this release reads up to version {VERSION}")
    given = {member_id: _version_2(member_id, member) for member_id, member in state["members"].items()}
    members = msgspec.convert(given, dict[str, Member])
    waves(len(members), 0, tuple(state.get("waves") or ()))
    allowed(str(state.get("max_failed", "0")), 0)
    return Fleet(
        name,
        engine,
        status=ReenrollmentStatus.parse(state["status"]).value,
        members=members,
        waves=tuple(state.get("waves") or ()),
        canary_ids=tuple(map(guid.canonical, state.get("canary_ids") or ())),
        max_failed=str(state.get("max_failed", "0")),
        overdue_after=seconds(state["overdue_after"]) if "overdue_after" in state else None,
        paused=state.get("paused") is True,
        trouble=str(state.get("trouble") or ""),
        shown_secrets=shown_secrets,
        timed=version >= VERSION,
        record=Record.from_state(for_the_core(name, state)),
    )


def _version_2(member_id: str, member: Mapping[str, Any]) -> dict[str, Any]:
    """A member of a state of either version as version 2 has it; Terraform's nulls are left out."""
    given = {_OLD_NAMES.get(key, key): value for key, value in member.items() if value is not None}
    if given.get("phase") == "refused":
        given["phase"] = "rejected"
    if given.get("phase") not in PHASES:
        raise ValueError(f"{given.get('phase')!r} is not a phase that this release knows")
    return given | {"id": member_id}


def for_the_core(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state as `Record.from_state` of this release takes it."""
    members = {}
    for member_id, member in state["members"].items():
        given = _version_2(member_id, member)
        lowered = {_NEW_NAMES.get(key, key): value for key, value in given.items()}
        if lowered["phase"] == "rejected":
            lowered["phase"] = "refused"
        known = ("status", "phase", "reason", "baseline", "asked", "ours", "machine")
        members[member_id] = {key: lowered[key] for key in known if key in lowered}
    return {
        "version": 1,
        "fleet": name,
        "status": ReenrollmentStatus.parse(state["status"]).value,
        "members": members,
        "triggers": {} if _has_hidden(state.get("triggers")) else state.get("triggers") or {},
        "on_removal": state.get("on_removal") or "unset",
        "on_failure": state.get("on_failure") or "error",
        "trouble": state.get("trouble") or "",
    }


def observed(fleet: Fleet, state: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """The fleet after a look at Command.

    Args:
        state: what the core has made of the look.
        facts: fields of members that the look has told besides, by GUID.
    """
    members = {}
    for member_id, member in state["members"].items():
        before = fleet.members[member_id]
        recorded = {name: getattr(before, name) for name in ("requested_at", "accepted_at", "reenrolled_at")}
        judged = msgspec.convert(_version_2(member_id, member), Member)
        members[member_id] = msgspec.structs.replace(judged, **{**recorded, **facts.get(member_id, {})})
    return replace(fleet, members=members)


def _has_hidden(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_hidden, value.values()))
    return any(map(_has_hidden, value)) if isinstance(value, list) else value is HIDDEN
