"""Retries: exponential backoff with jitter that honors Retry-After and ends at a deadline."""

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
    """The time limit of a request with its retries.

    Attributes:
        until: time on the client's clock, in seconds.
        retries: whether to retry at all.
    """

    until: float
    retries: bool = True


def pause_after(error: BaseException | None, attempts: int) -> float:
    """Seconds to wait after a number of attempts, of which the last one ended with `error`.

    Doubles with each attempt up to 8 s, plus up to 0.5 s of jitter; longer if the server asked for more.
    """
    retry_after = error.retry_after if isinstance(error, CommandError) else None
    # "Retry-After: 0" must not become a loop without a pause.
    return max(retry_after or 0.0, min(8.0, 0.5 * 2.0 ** (min(attempts, 9) - 1)) + random.uniform(0, 0.5))  # noqa: S311


def retrying(
    deadline: Deadline,
    worth_another: Callable[[BaseException], bool],
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Retrying:
    """A retrier for errors that are worth another attempt; it raises the last error when the time is up.

    If the server asks for more time than is left, it does not wait and raises the error at once.
    """

    def wait(state: RetryCallState) -> float:
        return pause_after(state.outcome.exception() if state.outcome else None, state.attempt_number)

    def over(state: RetryCallState) -> bool:
        return not deadline.retries or clock() + state.upcoming_sleep >= deadline.until

    return Retrying(retry=retry_if_exception(worth_another), wait=wait, stop=over, sleep=sleep, reraise=True)


def seconds_asked(text: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for; None if there is none or it is invalid.

    Args:
        text: a number of seconds, or an HTTP date.
        now: the time that a date is relative to; None for the present.
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
