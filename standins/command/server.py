"""The parts put together: one application on one loopback port."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from standins.command.api import Api
from standins.command.authority import Authority
from standins.command.faults import CONTROL, Faults
from standins.command.login import Login
from standins.command.sessions import Sessions
from standins.command.world import World

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


def build(world: World, *, statuses: str, tls: bool) -> Server:
    """The server for a world."""
    login = Login.of(world)
    authority = Authority(world)
    faults = Faults(world, login, API, AGENTS)
    application = web.Application(middlewares=[faults.middleware], client_max_size=64 * 2**20)
    application.add_routes(Api(world, login, faults, statuses).routes(API))
    application.add_routes(Sessions(world, login, authority).routes(AGENTS))
    application.add_routes(faults.routes())
    application.add_routes([web.post(TOKENS, login.token)])
    return Server(application, world, login, authority, faults, authority.server_context() if tls else None)
