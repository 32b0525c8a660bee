"""What is recorded of a fleet between runs: its members, and what was desired of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from keyfactor_provider.reenrollment.desired import EVERYBODY, Desired, OnFailure, OnRemoval, Rollout
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.text import safe


class Phase(StrEnum):
    """Where a member stands in its round."""

    DUE = "due"
    """Still to be requested. Queued, unless a flag is set (the reason names it) or another status was requested."""
    PENDING = "pending"
    """The flag has the desired status; the orchestrator has not re-enrolled yet."""
    REENROLLED = "re-enrolled"
    """It holds another certificate than at the start of the round."""
    UNVERIFIED = "unverified"
    """Its flag is gone after it was requested, and it has no certificate that could tell why."""
    SETTLED = "settled"
    """Nothing is desired and no flag stands."""
    CHANGED = "changed"
    """Its flag was set to another status outside this stack."""
    CLEARED = "cleared"
    """Its flag was cleared outside this stack before it had re-enrolled."""
    REJECTED = "rejected"
    """Command did not accept the request for it."""
    UNREACHED = "unreached"
    """The call failed, or was not sent."""
    MISSING = "missing"
    """It was not found in Command when it was to be requested."""
    LEAVING = "leaving"
    """It was removed from the fleet, and its flag could not be cleared yet."""


FAILED: Final = frozenset({Phase.REJECTED, Phase.UNREACHED, Phase.MISSING})
"""The phases that the next run requests again."""

DRIFTED: Final = frozenset({Phase.CHANGED, Phase.CLEARED})
"""The phases in which a flag that this round had seen in place was changed or cleared outside this stack."""

UNSEEN: Final = msgspec.UNSET
"""The baseline of a member whose agent no observation of its round has shown yet."""

# Looked up once: an enum's class takes its time to give a member, and a fleet may have 100,000 of its own.
_DUE: Final = Phase.DUE
_NONE: Final = ReenrollmentStatus.NONE

NO_FLAGS: Final = frozenset[ReenrollmentStatus]()
"""A member's `owned_flags` when there are none: this very object is left out of the state."""

GONE: Final = "gone from Command since it re-enrolled"
"""The reason of a re-enrolled member whose agent was deleted afterwards."""


# A Struct, as the observations are: a third of a dataclass's time, nothing for the garbage collector to go through in
# a fleet of 100,000, and its form in state comes with it (bench: deciding).
class Member(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True, rename={"desired": "status"}
):
    """One orchestrator of a fleet, in its current round.

    Times are RFC 3339 in UTC with whole seconds, as `Moment` writes them; empty where there is none.

    Attributes:
        desired: the status that was desired of it in the last run.
        baseline_thumbprint: its thumbprint at the first observation of the round that showed it; empty when it had
            none then, UNSEEN before such an observation.
        reason: why the phase is what it is, where that needs saying.
        requested_status: the status that was last accepted or adopted in this round.
        owned_flags: every status that this fleet requested or adopted and has not since observed to be gone.
        machine: its ClientMachine when last observed, for messages.
        requested_at: the first acceptance or adoption in the round, or that of another status before re-enrollment.
        accepted_at: the last acceptance, for as long as Command may still show what stood before it.
        reenrolled_at: the first observation that showed the new certificate.
        in_use: whether its new certificate was presented; once observed, it stays so.
        overdue: whether it was requested too long ago at the last observation.
    """

    desired: ReenrollmentStatus
    phase: Phase
    baseline_thumbprint: str | msgspec.UnsetType = UNSEEN
    reason: str = ""
    requested_status: ReenrollmentStatus | None = None
    owned_flags: frozenset[ReenrollmentStatus] = NO_FLAGS
    machine: str = ""
    requested_at: str = ""
    accepted_at: str = ""
    reenrolled_at: str = ""
    in_use: bool = False
    overdue: bool = False

    @property
    def queued(self) -> bool:
        """Whether it has not been selected for a request in this round, although one is desired."""
        return self.phase is _DUE and self.requested_status is None and not self.reason and self.desired is not _NONE


@dataclass(frozen=True)
class Record:
    """A fleet as the last run left it.

    Attributes:
        fleet: the name that messages use.
        status: that was desired in the last run.
        members: by canonical GUID, including removed members whose flag could not be cleared.
        trouble: what went wrong between this project and Command in the last run; empty when nothing did.
    """

    fleet: str
    status: ReenrollmentStatus = ReenrollmentStatus.NONE
    members: Mapping[str, Member] = field(default_factory=dict)
    triggers: Mapping[str, str] = field(default_factory=dict)
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"
    rollout: Rollout = EVERYBODY
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
        return f"{safe(member.machine)} ({member_id})" if member and member.machine else member_id

    def desired(self) -> Desired:
        """What was desired in the last run, for the members that have not left."""
        return Desired(
            fleet=self.fleet,
            members=frozenset(member_id for member_id, _ in self.staying()),
            status=self.status,
            triggers=self.triggers,
            on_removal=self.on_removal,
            on_failure=self.on_failure,
            rollout=self.rollout,
        )

    # The lists of GUIDs that every front end offers.

    def failed_ids(self) -> list[str]:
        """Rejected by Command, not reached, or not found."""
        return self.having(*FAILED)

    def pending_ids(self) -> list[str]:
        """Requested, and not re-enrolled at the last observation."""
        return self.having(Phase.PENDING)

    def reenrolled_ids(self) -> list[str]:
        """Re-enrolled in this round."""
        return self.having(Phase.REENROLLED)

    def queued_ids(self) -> list[str]:
        """Not requested yet because of a limit of the roll-out."""
        return sorted(member_id for member_id, member in self.members.items() if member.queued)

    def overdue_ids(self) -> list[str]:
        """Requested longer ago than allowed, and not both re-enrolled and in use."""
        return sorted(member_id for member_id, member in self.members.items() if member.overdue)
