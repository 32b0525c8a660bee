"""Everything this project raises on purpose.

ProviderError                 a message in four parts: what failed, on what, what came back, what next
├── InputError                invalid values in the program; lists every problem found
├── SettingsError             a setting for Command that is wrong or contradicts another
│   └── MissingSettings       no host, or no credentials, in any source
├── RecordError               state that this version can't read
├── LookupRefused             orchestrators(...) found fewer or more than its bounds allow
├── ReenrollmentFailed        members that were rejected, not reached or not found, or whose flag could not be cleared
├── CompletionFailed          a completion that further waiting would not complete
│   └── CompletionTimeout     members that were not complete when the time was up
└── CommandError              Command did not answer a request as it should
    ├── Unreachable           no usable answer within the time for a request with its retries
    ├── Unauthorized          401: it does not accept these credentials
    ├── Forbidden             403: it accepts them, but a permission is missing
    ├── NotFound              404: nothing is at this address
    ├── Rejected              400, or another rejection of the request itself
    └── BadAnswer             an answer that its API does not give: HTML, incomplete JSON, a redirect
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class ProviderError(Exception):
    """Something in this project failed unexpectedly.

    `str()` of it is the whole message that a user sees.

    Args:
        what: what failed and on what, as one clause.
        came_back: what was found or answered instead.
        next_step: what the user can do; whole sentences.
        resource: the fleet or completion that it is about; empty where it is about none.

    Attributes:
        remedy: what to do about errors of this class in general; `docs/messages.md` is made from it.
    """

    remedy: ClassVar[str] = "Run again. What was sent is recorded. Report the error if it happens twice."

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
    """Arguments of a resource or look-up are invalid; nothing was changed.

    Args:
        resource: what the values are for, such as `edge`.
        problems: every problem found, at least one.
    """

    remedy: ClassVar[str] = "Correct every value that the message names."

    def __init__(self, resource: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        reasons = "; ".join(f"{problem.property}: {problem.reason}" for problem in problems)
        super().__init__("invalid arguments", reasons, "Correct them and run again.", resource=resource)


class SettingsError(ProviderError):
    """A setting is wrong or contradicts another.

    Args:
        key: of the setting, where it stands in the engine's own config.
    """

    remedy: ClassVar[str] = "Correct the setting in the source that the message names."

    def __init__(self, what: str, came_back: str, next_step: str, *, key: str = "") -> None:
        super().__init__(what, came_back, next_step)
        self.key = key


class MissingSettings(SettingsError):
    """No source names a host, or none names credentials."""

    remedy: ClassVar[str] = "Set what the message names: in the environment, in the engine's config, or in a profile."


class RecordError(ProviderError):
    """The recorded state can't be read by this release."""

    remedy: ClassVar[str] = (
        "Use the release that wrote it, or a newer one. If it was edited or damaged, restore an earlier state."
    )


class LookupRefused(ProviderError):
    """A look-up found fewer or more orchestrators than its bounds allow."""

    remedy: ClassVar[str] = "Correct the filters, or the bound if the number is right. Nothing was requested."


class ReenrollmentFailed(ProviderError):
    """Members were rejected, not reached or not found, or their flag could not be cleared."""

    remedy: ClassVar[str] = (
        "Fix the reason that is named for each member, and run again. The next run retries these members and no others."
    )


class CompletionFailed(ProviderError):
    """A completion can't be reached by waiting."""

    remedy: ClassVar[str] = (
        "Run the fleet again, so that its roll-out continues, and give the completion a stack of its own."
    )


class CompletionTimeout(CompletionFailed):
    """Members were not complete when the time was over."""

    remedy: ClassVar[str] = (
        "Look into the members that are named. The next run waits again; raise timeout if they need longer."
    )


class CommandError(ProviderError):
    """Command could not do what it was asked for.

    Args:
        outcome_open: the request may have been carried out although no answer says so.
        retry_after: seconds that Command asked to wait, when it did.
        status: the HTTP status, when there was one.
        code: Command's `ErrorCode`, such as `0xA0140002`, when it gave one.
        transient: the same request may succeed a little later.
    """

    remedy: ClassVar[str] = "Follow the last sentence of the message."

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

    remedy: ClassVar[str] = "Check Command, the network and any proxy, and run again."


class Unauthorized(CommandError):
    """401: Command, or its identity provider, does not accept these credentials."""

    remedy: ClassVar[str] = (
        "Correct the credentials. They are not tried twice in a run, so that the account is not locked."
    )


class Forbidden(CommandError):
    """403: the identity is known but lacks a permission."""

    remedy: ClassVar[str] = "Give its role the permissions /agents/management/read/ and /agents/management/modify/."


class NotFound(CommandError):
    """404: nothing is at this address."""

    remedy: ClassVar[str] = "Check hostname and apiPath."


class Rejected(CommandError):
    """400, or another rejection of the request itself."""

    remedy: ClassVar[str] = "Read Command's own message. If it is about the status, set statusEncoding."


class BadAnswer(CommandError):
    """An answer that Command's API does not give, such as an HTML page, a redirect or incomplete JSON."""

    remedy: ClassVar[str] = "Check hostname, apiPath and any proxy: something else may be answering in Command's place."
