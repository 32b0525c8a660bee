"""What is recorded about a fleet between runs: its members and their desired state."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from keyfactor_provider.reenrollment.desired import ALL_AT_ONCE, Desired, OnFailure, OnRemoval, Rollout
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.text import named


class Phase(StrEnum):
    """Where a member stands in its round."""

    DUE = "due"
    """Still to be requested. Queued, unless a flag is set (the reason names it) or another status was requested."""
    PENDING = "pending"
    """The flag has the desired status; the orchestrator has not re-enrolled yet."""
    REENROLLED = "re-enrolled"
    """Its certificate differs from the one at the start of the round."""
    UNVERIFIED = "unverified"
    """Its flag was cleared after the request, and it has no certificate that would show whether it re-enrolled."""
    SETTLED = "settled"
    """The desired status is None and no flag is set."""
    CHANGED = "changed"
    """Its flag was set to another status outside this stack."""
    CLEARED = "cleared"
    """Its flag was cleared outside this stack before it had re-enrolled."""
    REJECTED = "rejected"
    """Command did not accept the request for it."""
    UNREACHED = "unreached"
    """The call to Command failed, or was not sent."""
    MISSING = "missing"
    """It was not found in Command when it should be requested."""
    LEAVING = "leaving"
    """It was removed from the fleet, but its flag could not be cleared yet."""


FAILED: Final = frozenset({Phase.REJECTED, Phase.UNREACHED, Phase.MISSING})
"""The phases of failed members, which the next run retries."""

DRIFTED: Final = frozenset({Phase.CHANGED, Phase.CLEARED})
"""The phases of members whose flag was set in this round and then changed or cleared outside this stack."""

UNSEEN: Final = msgspec.UNSET
"""The baseline of a member whose agent has not been observed in its round yet."""

# Looked up once: access through the enum class is slow, and a fleet may have 100,000 members.
_DUE: Final = Phase.DUE
_NONE: Final = ReenrollmentStatus.NONE

NO_FLAGS: Final = frozenset[ReenrollmentStatus]()
"""The empty `owned_flags`. Only this very object counts as the default, which the state omits."""

GONE: Final = "gone from Command since it re-enrolled"
"""The reason recorded for a re-enrolled member whose agent was deleted afterwards."""


# A Struct, like the observations: three times as fast as a dataclass, untracked by the garbage collector in a fleet of
# 100,000, and with its state format built in (bench: deciding).
class Member(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True, rename={"desired": "status"}
):
    """One orchestrator of a fleet, in its current round.

    Times are RFC 3339 in UTC with whole seconds, as in `Moment`; empty if there is none.

    Attributes:
        desired: its desired status in the last run.
        baseline_thumbprint: its thumbprint when first observed in the round; empty if it had none then, UNSEEN before
            that observation.
        reason: why it is in this phase, where the phase does not say so itself.
        requested_status: the status last accepted or adopted in this round.
        owned_flags: every status that this fleet requested or adopted and has not observed as gone since.
        machine: its ClientMachine when last observed, for messages.
        requested_at: the first acceptance or adoption in this round, reset when another status is accepted.
        accepted_at: the last acceptance, kept only while Command may still show the state before it.
        reenrolled_at: when the new certificate was first observed.
        in_use: whether its new certificate was presented; stays true once observed.
        overdue: whether it was overdue at the last observation.
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
        """Whether it is to be requested, but has not been selected in this round yet."""
        return self.phase is _DUE and self.requested_status is None and not self.reason and self.desired is not _NONE


@dataclass(frozen=True)
class Record:
    """A fleet as the last run left it.

    Attributes:
        fleet: the name that messages use.
        status: the desired status in the last run.
        members: by canonical GUID, including removed members whose flag could not be cleared.
        trouble: the error that cut the last run short; empty if there was none.
    """

    fleet: str
    status: ReenrollmentStatus = ReenrollmentStatus.NONE
    members: Mapping[str, Member] = field(default_factory=dict)
    triggers: Mapping[str, str] = field(default_factory=dict)
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"
    rollout: Rollout = ALL_AT_ONCE
    trouble: str = ""

    def having(self, *phases: Phase) -> list[str]:
        """The GUIDs of the members in one of the phases, sorted."""
        return sorted(member_id for member_id, member in self.members.items() if member.phase in phases)

    def staying(self) -> Iterator[tuple[str, Member]]:
        """The members that were not removed from the fleet."""
        return ((member_id, member) for member_id, member in self.members.items() if member.phase is not Phase.LEAVING)

    def name(self, member_id: str) -> str:
        """A member as messages name it: its machine, if known, and its GUID."""
        member = self.members.get(member_id)
        return named(member.machine, member_id) if member else member_id

    def desired(self) -> Desired:
        """The desired state of the last run, for the members that were not removed."""
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
        """Requested longer ago than allowed, and not yet re-enrolled and in use."""
        return sorted(member_id for member_id, member in self.members.items() if member.overdue)
