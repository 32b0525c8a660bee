"""What is remembered of a fleet between runs, and its form in an engine's state."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.desired import Desired, OnFailure, OnRemoval
from keyfactor_provider.status import ReenrollmentStatus

_UNREADABLE: Final = "The state of an OrchestratorReenrollment can't be read"

VERSION: Final = 1
"""Of the form in state; a change of the form needs a reader for every older one."""


class Phase(StrEnum):
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

UNSEEN: Final = msgspec.UNSET
"""The baseline of a member whose agent no reading of its round has shown yet."""

NONE_OURS: Final = frozenset[ReenrollmentStatus]()
"""What a member has as `ours` when no flag is: left out of the state, where another empty set would not be."""


# A Struct, as the readings of it are: a third of a dataclass's time, nothing for the garbage collector to go
# through in a fleet of 100,000, and its form in state comes with it (bench: deciding).
class Member(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"desired": "status"}):
    """One orchestrator of a fleet, in its current round.

    Attributes:
        desired: the status wanted of it in the last run.
        baseline: its thumbprint at the first reading of the round that showed it; empty when it had
            none then, UNSEEN before such a reading.
        reason: why the phase is what it is, where that needs saying.
        asked: the status that was last accepted or adopted in this round.
        ours: every status that this fleet posted or adopted and has not seen gone since.
        machine: its ClientMachine when last seen, for messages.
    """

    desired: ReenrollmentStatus
    phase: Phase
    baseline: str | msgspec.UnsetType = UNSEEN
    reason: str = ""
    asked: ReenrollmentStatus | None = None
    ours: frozenset[ReenrollmentStatus] = NONE_OURS
    machine: str = ""


def to_state(members: Mapping[str, Member]) -> dict[str, Any]:
    """Members by GUID as an engine keeps them: in the order of their GUIDs, what can be left out left out."""
    written: dict[str, Any] = msgspec.to_builtins(members, order="deterministic")
    return written


def from_state(members: Mapping[str, Any]) -> dict[str, Member]:
    """The members that `to_state` wrote.

    Raises:
        RecordError: they are not of this project.
    """
    try:
        return msgspec.convert(members, dict[str, Member])
    except msgspec.ValidationError as error:
        raise RecordError(
            _UNREADABLE,
            f"its members are not as this project writes them: {error}",
            "Put back the state of an earlier run, from the engine's history or a backup.",
        ) from None


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
            "members": to_state(self.members),
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
                _UNREADABLE,
                f"its version is {version!r}, and this release reads version {VERSION}",
                "Use the release that wrote it, or a newer one.",
            )
        return cls(
            fleet=state["fleet"],
            status=ReenrollmentStatus(state["status"]),
            members=from_state(state["members"]),
            triggers=state.get("triggers") or {},
            on_removal=state["on_removal"],
            on_failure=state["on_failure"],
            trouble=state.get("trouble", ""),
        )

    def desired(self) -> Desired:
        """The desired of the last run, for the members that have not left."""
        return Desired(
            fleet=self.fleet,
            members=frozenset(member_id for member_id, _ in self.staying()),
            status=self.status,
            triggers=self.triggers,
            on_removal=self.on_removal,
            on_failure=self.on_failure,
        )
