"""Signing requests: Basic, a ready access token, or OAuth2 client credentials."""

import threading
from collections.abc import Generator
from typing import Any

import httpx

from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.command.tokens import TokenEndpoint


class TokenAuth(httpx.Auth):
    """A bearer token that is fetched when there is none, when it is about to expire, and once on a 401.

    Authlib keeps the token and knows when it expires.
    """

    def __init__(self, credentials: Credentials, endpoint: TokenEndpoint) -> None:
        # Imported here: 0.07 s that only OAuth2 users need to spend.
        from authlib.oauth2.client import OAuth2Client

        self._credentials = credentials
        self._lock = threading.Lock()
        self._oauth: Any = OAuth2Client(endpoint, scope=" ".join(credentials.scopes) or None)
        self._oauth.SESSION_REQUEST_PARAMS = ["until"]

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Signs the request, and signs it again with a fresh token after a 401.

        Raises:
            CommandError: no token could be had; see TokenEndpoint.
        """
        until = request.extensions["until"]
        used = self._token(None, until)
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._token(used, until)}"
            yield request

    def _token(self, stale: str | None, until: float) -> str:
        with self._lock:
            token = self._oauth.token
            # A second thread that got the same 401 finds the token replaced already.
            if not token or token["access_token"] == stale or token.is_expired(leeway=30):
                # `audience` goes with every request, the renewals included.
                extra = {"audience": self._credentials.audience} if self._credentials.audience else {}
                self._oauth.fetch_token(
                    self._credentials.token_url, grant_type="client_credentials", until=until, **extra
                )
            return str(self._oauth.token["access_token"])


class BearerAuth(httpx.Auth):
    """A ready access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Signs the request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
