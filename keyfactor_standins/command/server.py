"""Assembles the stand-in: one application on one loopback port."""

import re
import ssl
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from keyfactor_standins.command import API_PATH
from keyfactor_standins.command.api import Api
from keyfactor_standins.command.authority import Authority
from keyfactor_standins.command.faults import CONTROL, Faults
from keyfactor_standins.command.login import Login
from keyfactor_standins.command.sessions import Sessions
from keyfactor_standins.command.world import World

AGENTS = "/KeyfactorAgents"
TOKENS = "/identity/token"
PRODUCT = "25.4.1+5c2d9d0a7e3f4b61c8e0f7a2936b1d4e8f50a7c3"
"""In the format of the recorded server; the part after the plus is invented."""


@dataclass
class Server:
    """The assembled stand-in."""

    application: web.Application
    world: World
    login: Login
    authority: Authority
    faults: Faults
    api_path: str
    tls: ssl.SSLContext | None

    def announcement(self, port: int, ca_file: Path | None) -> dict[str, str]:
        """The JSON line that the stand-in prints: its addresses and credentials, which it generated."""
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        line = {
            "url": url,
            "api_path": self.api_path,
            "username": self.login.username,
            "password": self.login.password,
            "domain": self.login.domain,
            "client_id": self.login.client_id,
            "client_secret": self.login.client_secret,
            "token_url": url + TOKENS,
            "access_token": self.login.access_token,
            "agents_url": url + AGENTS,
            "control_url": url + CONTROL,
        }
        return line | ({"ca_cert": str(ca_file)} if ca_file else {})


@web.middleware
async def _bare_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Our choice: no body for an unknown path or method; the observed responses of Command are often empty."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except web.HTTPException as error:
        kept = {name: value for name, value in error.headers.items() if name == "Allow"}
        return web.Response(status=error.status, headers=kept)


def _product_headers(base: str) -> Any:
    below = base.lower() + "/"

    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
        # Our choice: on every response of the API, including errors; all recorded ones were successes.
        response: web.StreamResponse = await handler(request)
        if re.sub("/+", "/", request.path).lower().startswith(below):
            response.headers["X-Keyfactor-Correlation-Id"] = str(uuid.uuid4())
            response.headers["X-Keyfactor-Product-Version"] = PRODUCT
            response.headers["Api-Supported-Versions"] = "1.0"
        return response

    return middleware


def any_case(path: str) -> str:
    """A route's path without regard to case, as in the framework that Command is built with.

    Clients join base and path carelessly, so repeated slashes count as one, and a slash at the end is ignored.
    """
    pattern = ""
    for at, part in enumerate(re.split(r"\{(\w+)\}", path.strip("/"))):
        if at % 2:
            pattern += f"{{{part}:[^/]+}}"
        elif part:
            pattern += f"{{_{at}:(?i:{part.replace('/', '/+')})}}"
    return f"/{{_begin:/*}}{pattern}{{_end:/*}}"


def build(world: World, *, statuses: str = "names", tls: bool = False, api_path: str = API_PATH) -> Server:
    """The server for a world; the other parameters are the options of the command line."""
    login = Login.of(world)
    authority = Authority(world)
    base = f"/{api_path}"
    faults = Faults(world, login, (base, AGENTS))
    application = web.Application(
        middlewares=[faults.middleware, _product_headers(base), _bare_errors], client_max_size=64 * 2**20
    )
    api, sessions = Api(world, login, faults, statuses).routes(base), Sessions(world, login, authority).routes(AGENTS)
    application.add_routes(
        web.RouteDef(route.method, any_case(route.path), route.handler, route.kwargs) for route in (*api, *sessions)
    )
    application.add_routes([*faults.routes(), web.post(TOKENS, login.token)])
    return Server(application, world, login, authority, faults, api_path, authority.server_context() if tls else None)
