"""The parts put together: one application on one loopback port."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from keyfactor_standins.command.api import Api
from keyfactor_standins.command.authority import Authority
from keyfactor_standins.command.faults import CONTROL, Faults
from keyfactor_standins.command.login import Login
from keyfactor_standins.command.sessions import Sessions
from keyfactor_standins.command.world import World

API = "/KeyfactorAPI"
AGENTS = "/KeyfactorAgents"
TOKENS = "/identity/token"


@dataclass
class Server:
    """What was put together."""

    application: web.Application
    world: World
    login: Login
    authority: Authority
    faults: Faults
    tls: ssl.SSLContext | None

    def announcement(self, port: int, ca_file: Path | None) -> dict[str, str]:
        """The one line that says where everything is, secrets included: they are made up."""
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        said = {
            "url": url,
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
        return said | ({"ca_cert": str(ca_file)} if ca_file else {})


@web.middleware
async def _bare_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Our choice: no body where there is no such path or method; what is seen of Command there is often empty."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except web.HTTPException as error:
        kept = {name: value for name, value in error.headers.items() if name == "Allow"}
        return web.Response(status=error.status, headers=kept)


def any_case(path: str) -> str:
    """A route's path in which case does not count, as in the framework that Command is built with.

    Clients join base and path carelessly: slashes count once, and one at the end does not count.
    """
    pattern = ""
    for at, part in enumerate(re.split(r"\{(\w+)\}", path.strip("/"))):
        if at % 2:
            pattern += f"{{{part}:[^/]+}}"
        elif part:
            pattern += f"{{_{at}:(?i:{part.replace('/', '/+')})}}"
    return f"/{{_begin:/*}}{pattern}{{_end:/*}}"


def build(world: World, *, statuses: str, tls: bool) -> Server:
    """The server for a world."""
    login = Login.of(world)
    authority = Authority(world)
    faults = Faults(world, login, API, AGENTS)
    application = web.Application(middlewares=[faults.middleware, _bare_errors], client_max_size=64 * 2**20)
    api, sessions = Api(world, login, faults, statuses).routes(API), Sessions(world, login, authority).routes(AGENTS)
    application.add_routes(
        web.RouteDef(route.method, any_case(route.path), route.handler, route.kwargs) for route in (*api, *sessions)
    )
    application.add_routes([*faults.routes(), web.post(TOKENS, login.token)])
    return Server(application, world, login, authority, faults, authority.server_context() if tls else None)
