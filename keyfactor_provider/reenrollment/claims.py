"""Which fleet of a run claims an orchestrator, and which flags a fleet holds once its step is done.

A claim alone does not protect a flag from being cleared, because the claiming fleet's step may never run: something
else may fail first. Only the flags that a fleet holds after its step are protected.
"""

from collections.abc import Collection, Iterable, Mapping

from keyfactor_provider.reenrollment.record import Member
from keyfactor_provider.status import ReenrollmentStatus


class Claims:
    """The claims of one run. Fleet names are unique within it."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}
        self._claimed: dict[str, Collection[str]] = {}
        self._held: dict[str, frozenset[ReenrollmentStatus]] = {}
        self._cleared: set[str] = set()

    def claim(self, fleet: str, members: Collection[str]) -> dict[str, str]:
        """Replaces a fleet's claim. Returns the members that another fleet has claimed, with that fleet's name."""
        for member_id in self._claimed.pop(fleet, ()):
            if self._owner.get(member_id) == fleet:
                del self._owner[member_id]
                self._held.pop(member_id, None)
        self._claimed[fleet] = members
        owners = {member_id: self._owner.setdefault(member_id, fleet) for member_id in sorted(members)}
        return {member_id: owner for member_id, owner in owners.items() if owner != fleet}

    def hold(self, fleet: str, members: Mapping[str, Member]) -> None:
        """Records that a fleet's step is done: it holds the owned flags of the members that it claims."""
        held = {guid: member.owned_flags for guid, member in members.items() if self._owner.get(guid) == fleet}
        self._held |= held
        self._cleared -= held.keys()

    def clear(self, members: Iterable[str]) -> None:
        """Records that the flags of removed members were cleared; another fleet may still have them recorded."""
        self._cleared.update(members)

    def disturbed(self, members: Collection[str]) -> bool:
        """Whether any member's flag was cleared in this run after it was last recorded."""
        return not self._cleared.isdisjoint(members)

    def held(self, members: Iterable[str]) -> dict[str, frozenset[ReenrollmentStatus]]:
        """The members whose flags a fleet of this run holds, with those flags."""
        return {member_id: self._held[member_id] for member_id in members if member_id in self._held}
