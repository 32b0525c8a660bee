"""Everything this project raises on purpose.

ProviderError                 a message in four parts: what failed, on what, what came back, what to do next
├── InputError                invalid arguments in the program; lists every problem found
├── SettingsError             a setting is wrong or contradicts another
│   └── MissingSettings       no hostname or no credentials are configured
├── RecordError               recorded state that this release can't read
├── LookupRefused             a look-up found fewer or more orchestrators than its bounds allow
├── ReenrollmentFailed        members that were rejected, not reached or not found, or whose flag could not be cleared
├── CompletionFailed          a completion that can't be reached by waiting
│   └── CompletionTimeout     members were not complete when the timeout expired
└── CommandError              Command did not carry out a request
    ├── Unreachable           no usable answer before the deadline for a request and its retries
    ├── Unauthorized          401: the credentials are not accepted
    ├── Forbidden             403: a permission is missing
    ├── NotFound              404: there is nothing at this address
    ├── Rejected              400, or another rejection of the request itself
    └── BadAnswer             not an answer of Command's API: HTML, incomplete JSON, a redirect
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class ProviderError(Exception):
    """Something in this project failed unexpectedly.

    Its `str()` is the complete message that the user sees.

    Args:
        what: what failed and on what, as one clause.
        came_back: what was found or answered instead.
        next_step: what the user can do, in full sentences.
        resource: the name of the fleet or completion concerned; empty if there is none.

    Attributes:
        remedy: what to do about errors of this class in general; `docs/messages.md` is generated from it.
    """

    remedy: ClassVar[str] = "Run again; what was already sent is recorded. Report the error if it happens again."

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
    """One problem with one property; `reason` quotes the offending value."""

    property: str
    reason: str


class InputError(ProviderError):
    """The arguments of a resource or look-up are invalid; nothing was changed.

    Args:
        resource: the name of the resource or look-up, such as `edge`.
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
        key: the setting's name in the engine's config.
    """

    remedy: ClassVar[str] = "Correct the setting in the source that the message names."

    def __init__(self, what: str, came_back: str, next_step: str, *, key: str = "") -> None:
        super().__init__(what, came_back, next_step)
        self.key = key


class MissingSettings(SettingsError):
    """No hostname or no credentials are configured."""

    remedy: ClassVar[str] = "Set what the message names in the environment, in the engine's config, or in a profile."


class RecordError(ProviderError):
    """The recorded state can't be read by this release."""

    remedy: ClassVar[str] = (
        "Use the release that wrote the state, or a newer one. If it was edited or damaged, restore an earlier state."
    )


class LookupRefused(ProviderError):
    """A look-up found fewer or more orchestrators than its bounds allow."""

    remedy: ClassVar[str] = "Correct the filters, or the bound if the number is as intended. Nothing was requested."


class ReenrollmentFailed(ProviderError):
    """Members were rejected, not reached or not found, or their flag could not be cleared."""

    remedy: ClassVar[str] = (
        "Fix the reason given for each member, and run again. The next run retries these members and no others."
    )


class CompletionFailed(ProviderError):
    """A completion can't be reached by waiting."""

    remedy: ClassVar[str] = (
        "Run the fleet again so that its roll-out continues, and put the completion into a separate stack."
    )


class CompletionTimeout(CompletionFailed):
    """Members were not complete when the timeout expired."""

    remedy: ClassVar[str] = (
        "Investigate the members named. The next run waits again; raise timeout if they need longer."
    )


class CommandError(ProviderError):
    """Command did not carry out a request.

    Args:
        status: the HTTP status, if there was one.
        code: Command's `ErrorCode`, such as `0xA0140002`, if it gave one.
        outcome_open: the request may have been carried out although no answer confirms it.
        retry_after: the seconds that Command asked to wait, if it did.
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
    """No usable answer came before the deadline for a request and its retries."""

    remedy: ClassVar[str] = "Check Command, the network and any proxy, and run again."


class Unauthorized(CommandError):
    """401: Command, or its identity provider, does not accept these credentials."""

    remedy: ClassVar[str] = "Correct the credentials. A run does not try them again, so that the account is not locked."


class Forbidden(CommandError):
    """403: the identity is known but lacks a permission."""

    remedy: ClassVar[str] = "Give its role the permissions /agents/management/read/ and /agents/management/modify/."


class NotFound(CommandError):
    """404: there is nothing at this address."""

    remedy: ClassVar[str] = "Check hostname and apiPath."


class Rejected(CommandError):
    """400, or another rejection of the request itself."""

    remedy: ClassVar[str] = "Read Command's own message. If it is about the status, set statusEncoding."


class BadAnswer(CommandError):
    """The answer is not one of Command's API: an HTML page, a redirect or incomplete JSON, for example."""

    remedy: ClassVar[str] = "Check hostname, apiPath and any proxy: something else may be answering in Command's place."
