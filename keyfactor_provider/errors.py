"""Everything this project raises on purpose.

ProviderError                 a message in four parts: what failed, on what, what came back, what next
├── InputError                a value of the program that can't be meant; lists every problem found
├── SettingsError             a setting for Command that is wrong or contradicts another
│   └── MissingSettings       no host, or no credentials, in any source
├── RecordError               state that this version can't read
├── LookupRefused             orchestrators(...) found fewer or more than it was told to
├── ReenrollmentFailed        members that were rejected, not reached or not found, or whose flag could not be cleared
├── CompletionFailed          a completion that waiting can't bring about
│   └── CompletionTimeout     members that were not complete when the time was up
└── CommandError              Command was asked and did not answer as it should
    ├── Unreachable           no usable answer within the time for a request with its retries
    ├── Unauthorized          401: it does not know these credentials
    ├── Forbidden             403: it knows them, and a permission is missing
    ├── NotFound              404: nothing at this address
    ├── Rejected              400 or another refusal of the request itself
    └── BadAnswer             an answer that is not what its API gives: HTML, half a JSON, a redirect
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ProviderError(Exception):
    """The root; `str()` of it is the whole message that a user sees.

    Args:
        what: what failed and on what, as one clause.
        came_back: what was found or answered instead.
        next_step: what the user can do; whole sentences.
        resource: the fleet or completion that it is about; empty where it is about none.
    """

    def __init__(self, what: str, came_back: str, next_step: str, *, resource: str = "") -> None:
        self.what = what
        self.came_back = came_back
        self.next_step = next_step
        self.resource = resource
        super().__init__(what, came_back, next_step)

    def __str__(self) -> str:
        subject = f"{self.resource}: " if self.resource else ""
        return f"{subject}{self.what}: {self.came_back.rstrip('.')}. {self.next_step}".rstrip()


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one property; `reason` repeats the offending value."""

    property: str
    reason: str


class InputError(ProviderError):
    """Values that can't be meant; nothing was changed.

    Args:
        resource: what the values are for, such as `edge`.
        problems: every problem found, at least one.
    """

    def __init__(self, resource: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        reasons = "; ".join(f"{problem.property}: {problem.reason}" for problem in problems)
        super().__init__("invalid arguments", reasons, "Correct them and run again.", resource=resource)


class SettingsError(ProviderError):
    """A setting that is wrong or contradicts another; names its source.

    Args:
        key: of the setting, where it stands in the engine's own config.
    """

    def __init__(self, what: str, came_back: str, next_step: str, *, key: str = "") -> None:
        super().__init__(what, came_back, next_step)
        self.key = key


class MissingSettings(SettingsError):
    """No source names a host, or none names credentials."""


class RecordError(ProviderError):
    """State that this version can't read."""


class LookupRefused(ProviderError):
    """A look-up that found fewer or more orchestrators than it was told to expect."""


class ReenrollmentFailed(ProviderError):
    """Members that were rejected, not reached or not found, or whose flag could not be cleared."""


class CompletionFailed(ProviderError):
    """A completion that waiting can't bring about."""


class CompletionTimeout(CompletionFailed):
    """Members that were not complete when the time was up."""


class CommandError(ProviderError):
    """Command was asked and did not answer as it should.

    Args:
        outcome_open: the request may have been carried out although no answer says so.
        retry_after: seconds that Command asked to wait, when it did.
        status: the HTTP status, when there was one.
        code: Command's `ErrorCode`, such as `0xA0140002`, when it gave one.
        transient: the same request may succeed a little later.
    """

    def __init__(
        self,
        what: str,
        came_back: str,
        next_step: str,
        *,
        status: int | None = None,
        code: str | None = None,
        outcome_open: bool = False,
        retry_after: float | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(what, came_back, next_step)
        self.status = status
        self.code = code
        self.outcome_open = outcome_open
        self.retry_after = retry_after
        self.transient = transient


class Unreachable(CommandError):
    """No usable answer came within the time for a request with its retries."""


class Unauthorized(CommandError):
    """401: Command, or its identity provider, does not know these credentials."""


class Forbidden(CommandError):
    """403: the identity is known and lacks a permission."""


class NotFound(CommandError):
    """404: nothing at this address."""


class Rejected(CommandError):
    """400, or another refusal of the request itself."""


class BadAnswer(CommandError):
    """An answer that is not what Command's API gives."""
