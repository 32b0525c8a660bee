"""Waits for a completion, one observation at a time; the caller does the sleeping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keyfactor_provider.errors import CompletionFailed, CompletionTimeout, Unreachable
from keyfactor_provider.messages import Message
from keyfactor_provider.reenrollment.completion import Progress, allowed
from keyfactor_provider.reenrollment.record import Member
from keyfactor_provider.text import count, listed, named

_PAUSE_FIRST: Final = 1.0
_PAUSE_MOST: Final = 15.0
_SHORTEST: Final = 1.0
"""Seconds that an observation may take even at the deadline."""
MOST_SECONDS: Final = 7 * 24 * 3600
"""The longest time that a completion may wait."""


@dataclass(frozen=True)
class Step:
    """The result of one observation.

    Attributes:
        pause: seconds until the next one; None if the round is complete.
        messages: the progress, if it has changed, and warnings about members that count as complete.
    """

    pause: float | None
    messages: tuple[Message, ...] = ()


class Wait:
    """One wait until a round is complete.

    Args:
        progress: reads these members from Command within a number of seconds, and returns how far they are.
        name: the name of the completion, for messages.
        members: as recorded for the fleet.
        timeout: seconds from now; 0 reads Command once.
        clock: monotonic, in seconds.
        max_failed: how many members may fail; a number, or a percent of the members.
    """

    def __init__(
        self,
        progress: Callable[[Mapping[str, Member], float], Progress],
        name: str,
        members: Mapping[str, Member],
        timeout: float,
        clock: Callable[[], float],
        max_failed: str = "0",
    ) -> None:
        self._progress, self._name, self._members, self._timeout, self._clock = progress, name, members, timeout, clock
        self._allowed = allowed(max_failed, len(members))
        self._until = clock() + timeout
        self._pause, self._told = _PAUSE_FIRST, ""

    def step(self) -> Step:
        """Reads Command once.

        Raises:
            CompletionFailed: members are queued, and only another run requests them.
            CompletionTimeout: the time is up; names the members that are not complete.
            CommandError: Command can't be read, and waiting would not help.
        """
        trouble, current = "", Progress()
        try:
            current = self._progress(self._members, max(self._until - self._clock(), _SHORTEST))
        except Unreachable as error:
            trouble = str(error)
        if current.queued:
            raise self._still_queued(current)
        if not trouble and not current.waiting and len(current.bad) <= self._allowed:
            return Step(None, self._warnings(current))
        left = self._until - self._clock()
        if left <= 0:
            remaining = current.bad | current.waiting
            if trouble or self._timeout == 0 or len(remaining) > self._allowed:
                raise self._timed_out(trouble, remaining)
            return Step(None, self._warnings(Progress(warnings=current.warnings, bad=remaining)))
        text = trouble or f"{len(current.complete)} of {count(len(self._members))} complete"
        messages = (
            () if text == self._told else (Message(self._name, "info", "completion-progress", "waiting", f"{text}."),)
        )
        self._told = text
        pause, self._pause = min(self._pause, left), min(self._pause * 1.5, _PAUSE_MOST)
        return Step(pause, messages)

    def _warnings(self, current: Progress) -> tuple[Message, ...]:
        groups: dict[str, list[str]] = {}
        for member_id, warning in sorted({**current.warnings, **current.bad}.items()):
            groups.setdefault(warning, []).append(member_id)
        return tuple(
            Message(
                self._name,
                "warning",
                "completion-warning",
                f"completed with warnings on {count(len(ids))}",
                f"{listed([self._name_of(member_id) for member_id in ids])}: {warning}.",
                tuple(ids),
            )
            for warning, ids in groups.items()
        )

    def _still_queued(self, current: Progress) -> CompletionFailed:
        return CompletionFailed(
            f"{len(current.queued)} of {count(len(self._members))} queued",
            "the roll-out has not requested them yet, and does not continue while this completion waits",
            "Nothing is lost. The next run of the fleet continues its roll-out. Give the completion its own stack.",
            resource=self._name,
        )

    def _timed_out(self, trouble: str, remaining: Mapping[str, str]) -> CompletionTimeout:
        names = [f"{self._name_of(member_id)}: {reason}" for member_id, reason in sorted(remaining.items())]
        more = f", of which {self._allowed} may be" if self._allowed else ""
        came_back = f"{len(remaining)} of {count(len(self._members))} not complete{more}: {listed(names)}"
        return CompletionTimeout(
            f"not complete after {self._timeout:g} s",
            trouble or came_back,
            "Nothing is lost: the next run waits again. Look into those named, or raise timeout.",
            resource=self._name,
        )

    def _name_of(self, member_id: str) -> str:
        return named(self._members[member_id].machine, member_id)
