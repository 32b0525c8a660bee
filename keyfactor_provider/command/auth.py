"""Signing requests: Basic, a ready access token, or OAuth2 client credentials from a token endpoint."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from keyfactor_provider.command.answers import is_html, is_passing, transport_failure
from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.command.exchange import FAILURES, Answer, exchange
from keyfactor_provider.command.redaction import Redaction
from keyfactor_provider.command.retrying import seconds_asked
from keyfactor_provider.errors import BadAnswer, CommandError, Unauthorized, Unreachable
from keyfactor_provider.vocabulary import Vocabulary

_EARLY: Final = 30.0
"""Seconds before its end at which a token is replaced."""
_OWN_SHARE: Final = 0.05
"""Seconds that a token request ends before the request it is for, so that the message names the token endpoint."""
_OF_THE_CLIENT: Final = ("invalid_client", "invalid_request", "unauthorized_client", "401")
"""Refusals that may only mean that the client's id and secret were looked for elsewhere."""


class BearerAuth(httpx.Auth):
    """A ready access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Signs the request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class TokenAuth(httpx.Auth):
    """A bearer token that is fetched when there is none, when it is about to expire, and once on a 401.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, endpoint: "TokenEndpoint", clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = math.inf

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Signs the request, and signs it again with a fresh token after a 401.

        Raises:
            CommandError: no token could be had; see TokenEndpoint.
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
            # A second request that got the same 401 finds the token replaced already.
            if self._token == stale or self._clock() >= self._good_until:
                self._token, life = await self._endpoint.fetch(until)
                self._good_until = self._clock() + life - _EARLY
            return self._token


class TokenEndpoint:
    """The OAuth2 token endpoint: how it is asked for a token, and what its answers mean.

    Go's library, which Keyfactor's own tools use, sends the client's id and secret as a Basic header first
    and as form fields next, and so does this; it stays with what was accepted.
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
        """A token, and for how many seconds it is good: infinity where the endpoint does not say so.

        Args:
            until: a reading of the clock at which it is given up.

        Raises:
            Unauthorized: the endpoint refused the client.
            Unreachable: it failed in a way that may pass.
            BadAnswer: it answered with something that is no token.
        """
        refusals: list[str] = []
        for by_form in (False, True) if self._by_form is None else (self._by_form,):
            answer = await self._send(until - _OWN_SHARE, by_form=by_form)
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
            if code not in _OF_THE_CLIENT:
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
        """The error for an answer that is neither a token nor a refusal of the client."""
        status = answer.status
        if is_passing(status):
            return Unreachable(
                self._what,
                f"it answered {status}",
                "Try again later; its log has the reason.",
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
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(value: Any) -> float:
    """For how long a token is good; infinity where that is not said, or is over: a 401 tells then."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return life if math.isfinite(life) and life >= 1 else math.inf
