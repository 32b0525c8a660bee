"""Which fleet of a run an orchestrator belongs to: who names it, and who has made it its own by now.

A claim alone cancels nothing and saves nothing: the claimant's turn may never come, because something else
fails before it. Only what a fleet holds, its step done, is kept from being taken back by another.
"""

from collections.abc import Collection, Iterable, Mapping

from keyfactor_provider.reenrollment.record import Member
from keyfactor_provider.status import ReenrollmentStatus


class Claims:
    """The claims of one run; fleets are known by their names."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}
        self._named: dict[str, Collection[str]] = {}
        self._held: dict[str, frozenset[ReenrollmentStatus]] = {}
        self._released: set[str] = set()
        self._had: dict[str, frozenset[str]] = {}

    def claim(self, name: str, members: Collection[str]) -> dict[str, str]:
        """Claims members for a fleet, in place of what it claimed before; those that another has, with its name."""
        self._had.pop(name, None)
        for member_id in self._named.pop(name, ()):
            if self._owner.get(member_id) == name:
                del self._owner[member_id]
                self._held.pop(member_id, None)
        self._named[name] = members
        owners = {member_id: self._owner.setdefault(member_id, name) for member_id in sorted(members)}
        return {member_id: owner for member_id, owner in owners.items() if owner != name}

    def has(self, name: str, members: Iterable[str]) -> None:
        """Notes whom a fleet has by its state, until it claims whom it wants."""
        self._had[name] = frozenset(members)

    def hold(self, name: str, members: Mapping[str, Member]) -> None:
        """A fleet's step is done: what it records of the members that it claims holds from now on."""
        mine = [member_id for member_id in members if self._owner.get(member_id) == name]
        self._held.update((member_id, members[member_id].ours) for member_id in mine)
        self._released.difference_update(mine)

    def release(self, members: Iterable[str]) -> None:
        """The flags of members are being taken back, whoever may want them."""
        self._released.update(members)

    def of_others(self, name: str, members: Iterable[str]) -> frozenset[str]:
        """Those of the members that another fleet claims."""
        return frozenset(member_id for member_id in members if self._owner.get(member_id, name) != name)

    def wanted_elsewhere(self, name: str, members: Iterable[str]) -> frozenset[str]:
        """Those of the members that another fleet claims, or has by its state and has not claimed yet."""
        had = frozenset().union(*(each for owner, each in self._had.items() if owner != name))
        return self.of_others(name, members) | had.intersection(members)

    def held(self, members: Iterable[str]) -> dict[str, frozenset[ReenrollmentStatus]]:
        """Those of the members that a fleet of this run holds, and the flags that it calls its own."""
        return {member_id: self._held[member_id] for member_id in members if member_id in self._held}

    def awaited(self, name: str, members: Iterable[str]) -> frozenset[str]:
        """Those of the members that a fleet claims, and does not hold yet."""
        return frozenset(
            member_id for member_id in members if self._owner.get(member_id) == name and member_id not in self._held
        )

    def underway(self, name: str, members: Iterable[str]) -> bool:
        """Whether another fleet claims one of the members, and its step is still to come."""
        return any(member_id not in self._held for member_id in self.of_others(name, members))

    def lost(self, members: Collection[str]) -> bool:
        """Whether the flag of one of the members was taken back since it was last recorded."""
        return not self._released.isdisjoint(members)
