"""The API for orchestrators: KeyfactorAgents/Session/Register, as Keyfactor's C agent uses it.

Observed with that agent: certificates are sent as base64 DER without a header, and a response with A0100007 (warning,
with a token) or A0100008 (error, without one) makes it register again with a CSR. Which of the two means Requested and
which Required is inferred.
"""

import base64
import json
import uuid
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from keyfactor_standins.command.authority import Authority, thumbprint
from keyfactor_standins.command.login import CHALLENGE, Login
from keyfactor_standins.command.world import APPROVED, DISAPPROVED, FLAGS, NOT_APPROVED, Agent, Refused, World

_ENROLL = {"Requested": (2, "A0100007"), "Required": (3, "A0100008")}
_OK, _WARNING, _ERROR = 1, 2, 3


class Sessions:
    """Registers orchestrators and issues their certificates."""

    def __init__(self, world: World, login: Login, authority: Authority) -> None:
        self._world, self._login, self._authority = world, login, authority

    def routes(self, base: str) -> list[web.RouteDef]:
        """The routes below the path of this API."""
        return [web.post(f"{base}/Session/Register", self.register)]

    async def register(self, request: web.Request) -> web.Response:
        """One registration: starts a session, tells the orchestrator to enroll, or issues a certificate for a CSR."""
        if not self._login.admits(request.headers.get("Authorization", "")):
            return web.Response(status=401, headers={"WWW-Authenticate": CHALLENGE})
        try:
            given = _Registration(json.loads(await request.text()))
        except (ValueError, TypeError, LookupError, AttributeError):
            return web.json_response({"Message": "The request body is not a registration."}, status=400)
        agent = self._world.agents.get(given.agent_id)
        if agent is not None:
            self._world.seen(agent, self._presented(request))
        try:
            if agent is not None and agent.status == DISAPPROVED:
                raise Refused("The orchestrator is disapproved.", NOT_APPROVED)
            if given.csr:
                return self._enroll(agent, given)
            if agent is None:
                return _answer(*_ENROLL["Required"], "Enroll for a certificate first.")
            return self._session(agent)
        except Refused as error:
            if agent is not None:
                self._world.failed(agent, int(error.code, 16), error.message)
            return _answer(_ERROR, error.code[2:], error.message, agent=agent)

    def _presented(self, request: web.Request) -> str | None:
        """The thumbprint of the client certificate, from TLS or from the header that a reverse proxy would set."""
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        der: bytes | None = tls.getpeercert(True) if tls is not None else None
        text = request.headers.get("X-ARR-ClientCert", "")
        return self._authority.presented(der if der else text)

    def _enroll(self, agent: Agent | None, given: "_Registration") -> web.Response:
        certificate = self._authority.issue(given.csr)
        if agent is None:
            # Our choice: an orchestrator that Command does not know returns as New with its GUID, since Keyfactor's
            # agent would not accept another one.
            agent = Agent(
                agent_id=given.agent_id or self._world.guid(),
                client_machine=given.machine,
                username=f"{self._login.domain}\\{self._login.username}",
                agent_platform=given.platform,
                version=given.version,
                capabilities=given.capabilities,
                last_seen=self._world.stamp(),
            )
            self._world.add(agent)
        self._world.issued(agent, thumbprint(certificate))
        return _answer(_OK, certificate=certificate, agent=agent, token=True)

    def _session(self, agent: Agent) -> web.Response:
        if agent.status != APPROVED:
            # Our choice: a warning. After an error, Keyfactor's agent discards its GUID and registers as new.
            message = "The orchestrator is not approved."
            self._world.failed(agent, int(NOT_APPROVED, 16), message)
            return _answer(_WARNING, NOT_APPROVED[2:], message, agent=agent)
        if agent.thumbprint is None:
            return _answer(*_ENROLL["Required"], "Enroll for a certificate.", agent=agent)
        # Our choice: without a client certificate the flag is never cleared, since there is nothing to renew.
        if agent.flag and agent.uses_certificate:
            result, code = _ENROLL[FLAGS[agent.flag]]
            return _answer(result, code, "Enroll for a new certificate.", agent=agent, token=result == _WARNING)
        self._world.succeeded(agent)
        return _answer(_OK, agent=agent, token=True)


class _Registration:
    """The body of a registration.

    Raises:
        ValueError, TypeError, AttributeError: it is malformed.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self.csr = str(body.get("CSR") or "")
        agent_id = str(body.get("AgentId") or "")
        self.agent_id = str(uuid.UUID(agent_id)) if agent_id else ""
        self.machine = str(body.get("ClientMachine") or "unnamed")
        self.platform = int(body.get("AgentPlatform") or 0)
        self.version = _version(body.get("AgentVersion"))
        self.capabilities = [str(capability) for capability in body.get("Capabilities") or ()]


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
    """The version in the four 16-bit groups of an integer; anything else as text."""
    if not isinstance(number, int):
        return str(number or "")
    return ".".join(str(number >> shift & 0xFFFF) for shift in (48, 32, 16, 0))
