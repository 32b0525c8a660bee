"""Authentication: Basic, bearer tokens, the OAuth2 token endpoint, and permissions."""

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from keyfactor_standins.command.world import World

CHALLENGE = 'Basic realm="Keyfactor Command", Bearer'
READ = "/agents/management/read/"
MODIFY = "/agents/management/modify/"


@dataclass
class Login:
    """The accounts of this server, which are kept with the world.

    Attributes:
        denied: permission paths that every identity lacks.
        token_life: seconds for which a fetched token is valid.
        form_only: the token endpoint reads the client's secret only from the form, as some do.
    """

    username: str = "svc-enroll"
    password: str = ""
    domain: str = "PLANT"
    client_id: str = "reenrollment"
    client_secret: str = ""
    access_token: str = ""
    denied: set[str] = field(default_factory=set)
    token_life: float = 300.0
    form_only: bool = False
    _tokens: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World) -> "Login":
        """The accounts kept with a world, created on its first start."""
        if "login" not in world.kept:
            names = ("password", "client_secret", "access_token")
            world.keep("login", {name: secrets.token_urlsafe(18) for name in names})
        return cls(**world.kept["login"])

    def admits(self, header: str) -> bool:
        """Whether an Authorization header is valid."""
        kind, _, value = header.partition(" ")
        if kind.lower() == "bearer":
            return value == self.access_token or self._tokens.get(value, 0.0) > time.monotonic()
        if kind.lower() != "basic":
            return False
        user, _, password = _basic(value).partition(":")
        # The published clients use either form.
        accounts = {f"{self.domain}\\{self.username}".lower(), f"{self.username}@{self.domain}".lower()}
        return user.lower() in accounts and secrets.compare_digest(password.encode(), self.password.encode())

    def revoke(self) -> None:
        """Revoke every token fetched so far."""
        self._tokens.clear()

    async def token(self, request: web.Request) -> web.Response:
        """The token endpoint: client credentials in a Basic header or in form fields."""
        form = await request.post()
        client, secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        header = request.headers.get("Authorization", "")
        if header.lower().startswith("basic ") and not self.form_only:
            # RFC 6749 2.3.1: both are form-encoded before they are joined.
            client, _, secret = _basic(header[6:]).partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type")
        if client != self.client_id or not secrets.compare_digest(secret.encode(), self.client_secret.encode()):
            return _oauth_error(401, "invalid_client")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + self.token_life
        body: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": int(self.token_life)}
        if form.get("scope"):
            body["scope"] = form["scope"]
        return web.json_response(body, headers={"Cache-Control": "no-store"})


def _basic(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return ""


def _oauth_error(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)
