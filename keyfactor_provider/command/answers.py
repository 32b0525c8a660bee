"""What an answer that is no success means: which error it becomes, and whether to try again."""

import ssl
from collections.abc import Mapping
from typing import Final

import httpx

from keyfactor_provider.command.settings import Settings
from keyfactor_provider.errors import (
    BadAnswer,
    CommandError,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
)

NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""Failures that come before a request leaves: Command can't have seen it."""

_PERMISSIONS: Final = "/agents/management/read/ and /agents/management/modify/"


def transport_failure(subject: str, error: Exception, told: str, *, post: bool, settings: Settings) -> CommandError:
    """The error for a request that got no whole answer; `told` is what `error` says, redacted."""
    if (problem := _certificate_problem(error)) is not None:
        return BadAnswer(
            subject,
            f"its certificate does not verify ({problem})",
            "Set keyfactor:caCert or KEYFACTOR_CA_CERT to the CA that issued it, or correct the host name.",
        )
    if isinstance(error, NEVER_SENT):
        return Unreachable(
            subject,
            f"no connection to {settings.base_url} (host from {settings.host_source}): {told}",
            "Check the host, the network and any proxy.",
            transient=True,
        )
    if isinstance(error, httpx.TransportError) and not isinstance(
        error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
    ):
        return Unreachable(
            subject,
            f"no whole answer came ({told})",
            "Check Command and the network between.",
            transient=True,
            outcome_open=post,
        )
    return BadAnswer(
        subject,
        f"the exchange failed ({type(error).__name__})",
        "Check the credentials' and the host's spelling.",
        outcome_open=post and isinstance(error, httpx.DecodingError),
    )


def failure_of(
    subject: str,
    status: int,
    headers: Mapping[str, str],
    said: str,
    body: bytes,
    *,
    post: bool,
    settings: Settings,
) -> CommandError | None:
    """The error for a whole answer; None when it is a success with JSON in it.

    Args:
        said: Command's ErrorCode and Message, redacted; empty when the body has none.
    """
    if 200 <= status < 300:
        return _unexpected_success(subject, status, headers, body, post=post)
    told = f"{status}, {said}" if said else f"{status} without a message"
    if not said and _is_html(headers, body):
        told = f"{status} with an HTML page"
    code = said.split(":")[0] if said.startswith("0x") else None
    if status == httpx.codes.UNAUTHORIZED:
        return Unauthorized(
            subject,
            f"{told}: Command does not accept {settings.credentials.describe()}",
            "Correct the credentials.",
            status=status,
            code=code,
        )
    if status == httpx.codes.FORBIDDEN:
        return Forbidden(
            subject,
            f"{told}: {settings.credentials.describe()} lacks a permission",
            f"Give its role {_PERMISSIONS}.",
            status=status,
            code=code,
        )
    if status == httpx.codes.NOT_FOUND:
        return NotFound(
            subject,
            told,
            "Check that hostname and apiPath lead to Keyfactor Command.",
            status=status,
            code=code,
        )
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Unreachable(subject, told, "Command limits its callers: try again later.", status=status, transient=True)
    if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
        return Unreachable(
            subject,
            told,
            "Try again when Command is well; its log has the reason.",
            status=status,
            code=code,
            transient=True,
            outcome_open=post,
        )
    if 300 <= status < 400:
        return BadAnswer(
            subject,
            f"{status}, a redirect to {_place(headers)}",
            "Set hostname and apiPath to where Command itself answers; credentials do not follow redirects.",
            status=status,
        )
    return Rejected(subject, told, "Command refuses the request itself.", status=status, code=code)


def _unexpected_success(
    subject: str, status: int, headers: Mapping[str, str], body: bytes, *, post: bool
) -> CommandError | None:
    if _is_html(headers, body):
        return BadAnswer(
            subject,
            f"{status} with an HTML page instead of JSON",
            "A proxy or a sign-in page answers in Command's place: check hostname, apiPath and the proxy.",
            status=status,
            outcome_open=post,
        )
    return None


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"


def _place(headers: Mapping[str, str]) -> str:
    try:
        return httpx.URL(headers.get("location", "")).host or "another page"
    except httpx.InvalidURL:
        return "an unreadable address"


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return str(error).split("CERTIFICATE_VERIFY_FAILED] ")[-1]
        error = error.__cause__ or error.__context__
    return None
