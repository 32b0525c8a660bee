"""What a process remembers of a Command that does not answer, so that not every fleet waits for it anew."""

from copy import copy
from math import inf
from typing import Final

from keyfactor_provider.errors import CommandError, Unauthorized, Unreachable

SHARED_FOR: Final = 60.0
"""Seconds after which Command is tried again: a fleet behind a long wait is not judged by an old failure."""


class Outage:
    """The last failure that concerns every call, whoever makes it."""

    def __init__(self) -> None:
        self._error: CommandError | None = None
        self._until = -inf

    def note(self, error: CommandError, now: float) -> None:
        """Remembers the error if the next call would meet it as well.

        Args:
            now: a reading of the client's clock.
        """
        if isinstance(error, Unreachable):
            self._error, self._until = error, now + SHARED_FOR
        elif isinstance(error, Unauthorized):
            # For good: a wrong password tried for each of many fleets would lock the account.
            self._error, self._until = error, inf

    def standing(self, now: float) -> CommandError | None:
        """The error that calls still end with; a copy, since whoever raises it may add to it."""
        return copy(self._error) if self._error is not None and now < self._until else None

    def clear(self) -> None:
        """Lets the next call try Command again."""
        self._error = None
