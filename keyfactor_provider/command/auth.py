"""Signing requests: Basic, a ready access token, or OAuth2 client credentials."""

import threading
from base64 import b64encode
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

import httpx

from keyfactor_provider.command.settings import Credentials
from keyfactor_provider.errors import BadAnswer, Unauthorized, Unreachable


class TokenAuth(httpx.Auth):
    """A bearer token that is fetched when there is none, when it is about to expire, and once on a 401.

    Authlib keeps the token and knows when it expires; Go's library, which Keyfactor's own tools use,
    tries the client pair as a Basic header first and as form fields next, and so does this.
    """

    def __init__(self, credentials: Credentials, tokens: httpx.Client) -> None:
        # Imported here: 0.07 s that only OAuth2 users need to spend.
        from authlib.oauth2.client import OAuth2Client

        self._credentials = credentials
        self._lock = threading.Lock()
        self._oauth: Any = OAuth2Client(
            tokens,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            scope=" ".join(credentials.scopes) or None,
        )
        self._in_form = False

    def secrets(self) -> list[str]:
        """The token in use, which no message may show."""
        return [str(self._oauth.token["access_token"])] if self._oauth.token else []

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Signs the request, and signs it again with a fresh token after a 401.

        Raises:
            Unauthorized: the token endpoint refused the client.
            Unreachable: the token endpoint failed in a way that may pass.
            BadAnswer: it answered with something that is no token.
        """
        request.headers["Authorization"] = f"Bearer {self._token(stale=None)}"
        used = request.headers["Authorization"].removeprefix("Bearer ")
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._token(stale=used)}"
            yield request

    def _token(self, stale: str | None) -> str:
        with self._lock:
            token = self._oauth.token
            # A second thread that got the same 401 finds the token replaced already.
            if not token or token["access_token"] == stale or token.is_expired(leeway=30):
                self._fetch()
            return str(self._oauth.token["access_token"])

    def _fetch(self) -> None:
        from authlib.oauth2 import OAuth2Error

        who, where = self._credentials.client_id, self._credentials.token_url
        what = f"Getting a token for OAuth2 client {who} from {where}"
        try:
            try:
                token = self._request_token()
            except OAuth2Error as error:
                if self._in_form or error.error not in ("invalid_client", "invalid_request"):
                    raise
                self._in_form = True
                token = self._request_token()
        except OAuth2Error as error:
            self._oauth.token = None
            raise Unauthorized(
                what,
                f"it was refused ({error.error}: {error.description or 'no description'})",
                f"Check the client's id, secret, scopes and audience (from {self._credentials.source}).",
            ) from None
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
                raise Unreachable(what, f"it answered {status}", "Try again when it is well.", transient=True) from None
            raise BadAnswer(
                what, f"it answered {status} without a token", "Check the token URL.", status=status
            ) from None
        except httpx.TransportError as error:
            raise Unreachable(
                what, f"{type(error).__name__}: {error}", "Check the token URL and the network.", transient=True
            ) from None
        except (ValueError, TypeError):
            raise BadAnswer(what, "its answer is not a token in JSON", "Check the token URL.") from None
        if not isinstance(token.get("access_token"), str):
            self._oauth.token = None
            raise BadAnswer(what, "its answer has no access_token", "Check the token URL.")

    def _request_token(self) -> Any:
        """One request; `audience` goes with every one of them, the renewals included."""
        extra = {"audience": self._credentials.audience} if self._credentials.audience else {}
        auth: httpx.Auth = httpx.Auth()
        if self._in_form:
            extra |= {
                "client_id": self._credentials.client_id,
                "client_secret": self._credentials.client_secret,
            }
        else:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            auth = httpx.BasicAuth(
                quote(self._credentials.client_id, safe=""), quote(self._credentials.client_secret, safe="")
            )
        return self._oauth.fetch_token(self._credentials.token_url, grant_type="client_credentials", auth=auth, **extra)


def signer(credentials: Credentials, tokens: httpx.Client) -> httpx.Auth:
    """What signs the requests of a client; `tokens` is the client for the token endpoint."""
    if credentials.method == "oauth":
        return TokenAuth(credentials, tokens)
    if credentials.method == "token":
        return _Bearer(credentials.access_token)
    return httpx.BasicAuth(credentials.username, credentials.password)


def secrets(credentials: Credentials, auth: httpx.Auth) -> list[str]:
    """Every text that no message may show, in the forms in which a server could echo it."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    plain = [credentials.password, credentials.client_secret, credentials.access_token]
    encoded = [b64encode(pair).decode()] if credentials.password else []
    fetched = auth.secrets() if isinstance(auth, TokenAuth) else []
    return [secret for secret in (*encoded, *fetched, *plain) if secret]


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
