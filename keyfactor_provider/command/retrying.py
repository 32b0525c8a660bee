"""When to try again: backoff with jitter, never before the server said so, never past the time there is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception

from keyfactor_provider.errors import CommandError

_LONGEST: Final = 1e9


@dataclass(frozen=True)
class Deadline:
    """How long a request may take with its retries.

    Attributes:
        until: a reading of the client's clock, in seconds.
        retries: whether to try again at all.
    """

    until: float
    retries: bool = True


def pause_after(error: BaseException | None, attempts: int) -> float:
    """Seconds to wait after so many attempts, of which the last one ended with this error.

    Twice as long each time, at most 8 s and a little chance, or as long as the server asked for.
    """
    asked = error.retry_after if isinstance(error, CommandError) else None
    # "Retry-After: 0" must not become a loop without a pause.
    return max(asked or 0.0, min(8.0, 0.5 * 2.0 ** (min(attempts, 9) - 1)) + random.uniform(0, 0.5))  # noqa: S311


def retrying(
    deadline: Deadline,
    worth_another: Callable[[BaseException], bool],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Retrying:
    """Tries again after the errors that are worth it; the last one is raised when the time is up.

    A server that asks for more time than there is ends it at once.
    """

    def wait(state: RetryCallState) -> float:
        return pause_after(state.outcome.exception() if state.outcome else None, state.attempt_number)

    def over(state: RetryCallState) -> bool:
        return not deadline.retries or clock() + state.upcoming_sleep >= deadline.until

    return Retrying(retry=retry_if_exception(worth_another), wait=wait, stop=over, sleep=sleep, reraise=True)


def seconds_asked(text: str | None, now: datetime | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds; None where it says nothing that can be read.

    Args:
        text: seconds, or an HTTP date.
        now: what a date counts from; the present.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
