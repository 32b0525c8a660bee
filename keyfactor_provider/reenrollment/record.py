"""What is remembered of a fleet between runs, and its form in an engine's state."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.wish import OnFailure, OnRemoval, Wish
from keyfactor_provider.status import ReenrollmentStatus

VERSION: Final = 1
"""Of the form in state; a change of the form needs a reader for every older one."""


class Phase(str, Enum):
    """Where a member stands in its round."""

    DUE = "due"
    """Still to be asked."""
    PENDING = "pending"
    """The flag stands at the wanted status; the orchestrator has not re-enrolled yet."""
    REENROLLED = "re-enrolled"
    """It holds a certificate other than at the start of the round."""
    UNVERIFIED = "unverified"
    """Its flag is gone after it was asked, and it has no certificate that could tell why."""
    SETTLED = "settled"
    """Nothing is wanted and no flag stands."""
    CHANGED = "changed"
    """Somebody set its flag to another status."""
    CLEARED = "cleared"
    """Somebody took its flag back before it had re-enrolled."""
    REFUSED = "refused"
    """Command did not accept the request for it."""
    UNREACHED = "unreached"
    """The call failed, or was not sent."""
    MISSING = "missing"
    """Command has no such orchestrator."""
    LEAVING = "leaving"
    """It left the fleet and our flag could not be taken back yet."""


FAILED: Final = frozenset({Phase.REFUSED, Phase.UNREACHED, Phase.MISSING})
"""The phases that fail a run and are asked again, alone, by the next."""

DRIFTED: Final = frozenset({Phase.CHANGED, Phase.CLEARED})
"""The phases in which somebody else moved a flag that this round had seen in place."""

UNSEEN: Final = object()
"""The baseline of a member whose agent no reading of its round has shown yet."""


# Looked up, since calling an enum costs far more, and a fleet of 100,000 is read in every diff (bench: deciding).
_STATUSES: Final = {status.value: status for status in ReenrollmentStatus}
_PHASES: Final = {phase.value: phase for phase in Phase}


# A Struct, as the readings of it are: a third of a dataclass's time, and nothing for the garbage collector to
# go through in a fleet of 100,000 (bench: deciding).
class Member(msgspec.Struct, frozen=True, gc=False):
    """One orchestrator of a fleet, in its current round.

    Attributes:
        wish: the status wanted of it in the last run.
        baseline: its thumbprint at the first reading of the round that showed it; None when it had
            none then, UNSEEN before such a reading.
        reason: why the phase is what it is, where that needs saying.
        asked: the status that was last accepted or adopted in this round.
        ours: every status that this fleet posted or adopted and has not seen gone since.
        machine: its ClientMachine when last seen, for messages.
    """

    wish: ReenrollmentStatus
    phase: Phase = Phase.DUE
    baseline: Any = UNSEEN
    reason: str = ""
    asked: ReenrollmentStatus | None = None
    ours: frozenset[ReenrollmentStatus] = frozenset()
    machine: str = ""

    def to_state(self) -> dict[str, Any]:
        """The compact form in state: what can be left out is."""
        state: dict[str, Any] = {"status": self.wish.value, "phase": self.phase.value}
        if self.baseline is not UNSEEN:
            state["baseline"] = self.baseline or ""
        if self.asked is not None:
            state["asked"] = self.asked.value
        if self.ours:
            state["ours"] = sorted(status.value for status in self.ours)
        for name in ("reason", "machine"):
            if getattr(self, name):
                state[name] = getattr(self, name)
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Member":
        """The member that `to_state` wrote."""
        baseline = state.get("baseline", UNSEEN)
        asked = state.get("asked")
        return cls(
            wish=_STATUSES[state["status"]],
            phase=_PHASES[state["phase"]],
            baseline=baseline if baseline is UNSEEN else baseline or None,
            reason=state.get("reason", ""),
            asked=_STATUSES[asked] if asked else None,
            ours=frozenset([_STATUSES[status] for status in state.get("ours", ())]),
            machine=state.get("machine", ""),
        )


@dataclass(frozen=True)
class Record:
    """What is remembered of a fleet.

    Attributes:
        trouble: what went wrong between this project and Command in the last run, as a whole message.
    """

    fleet: str
    status: ReenrollmentStatus = ReenrollmentStatus.NONE
    members: Mapping[str, Member] = field(default_factory=dict)
    triggers: Mapping[str, str] = field(default_factory=dict)
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"
    trouble: str = ""

    def having(self, *phases: Phase) -> list[str]:
        """The GUIDs of the members in one of the phases, sorted."""
        return sorted(member_id for member_id, member in self.members.items() if member.phase in phases)

    def staying(self) -> Iterator[tuple[str, Member]]:
        """The members that have not left the fleet."""
        return ((member_id, member) for member_id, member in self.members.items() if member.phase is not Phase.LEAVING)

    def name(self, member_id: str) -> str:
        """A member as messages name it: its machine, when known, and its GUID."""
        member = self.members.get(member_id)
        return f"{member.machine} ({member_id})" if member and member.machine else member_id

    def to_state(self) -> dict[str, Any]:
        """The outputs an engine keeps; `read` and `diff` need nothing else."""
        return {
            "version": VERSION,
            "fleet": self.fleet,
            "status": self.status.value,
            "members": {member_id: self.members[member_id].to_state() for member_id in sorted(self.members)},
            "triggers": dict(self.triggers),
            "on_removal": self.on_removal,
            "on_failure": self.on_failure,
            "trouble": self.trouble,
            "failed_orchestrator_ids": self.having(*FAILED),
            "pending_orchestrator_ids": self.having(Phase.PENDING),
            "reenrolled_orchestrator_ids": self.having(Phase.REENROLLED),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Record":
        """The record that `to_state` wrote, in this or any older version.

        Raises:
            RecordError: the state is not one of this project's, or is newer than this version.
        """
        version = state.get("version")
        if version != VERSION:
            raise RecordError(
                "The state of an OrchestratorReenrollment can't be read",
                f"its version is {version!r}, and this release reads version {VERSION}",
                "Use the release that wrote it, or a newer one.",
            )
        return cls(
            fleet=state["fleet"],
            status=ReenrollmentStatus(state["status"]),
            members={member_id: Member.from_state(member) for member_id, member in state["members"].items()},
            triggers=state.get("triggers") or {},
            on_removal=state["on_removal"],
            on_failure=state["on_failure"],
            trouble=state.get("trouble", ""),
        )

    def wish(self) -> Wish:
        """The wish of the last run, for the members that have not left."""
        return Wish(
            fleet=self.fleet,
            members=frozenset(member_id for member_id, _ in self.staying()),
            status=self.status,
            triggers=self.triggers,
            on_removal=self.on_removal,
            on_failure=self.on_failure,
        )
