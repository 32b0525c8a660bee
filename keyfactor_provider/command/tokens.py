"""The OAuth2 token endpoint: how it is asked for a token, and what its answers mean."""

import math
import re
from collections.abc import Callable, Mapping
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

_OF_THE_CLIENT: Final = ("invalid_client", "invalid_request", "unauthorized_client", "401")
"""Refusals that may only mean that the client's id and secret were looked for elsewhere."""


class TokenEndpoint:
    """The session that Authlib's client sends its token requests through.

    Go's library, which Keyfactor's own tools use, sends the client's id and secret as a Basic header first
    and as form fields next, and so does this; it stays with what was accepted.
    """

    def __init__(
        self,
        credentials: Credentials,
        http: httpx.Client,
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

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], until: float, **_: Any) -> Any:
        """Sends one token request; gives an answer that has a token in it.

        Raises:
            Unauthorized: the endpoint refused the client.
            Unreachable: it failed in a way that may pass.
            BadAnswer: it answered with something that is no token.
        """
        refusals: list[str] = []
        for by_form in (False, True) if self._by_form is None else (self._by_form,):
            answer = self._send(url, dict(data), headers, until, by_form=by_form)
            found = _object(answer.body)
            if answer.status < 300 and (token := self._token(found)):
                self._by_form = by_form
                return httpx.Response(200, json=token)
            if failure := self._failure(answer, found):
                raise failure
            code = str(found.get("error") or answer.status)
            said = self._redact.line(f"{code}: {found.get('error_description') or 'no description'}")
            refusals += [said] if said not in refusals else []
            if code not in _OF_THE_CLIENT:
                break
        raise Unauthorized(
            self._what,
            f"it was refused ({'; sent as form fields: '.join(refusals)})",
            f"Check the client's id, secret, scopes and audience (from {self._credentials.source}).",
        )

    def _send(
        self, url: str, data: dict[str, str], headers: Mapping[str, str], until: float, *, by_form: bool
    ) -> Answer:
        who, secret = self._credentials.client_id, self._credentials.client_secret
        auth = httpx.Auth()
        if by_form:
            data |= {"client_id": who, "client_secret": secret}
        else:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            auth = httpx.BasicAuth(quote(who, safe=""), quote(secret, safe=""))
        try:
            return exchange(
                self._http, "POST", url, until=until, clock=self._clock, headers=headers, data=data, auth=auth
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

    def _token(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        token = found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            return None
        self._redact.add(token)
        life = _seconds(found.get("expires_in"))
        return {"access_token": token} | ({"expires_in": life} if life else {})

    def _failure(self, answer: Answer, found: Mapping[str, Any]) -> CommandError | None:
        """The error for an answer that is neither a token nor a refusal of the client."""
        status = answer.status
        if is_passing(status):
            return Unreachable(
                self._what,
                f"it answered {status}",
                "Try again when it is well.",
                status=status,
                retry_after=seconds_asked(answer.headers.get("Retry-After")),
                transient=True,
            )
        if found.get("error") or status == httpx.codes.UNAUTHORIZED:
            return None
        page = " with an HTML page" if is_html(answer.body) else ""
        return BadAnswer(self._what, f"it answered {status}{page} and no token in JSON", "Check the token URL.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(value: Any) -> int | None:
    """For how long a token is good; None where that is not said, or is over: a 401 tells then."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(min(life, 1e9)) if math.isfinite(life) and life >= 1 else None
