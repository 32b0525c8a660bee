"""Which fleet of a run an orchestrator belongs to: who names it, and which flags a fleet owns once its step is done.

A claim alone keeps no flag from being cleared: the claimant's step may never come, because something else fails before
it. Only what a fleet holds, its step done, is kept from being cleared by another.
"""

from collections.abc import Collection, Iterable, Mapping

from keyfactor_provider.reenrollment.record import Member
from keyfactor_provider.status import ReenrollmentStatus


class Claims:
    """The claims of one run; fleets are known by names that are unique in it."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}
        self._claimed: dict[str, Collection[str]] = {}
        self._held: dict[str, frozenset[ReenrollmentStatus]] = {}
        self._cleared: set[str] = set()

    def claim(self, fleet: str, members: Collection[str]) -> dict[str, str]:
        """Claims members for a fleet, in place of what it claimed before; those that another has, with its name."""
        for member_id in self._claimed.pop(fleet, ()):
            if self._owner.get(member_id) == fleet:
                del self._owner[member_id]
                self._held.pop(member_id, None)
        self._claimed[fleet] = members
        owners = {member_id: self._owner.setdefault(member_id, fleet) for member_id in sorted(members)}
        return {member_id: owner for member_id, owner in owners.items() if owner != fleet}

    def hold(self, fleet: str, members: Mapping[str, Member]) -> None:
        """A fleet's step is done: it owns the flags that it records of the members that it claims."""
        own = {one: member.owned_flags for one, member in members.items() if self._owner.get(one) == fleet}
        self._held |= own
        self._cleared -= own.keys()

    def clear(self, members: Iterable[str]) -> None:
        """The flags of members that left a fleet were cleared; another fleet may still record them."""
        self._cleared.update(members)

    def disturbed(self, members: Collection[str]) -> bool:
        """Whether the flag of one of the members was cleared in this run since it was last recorded."""
        return not self._cleared.isdisjoint(members)

    def held(self, members: Iterable[str]) -> dict[str, frozenset[ReenrollmentStatus]]:
        """Those of the members that a fleet of this run holds, and the flags that it owns."""
        return {member_id: self._held[member_id] for member_id in members if member_id in self._held}
