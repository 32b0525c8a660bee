"""Signing requests: Basic, a ready access token, or OAuth2 client credentials."""

import threading
from base64 import b64encode
from collections.abc import Generator
from typing import Any
from urllib.parse import quote, quote_plus

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
        self._fetched: list[str] = []

    def secrets(self) -> list[str]:
        """Every token fetched so far, which no message may show."""
        return self._fetched

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
                redacted(
                    f"it was refused ({error.error}: {error.description or 'no description'})", self._credentials, self
                ),
                f"Check the client's id, secret, scopes and audience (from {self._credentials.source}).",
            ) from None
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
                raise Unreachable(what, f"it answered {status}", "Try again when it is well.", transient=True) from None
            raise BadAnswer(what, f"it answered {status} without a token", "Check tokenUrl.", status=status) from None
        except httpx.TransportError as error:
            raise Unreachable(
                what, redacted(told(error), self._credentials, self), "Check tokenUrl and the network.", transient=True
            ) from None
        except (ValueError, TypeError):
            raise BadAnswer(what, "its answer is not a token in JSON", "Check tokenUrl.") from None
        if not isinstance(token.get("access_token"), str):
            self._oauth.token = None
            raise BadAnswer(what, "its answer has no access_token", "Check tokenUrl.")
        self._fetched.append(token["access_token"])

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


def redacted(text: str, credentials: Credentials, auth: httpx.Auth) -> str:
    """The text without any secret, in whatever form a server could have echoed it."""
    user = f"{credentials.username}:{credentials.password}" if credentials.password else ""
    client = f"{quote(credentials.client_id, safe='')}:{quote(credentials.client_secret, safe='')}"
    pairs = [user, client if credentials.client_secret else ""]
    forms = [b64encode(pair.encode()).decode().rstrip("=") for pair in pairs]
    for secret in (credentials.password, credentials.client_secret, credentials.access_token):
        forms += [secret, quote(secret, safe=""), quote_plus(secret)]
    forms += auth.secrets() if isinstance(auth, TokenAuth) else []
    # The longest first: one may be a part of another.
    for form in sorted({*forms} - {""}, key=len, reverse=True):
        text = text.replace(form, "[secret]")
    return text


def told(error: Exception) -> str:
    """What an exchange that failed says of itself."""
    # What a peer sent stands behind the colon, cut and quoted so that no search for a secret would find it.
    text = str(error).partition(":")[0] if isinstance(error, httpx.RemoteProtocolError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
