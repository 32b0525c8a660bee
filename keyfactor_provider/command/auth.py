"""Authentication of requests: Basic, an access token, or OAuth2 client credentials."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from keyfactor_provider.command.answers import is_html, is_passing, transport_failure
from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.command.exchange import FAILURES, Answer, exchange
from keyfactor_provider.command.http import httpx
from keyfactor_provider.command.redaction import Redaction
from keyfactor_provider.command.retrying import seconds_asked
from keyfactor_provider.errors import BadAnswer, CommandError, Unauthorized, Unreachable
from keyfactor_provider.vocabulary import Vocabulary

_EARLY: Final = 30.0
"""Seconds before its expiry at which a token is replaced."""
_MARGIN: Final = 0.05
"""Seconds by which a token request times out before its API request, so that the error names the token endpoint."""
_CLIENT_ERRORS: Final = ("invalid_client", "invalid_request", "unauthorized_client", "401")
"""Errors that an endpoint may also return because it expects the client id and secret in the other place."""


class BearerAuth(httpx.Auth):
    """Authenticates with a given access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the Authorization header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class TokenAuth(httpx.Auth):
    """Authenticates with a token from a token endpoint; fetches a new one before it expires, and once after a 401.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, endpoint: "TokenEndpoint", clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = math.inf

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the Authorization header; after a 401, sends the request again with a new token.

        Raises:
            CommandError: no token; see `TokenEndpoint.fetch`.
        """
        until = request.extensions["until"]
        used = await self._current("", until)
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {await self._current(used, until)}"
            yield request

    async def _current(self, stale: str, until: float) -> str:
        async with self._lock:
            # Another request may have replaced the token after the same 401.
            if self._token == stale or self._clock() >= self._good_until:
                self._token, life = await self._endpoint.fetch(until)
                self._good_until = self._clock() + life - _EARLY
            return self._token


class TokenEndpoint:
    """Fetches tokens from an OAuth2 token endpoint.

    Like Go's oauth2 library, which Keyfactor's own tools use, it sends the client id and secret in a Basic header
    first, then as form fields, and keeps using the form that was accepted.
    """

    def __init__(
        self,
        credentials: Credentials,
        http: httpx.AsyncClient,
        clock: Callable[[], float],
        redact: Redaction,
        vocabulary: Vocabulary,
    ) -> None:
        self._credentials = credentials
        self._http = http
        self._clock = clock
        self._redact = redact
        self._vocabulary = vocabulary
        self._by_form: bool | None = None
        self._what = f"Getting a token for OAuth2 client {credentials.client_id} from {credentials.token_url}"

    async def fetch(self, until: float) -> tuple[str, float]:
        """A token, and its lifetime in seconds: infinity if the endpoint does not say.

        Args:
            until: time on the clock at which the request is abandoned.

        Raises:
            Unauthorized: the endpoint rejected the client.
            Unreachable: there was no response, or a temporary error.
            BadAnswer: the response has no token.
        """
        refusals: list[str] = []
        for by_form in (False, True) if self._by_form is None else (self._by_form,):
            answer = await self._send(until - _MARGIN, by_form=by_form)
            fields = _object(answer.body)
            token = fields.get("access_token")
            if answer.status == httpx.codes.OK and isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token):
                self._by_form = by_form
                self._redact.add(token)
                return token, _seconds(fields.get("expires_in"))
            if failure := self._failure(answer, fields):
                raise failure
            code = str(fields.get("error") or answer.status)
            told = self._redact.line(f"{code}: {fields.get('error_description') or 'no description'}")
            refusals += [told] if told not in refusals else []
            if code not in _CLIENT_ERRORS:
                break
        raise Unauthorized(
            self._what,
            f"it was refused ({'; sent as form fields: '.join(refusals)})",
            f"Check the client's id, secret, scopes and audience (from {self._credentials.source}).",
        )

    async def _send(self, until: float, *, by_form: bool) -> Answer:
        who, secret = self._credentials.client_id, self._credentials.client_secret
        data = {"grant_type": "client_credentials"}
        if self._credentials.scopes:
            data["scope"] = " ".join(self._credentials.scopes)
        if self._credentials.audience:
            data["audience"] = self._credentials.audience
        auth = httpx.Auth()
        if by_form:
            data |= {"client_id": who, "client_secret": secret}
        else:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            auth = httpx.BasicAuth(quote(who, safe=""), quote(secret, safe=""))
        try:
            return await exchange(
                self._http,
                "POST",
                self._credentials.token_url,
                until=until,
                clock=self._clock,
                headers={"Accept": "application/json"},
                data=data,
                auth=auth,
            )
        except FAILURES as error:
            where = f"{self._credentials.token_url} (from {self._credentials.source})"
            raise transport_failure(
                self._what,
                error,
                self._redact.line(str(error)),
                where=where,
                may_be_done=False,
                vocabulary=self._vocabulary,
            ) from None

    def _failure(self, answer: Answer, fields: Mapping[str, Any]) -> CommandError | None:
        """The error for a response that neither has a token nor rejects the client; None if it rejects the client."""
        status = answer.status
        if is_passing(status):
            return Unreachable(
                self._what,
                f"it answered {status}",
                "Try again later. The token endpoint's log has the reason.",
                status=status,
                retry_after=seconds_asked(answer.headers.get("Retry-After")),
                transient=True,
            )
        if fields.get("error") or status == httpx.codes.UNAUTHORIZED:
            return None
        page = " with an HTML page" if is_html(answer.body) else ""
        return BadAnswer(self._what, f"it answered {status}{page} and no token in JSON", "Check the token URL.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _seconds(value: Any) -> float:
    """The lifetime of a token; infinity if it is absent, invalid or already over: a 401 will show when it ends."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return life if math.isfinite(life) and life >= 1 else math.inf
