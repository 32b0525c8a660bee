"""An independent implementation of the life of one orchestrator in one round, to compare the product with.

It follows a fleet's step through its calls, as the caller saw them, and says which requests were due and what must be
recorded. It imports nothing of the product's decisions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model.command import Event

FAILED = ("rejected", "unreached", "missing")
RESTING = ("pending", "re-enrolled", "unverified", "settled")
BATCH = 2
UNSEEN = "unseen"


@dataclass(frozen=True)
class Ghost:
    """The state that must be recorded for a member."""

    desired: str
    phase: str = "due"
    baseline: str | None = UNSEEN
    asked: str = ""
    ours: frozenset[str] = frozenset()


def entered(old: Ghost | None, desired: str, new_triggers: bool) -> Ghost:
    """The member at the beginning of a step, which continues, begins or closes its round."""
    if old is None:
        return Ghost(desired)
    begins = new_triggers or old.phase == "leaving" or (old.desired == "None") != (desired == "None")
    if begins:
        return Ghost(desired, ours=old.ours)
    if old.desired == desired or old.phase == "re-enrolled" or old.phase in FAILED:
        return replace(old, desired=desired)
    return replace(old, desired=desired, phase="due")


def after_reading(ghost: Ghost, shown: Any) -> tuple[Ghost, bool]:
    """The member after a read, and whether it must be requested: the eight rules of the design in order."""
    if shown is not None:
        ghost = replace(ghost, ours=ghost.ours & {shown.flag})
    if ghost.desired == "None":
        if shown is None or shown.flag == "None":
            return Ghost("None", "settled"), False
        return replace(ghost, phase="changed" if ghost.phase == "settled" else ghost.phase), True
    if ghost.phase == "re-enrolled":
        return ghost, False
    if shown is None:
        return replace(ghost, phase="missing"), False
    if ghost.baseline == UNSEEN:
        ghost = replace(ghost, baseline=shown.thumbprint)
    elif shown.thumbprint not in (None, ghost.baseline):
        return replace(ghost, phase="re-enrolled"), False
    if shown.flag == ghost.desired:
        return replace(ghost, phase="pending", asked=ghost.desired, ours=frozenset({ghost.desired})), False
    was_in_place = ghost.asked == ghost.desired
    if shown.flag == "None" and was_in_place and shown.thumbprint is None and ghost.baseline is None:
        return replace(ghost, phase="unverified"), False
    if ghost.phase in ("rejected", "unreached", "missing"):
        return ghost, True
    drift = "cleared" if shown.flag == "None" else "changed"
    return replace(ghost, phase=drift if was_in_place else "due"), True


@dataclass
class Step:
    """A create, update or delete of one fleet, followed through its calls.

    Attributes:
        staying, leaving: the members at the beginning of the step (`entered`).
        view: by GUID, the agents that the process has read and not written to since.
        down: whether an earlier step of the process could not reach Command.
        asked: every (status, GUID) that was posted.
    """

    staying: dict[str, Ghost]
    leaving: dict[str, Ghost]
    view: dict[str, Any]
    down: bool
    asked: list[tuple[str, str]] = field(default_factory=list)
    _due: dict[str, str] = field(default_factory=dict)
    _open: dict[str, str] = field(default_factory=dict)
    _alone: dict[str, str] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)
    _decided: bool = False

    def follow(self, events: Iterable[Event]) -> None:
        """Follow the calls; then `staying` must be recorded, and `leaving` has the flags that were not cleared."""
        unread = self.down
        for event in events:
            assert not self.down, "a call although Command could not be reached"
            if event.kind == "read":
                self.view |= event.shown
                self._reread()
            elif event.kind.startswith("read-"):
                unread = unread or not self._decided
            else:
                self._decide(unread)
                self._called(event)
            self.down = event.kind.endswith("-outage")
        self._decide(unread)
        self._judge_singles()
        for agent_id in list(self._due):  # never sent
            self._failed(agent_id, "unreached")
        self.leaving = {agent_id: ghost for agent_id, ghost in self.leaving.items() if ghost.phase == "leaving"}

    def _decide(self, unread: bool) -> None:
        if self._decided:
            return
        self._decided = True
        if unread and (self.staying or self.leaving):
            for agent_id, ghost in self.leaving.items():
                self.leaving[agent_id] = replace(ghost, phase="leaving" if ghost.ours else "gone")
            return
        for agent_id in [*self.staying, *self.leaving]:
            assert agent_id in self.view, "decided without a read since the last write"
            self._see(agent_id)

    def _see(self, agent_id: str) -> None:
        self._due.pop(agent_id, None)
        shown = self.view[agent_id]
        if agent_id in self.staying:
            ghost, ask = after_reading(self.staying[agent_id], shown)
            self.staying[agent_id] = ghost
            status = ghost.desired
        else:
            ghost = self.leaving[agent_id]
            ours = ghost.ours & {shown.flag} if shown is not None else frozenset()
            ask, status = bool(ours), "None"
            self.leaving[agent_id] = replace(ghost, ours=ours, phase="to go" if ask else "gone")
        if ask:
            self._due[agent_id] = status

    def _reread(self) -> None:
        """Judge a call with an open outcome again once all its members have been read."""
        if self._open.keys() <= self.view.keys():
            for agent_id in self._open:
                self._see(agent_id)
            self._open.clear()

    def _called(self, event: Event) -> None:
        assert len(event.ids) == len(set(event.ids)) <= BATCH
        assert not self._open.keys() & set(event.ids), "an open call was sent again before its members were read"
        self._open.clear()
        for agent_id in event.ids:
            assert self._due.get(agent_id) == event.status, (
                f"{event.status} was requested of {agent_id}, which was not due"
            )
            self.asked.append((event.status, agent_id))
            self.view.pop(agent_id, None)
        if event.kind == "answered":
            self._answered.add(event.status)
            for agent_id in event.ids:
                if agent_id in event.failed:
                    self._failed(agent_id, "rejected")
                else:
                    self._accepted(agent_id, event.status)
        elif event.kind == "lost":
            for agent_id in event.ids:
                self._open[agent_id] = event.status
                self._failed(agent_id, "unreached", may_stand=event.status)
        elif event.kind == "rejected" and len(event.ids) == 1:
            self._alone[event.ids[0]] = self._due.pop(event.ids[0])

    def _accepted(self, agent_id: str, status: str) -> None:
        self._due.pop(agent_id)
        if agent_id in self.leaving:
            self.leaving[agent_id] = replace(self.leaving[agent_id], phase="gone")
        elif status == "None":
            self.staying[agent_id] = Ghost("None", "settled")
        else:
            ours = frozenset({status})
            self.staying[agent_id] = replace(self.staying[agent_id], phase="pending", asked=status, ours=ours)

    def _failed(self, agent_id: str, phase: str, may_stand: str = "None") -> None:
        self._due.pop(agent_id, None)
        if agent_id in self.leaving:
            self.leaving[agent_id] = replace(self.leaving[agent_id], phase="leaving")
        else:
            ghost = self.staying[agent_id]
            self.staying[agent_id] = replace(ghost, phase=phase, ours=ghost.ours | ({may_stand} - {"None"}))

    def _judge_singles(self) -> None:
        """A member that got 400 by itself is rejected, unless none was accepted: then the request is at fault."""
        for agent_id, status in self._alone.items():
            self._failed(agent_id, "rejected" if status in self._answered else "unreached")
