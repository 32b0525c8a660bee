"""The orchestrators' side: KeyfactorAgents/Session/Register, as Keyfactor's C agent speaks it.

Seen with that agent: certificates travel as base64 DER without a header, an answer with A0100007 (warning,
with a token) or A0100008 (error, without one) makes it register again with a CSR. Which of the two means
Requested and which Required is an inference.
"""

import base64
import binascii
import json
import uuid
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from standins.command.authority import Authority, thumbprint
from standins.command.login import Login
from standins.command.world import APPROVED, FLAGS, NEW, Agent, Refused, World

_ENROLL = {"Requested": (2, "A0100007"), "Required": (3, "A0100008")}
_OK, _WARNING, _ERROR = 1, 2, 3
_NOT_APPROVED = "A0100001"
"""Our choice: no source gives the code for an orchestrator that is not approved."""


class Sessions:
    """Registers orchestrators and issues their certificates."""

    def __init__(self, world: World, login: Login, authority: Authority) -> None:
        self._world, self._login, self._authority = world, login, authority

    def routes(self, base: str) -> list[web.RouteDef]:
        """The routes below the orchestrators' path."""
        return [web.post(f"{base}/Session/Register", self.register)]

    async def register(self, request: web.Request) -> web.Response:
        """One registration: a session, an order to enroll, or a new certificate for a CSR."""
        if not self._login.admits(request.headers.get("Authorization", "")):
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        try:
            body = json.loads(await request.text())
            csr, agent_id = body.get("CSR") or "", body.get("AgentId") or ""
        except (ValueError, AttributeError):
            return web.json_response({"Message": "The request body is not JSON."}, status=400)
        agent = self._world.agents.get(agent_id.lower())
        try:
            if agent is None:
                return self._first(body, csr)
            if csr:
                return self._enroll(agent, csr)
            return self._session(agent, self._presented(request))
        except Refused as error:
            if agent is not None:
                self._world.change(
                    agent.agent_id, last_error_code=int(error.code, 16), last_error_message=error.message
                )
            return _answer(_ERROR, error.code[2:], error.message)

    def _presented(self, request: web.Request) -> str | None:
        """The client certificate of the connection, or of the header that a reverse proxy would set."""
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        der = tls.getpeercert(True) if tls is not None else None
        if der is None:
            try:
                der = base64.b64decode(request.headers.get("X-ARR-ClientCert", ""), validate=True)
            except binascii.Error:
                return None
        return self._authority.presented(der) if der else None

    def _first(self, body: dict[str, Any], csr: str) -> web.Response:
        if not csr:
            return _answer(*_ENROLL["Required"], "Enroll for a certificate first.")
        certificate = self._authority.issue(csr)
        agent = Agent(
            agent_id=self._world.guid(),
            client_machine=str(body.get("ClientMachine") or "unnamed"),
            username=f"{self._login.domain}\\{self._login.username}",
            agent_platform=int(body.get("AgentPlatform") or 0),
            version=_version(body.get("AgentVersion")),
            capabilities=[str(each) for each in body.get("Capabilities") or []],
            status=NEW,
        )
        self._world.add(agent)
        self._world.issued(agent, thumbprint(certificate))
        return _answer(_OK, certificate=certificate, agent=agent, token=True)

    def _enroll(self, agent: Agent, csr: str) -> web.Response:
        certificate = self._authority.issue(csr)
        self._world.issued(agent, thumbprint(certificate))
        return _answer(_OK, certificate=certificate, agent=agent, token=True)

    def _session(self, agent: Agent, presented: str | None) -> web.Response:
        if agent.status != APPROVED:
            self._world.seen(agent, None)
            return _answer(_ERROR, _NOT_APPROVED, "The orchestrator is not approved.", agent=agent)
        if agent.thumbprint is None:
            return _answer(*_ENROLL["Required"], "Enroll for a certificate.", agent=agent)
        if agent.flag:
            self._world.seen(agent, presented)
            result, code = _ENROLL[FLAGS[agent.flag]]
            return _answer(result, code, "Enroll for a new certificate.", agent=agent, token=result == _WARNING)
        self._world.seen(agent, presented)
        return _answer(_OK, agent=agent, token=True)


def _answer(
    result: int,
    code: str = "",
    message: str = "",
    *,
    agent: Agent | None = None,
    certificate: Any = None,
    token: bool = False,
) -> web.Response:
    der = certificate.public_bytes(Encoding.DER) if certificate is not None else None
    return web.json_response(
        {
            "Result": {
                "Status": result,
                "Error": {"Code": 0, "CodeString": code, "HResult": 0, "Message": message},
            },
            "Session": {
                "Token": str(uuid.uuid4()) if token else None,
                "AgentId": agent.agent_id if agent else None,
                "Certificate": base64.b64encode(der).decode() if der else None,
                "ClientMachine": agent.client_machine if agent else None,
                "HeartbeatInterval": 5,
                "Jobs": [],
                "ClientParameters": {},
            },
        }
    )


def _version(number: Any) -> str:
    """One 16-bit group of the number for each part; anything else as it came."""
    if not isinstance(number, int):
        return str(number or "")
    return ".".join(str(number >> shift & 0xFFFF) for shift in (48, 32, 16, 0))
