"""Turns failed requests and responses into errors that say whether to retry."""

import ssl
from collections.abc import Mapping
from typing import Final

from keyfactor_provider.command.exchange import Answer, Interrupted, TooLarge
from keyfactor_provider.command.http import httpx
from keyfactor_provider.command.retrying import seconds_asked
from keyfactor_provider.errors import (
    BadAnswer,
    CommandError,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
)
from keyfactor_provider.text import safe
from keyfactor_provider.vocabulary import Vocabulary

NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Failures before the request was sent: Command can't have received it."""

_NOT_PASSING: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
_PERMISSIONS: Final = "/agents/management/read/ and /agents/management/modify/"
_USUAL_PATHS: Final = ("KeyfactorAPI", "Keyfactor/API")
"""The paths of Command's API: the default of its installer, and the one in newer documentation."""
_MOST_OF_A_HEADER: Final = 80


def transport_failure(
    subject: str, error: Exception, reason: str, *, where: str, may_be_done: bool, vocabulary: Vocabulary
) -> CommandError:
    """The error for a request without a complete response.

    Args:
        reason: the text of `error`, redacted.
        where: the server, and the source of its address.
        may_be_done: the request changes something if it arrives.
        vocabulary: how messages name settings.
    """
    if (problem := _certificate_problem(error)) is not None:
        return BadAnswer(
            subject,
            f"its certificate does not verify ({problem})",
            f"Set {vocabulary.setting('caCert')} or KEYFACTOR_CA_CERT to its CA, or correct the host name.",
        )
    if isinstance(error, httpx.RemoteProtocolError):
        # After the colon follows what the peer sent, cut and quoted, so that redaction may miss a secret in it.
        reason = reason.partition(":")[0]
    described = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    if isinstance(error, NEVER_SENT):
        return Unreachable(
            subject,
            f"no connection to {where}: {described}",
            "Check the host, the network and any proxy.",
            transient=True,
        )
    if isinstance(error, Interrupted):
        return Unreachable(subject, "it was interrupted", "Run again.", outcome_open=may_be_done)
    if isinstance(error, TooLarge):
        return BadAnswer(subject, reason, _lead(vocabulary), outcome_open=may_be_done, transient=may_be_done)
    if isinstance(error, httpx.TransportError) and not isinstance(error, _NOT_PASSING):
        return Unreachable(
            subject,
            f"incomplete response ({described})",
            "Check Command and the network path to it.",
            transient=True,
            outcome_open=may_be_done,
        )
    may_have_left = may_be_done and not isinstance(error, (*_NOT_PASSING, httpx.InvalidURL))
    return BadAnswer(
        subject,
        f"the exchange failed ({type(error).__name__})",
        "Check the host, the credentials' spelling and any proxy.",
        outcome_open=may_have_left,
        transient=may_have_left,
    )


def failure_of(
    subject: str,
    answer: Answer,
    code: str | None,
    message: str,
    *,
    who: str,
    may_be_done: bool,
    base_url: str,
    vocabulary: Vocabulary,
) -> CommandError | None:
    """The error for a complete response; None if it is a success with a body to read.

    Args:
        code: Command's ErrorCode, redacted.
        message: Command's Message, redacted; empty if the body has none.
        who: the identity that sent the request.
        may_be_done: the request changes something if it was carried out.
        base_url: the base URL of Command's API.
        vocabulary: how messages name settings.
    """
    status = answer.status
    if status < 300:
        return _unexpected_success(subject, answer, vocabulary, may_be_done=may_be_done)
    reason = ": ".join(part for part in (code, message) if part)
    came_back = f"{status}, {reason}" if reason else f"{status} without a message"
    if not reason and is_html(answer.body):
        came_back = f"{status} with an HTML page"
    if 300 <= status < 400:
        return BadAnswer(
            subject,
            f"{status}, a redirect to {_place(answer.headers)}",
            f"Set hostname and {vocabulary.setting('apiPath')} to where Command itself answers; "
            "credentials do not follow redirects.",
            status=status,
        )
    if is_passing(status):
        retry_after = seconds_asked(answer.headers.get("Retry-After"))
        limited = status == httpx.codes.TOO_MANY_REQUESTS
        return Unreachable(
            subject,
            came_back if retry_after is None else f"{came_back}, to be tried again after {retry_after:.0f} s",
            "Command limits the rate of requests: try again later."
            if limited
            else "Command, or a proxy before it, reported an internal error. Try again later; see Command's logs.",
            status=status,
            code=code,
            retry_after=retry_after,
            transient=True,
            outcome_open=may_be_done and not limited,
        )
    kind, came_back, next_step = {
        401: (Unauthorized, f"{came_back}: Command does not accept {who}", "Correct the credentials."),
        403: (Forbidden, f"{came_back}: {who} lacks a permission", f"Give its role {_PERMISSIONS}."),
        404: (NotFound, came_back, f"{_lead(vocabulary)} {_other_path(base_url, vocabulary)}"),
        407: (BadAnswer, f"{came_back}: a proxy requires credentials", "Set them in HTTPS_PROXY."),
    }.get(status, (Rejected, came_back, "Command rejected the request itself."))
    return kind(subject, came_back, next_step, status=status, code=code)


def is_passing(status: int) -> bool:
    """Whether the same request may succeed a little later."""
    return status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


def is_html(body: bytes) -> bool:
    """Whether it is HTML, by its content, because the Content-Type may be wrong."""
    return body.lstrip()[:1] == b"<"


def reference(headers: Mapping[str, str]) -> str:
    """The headers that identify a response in Command's logs, as a sentence; empty if it has none."""
    parts = [
        f"{name} {safe(value, _MOST_OF_A_HEADER)}"
        for name, header in (
            ("correlation id", "X-Keyfactor-Correlation-Id"),
            ("product version", "X-Keyfactor-Product-Version"),
        )
        if (value := headers.get(header))
    ]
    return f"Command's reference: {', '.join(parts)}." if parts else ""


def _unexpected_success(
    subject: str, answer: Answer, vocabulary: Vocabulary, *, may_be_done: bool
) -> CommandError | None:
    """The error for a success that Command did not send: it answers these calls with 200 and JSON only."""
    if is_html(answer.body):
        came_back = f"{answer.status} with an HTML page instead of JSON"
        next_step = (
            "A proxy or a sign-in page answers in Command's place: "
            f"check hostname, {vocabulary.setting('apiPath')} and the proxy."
        )
    elif answer.status != httpx.codes.OK:
        came_back, next_step = f"{answer.status}, which is not what Command's API gives", _lead(vocabulary)
    else:
        return None
    return BadAnswer(
        subject, came_back, next_step, status=answer.status, outcome_open=may_be_done, transient=may_be_done
    )


def _other_path(base_url: str, vocabulary: Vocabulary) -> str:
    path = httpx.URL(base_url).path.strip("/")
    others = [usual for usual in _USUAL_PATHS if usual.lower() != path.lower()]
    return f"Usual values of {vocabulary.setting('apiPath')} besides {path!r}: {' or '.join(others)}."


def _lead(vocabulary: Vocabulary) -> str:
    return f"Check that hostname and {vocabulary.setting('apiPath')} lead to Keyfactor Command."


def _place(headers: Mapping[str, str]) -> str:
    try:
        return httpx.URL(headers.get("location", "")).host or "another page"
    except httpx.InvalidURL:
        return "an unreadable address"


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None
