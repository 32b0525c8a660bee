"""Waiting for a completion: look by look, with no engine and no sleeping in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyfactor_provider.errors import CompletionTimeout, Unreachable
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.completion import Progress

_PAUSE_FIRST: Final = 1.0
_PAUSE_MOST: Final = 15.0
_SHORTEST: Final = 1.0
"""Seconds that even the last look has."""
MOST_SECONDS: Final = 7 * 24 * 3600
"""The longest that a completion may be told to wait."""


@dataclass(frozen=True)
class Look:
    """What one look left.

    Attributes:
        pause: seconds until the next one; None when all is complete.
        news: how far it is, where that has changed since the last look.
        warnings: what to know of members that count as complete although not all is as one would wish.
    """

    pause: float | None
    news: str = ""
    warnings: tuple[str, ...] = ()


class Wait:
    """One wait until every member of a round counts as complete.

    Args:
        progress: reads Command, within so many seconds, and says how far these members are.
        name: what messages call the completion, as the subject of a sentence.
        members: as they stand in a fleet's state.
        timeout: seconds from now on.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        progress: Callable[[Mapping[str, Any], float], Progress],
        name: str,
        members: Mapping[str, Any],
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._progress, self._name, self._members, self._timeout, self._clock = progress, name, members, timeout, clock
        self._until = clock() + timeout
        self._pause, self._said = _PAUSE_FIRST, ""

    def look(self) -> Look:
        """Reads Command once.

        Raises:
            CompletionTimeout: the time is up; names the members still to come.
            CommandError: Command refuses to be read, which waiting does not heal.
        """
        waiting: dict[str, str] = {}
        trouble = ""
        try:
            made = self._progress(self._members, max(self._until - self._clock(), _SHORTEST))
            waiting = made.waiting
            if not waiting:
                return Look(None, warnings=self._grouped(made.warnings))
        except Unreachable as error:
            trouble = str(error)
        left = self._until - self._clock()
        if left <= 0:
            raise CompletionTimeout(
                f"{self._name} is not complete after {self._timeout:g} s",
                trouble or self._still(waiting),
                "Nothing is lost: the next run waits again. Look at those named, or raise timeout.",
            )
        total = len(self._members)
        now = trouble or f"{total - len(waiting)} of {report.count(total)} complete"
        news, self._said = now if now != self._said else "", now
        pause, self._pause = min(self._pause, left), min(self._pause * 1.5, _PAUSE_MOST)
        return Look(pause, news)

    def _grouped(self, warnings: Mapping[str, str]) -> tuple[str, ...]:
        groups: dict[str, list[str]] = {}
        for member_id, warning in sorted(warnings.items()):
            groups.setdefault(warning, []).append(self._called(member_id))
        return tuple(f"{self._name}: {report.each_of(names, warning)}" for warning, names in groups.items())

    def _still(self, waiting: Mapping[str, str]) -> str:
        names = [f"{self._called(member_id)}: {reason}" for member_id, reason in sorted(waiting.items())]
        return f"{len(waiting)} of {report.count(len(self._members))} still to come: {report.listed(names)}"

    def _called(self, member_id: str) -> str:
        machine = self._members[member_id].get("machine")
        return f"{machine} ({member_id})" if machine else member_id
