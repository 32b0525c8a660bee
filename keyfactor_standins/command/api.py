"""The Keyfactor API for agents: paths, parameters, bodies, errors."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from keyfactor_standins.command import jobtypes
from keyfactor_standins.command.faults import CONTRACTS, Faults
from keyfactor_standins.command.login import CHALLENGE, MODIFY, READ, Login
from keyfactor_standins.command.query import FIELDS, parse
from keyfactor_standins.command.world import APPROVED, DISAPPROVED, FLAGS, Agent, Refused, World, plain

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SORT = FIELDS.keys() - {"capabilities"}
_ALSO_KNOWN_AS = {"username": "identity", "agentplatform": "platform"}
_DIRECTIONS = {"": False, "0": False, "ascending": False, "1": True, "descending": True}
"""SortAscending; despite its name, 1 is descending."""
_CALLERS = ("apiclient", "xmlhttprequest")
_VERSIONS = ("", "1", "1.0")
_BODIES = re.compile(r"(application|text)/(json|[\w.-]+\+json)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The handlers.

    Args:
        statuses: names, mixed or integers: the form of AuthCertificateReenrollment and of a response's Status.
            The vendor's page has names; the published clients decode a mixture.
    """

    def __init__(self, world: World, login: Login, faults: Faults, statuses: str) -> None:
        self._world, self._login, self._faults = world, login, faults
        self._response_as_integer = statuses in ("mixed", "integers")
        self._field_as_integer = statuses == "integers"

    def routes(self, base: str) -> list[web.RouteDef]:
        """The routes below the API's path."""
        read, modify = self._needing(READ), self._needing(READ, MODIFY)
        return [
            web.get(f"{base}/Status/Endpoints", self._needing()(self.endpoints)),
            web.get(f"{base}/Agents", read(self.agents)),
            web.get(f"{base}/Agents/{{id}}", read(self.agent)),
            web.post(f"{base}/Agents/SetAuthCertificateReenrollment", modify(self.set_reenrollment)),
            web.post(f"{base}/Agents/Approve", modify(self._judge(APPROVED))),
            web.post(f"{base}/Agents/Disapprove", modify(self._judge(DISAPPROVED))),
            web.post(f"{base}/Agents/Reset", modify(self.reset)),
            web.post(f"{base}/Agents/{{id}}/Reset", modify(self.reset)),
            web.post(f"{base}/Agents/{{id}}/FetchLogs", modify(self.fetch_logs)),
            web.delete(f"{base}/Agents/{{id}}", self._needing(MODIFY)(self.delete)),
        ]

    def _needing(self, *permissions: str) -> Callable[[Handler], Handler]:
        def guard(handler: Handler) -> Handler:
            async def guarded(request: web.Request) -> web.StreamResponse:
                # Our choice: 401 without a body. The observed responses of Command often have no JSON.
                if not self._login.admits(request.headers.get("Authorization", "")):
                    return web.Response(status=401, headers={"WWW-Authenticate": CHALLENGE})
                lacking = [permission for permission in permissions if permission in self._login.denied]
                if lacking:
                    text = f"User does not have the required permissions: {lacking[0]}"
                    return failure(Refused(text, "0xA0140002", 403))
                try:
                    _check_headers(request)
                    return await handler(request)
                except Refused as error:
                    return failure(error)

            return guarded

        return guard

    async def endpoints(self, _request: web.Request) -> web.Response:
        """The endpoint that Keyfactor's clients call to check their credentials."""
        listed = [f"{route.method} {route.path}" for route in self.routes("")]
        return web.json_response(listed)

    async def agents(self, request: web.Request) -> web.Response:
        """One page. Parameters may have the older prefix `pq.`, and their case does not matter."""
        given = {name.lower().removeprefix("pq."): value for name, value in request.query.items()}
        page, size = _whole(given, "PageReturned", 1), _whole(given, "ReturnLimit", 50)
        if self._faults.page_cap:
            size = min(size, self._faults.page_cap)
        agents = self._world.in_order()
        if query := given.get("querystring", "").strip():
            test = parse(query)
            agents = [agent for agent in agents if test(agent)]
        agents = _sorted(agents, given.get("sortfield") or "AgentId", given.get("sortascending", ""))
        start = (page - 1) * size
        stale = self._faults.takes_stale_read()
        shown = ",".join(self._shown(agent, stale) for agent in agents[start : start + size])
        # The recorded server counts after filtering.
        total = {"X-Total-Count": str(len(agents))} if self._faults.total_count else {}
        return web.json_response(text=f"[{shown}]", headers=total)

    async def agent(self, request: web.Request) -> web.Response:
        """One orchestrator, as an object."""
        agent = self._named(request)
        return web.json_response(text=self._shown(agent, self._faults.takes_stale_read()))

    def _named(self, request: web.Request) -> Agent:
        _check_guids([request.match_info["id"]])
        return self._world.known(request.match_info["id"])

    async def set_reenrollment(self, request: web.Request) -> web.Response:
        """POST /Agents/SetAuthCertificateReenrollment, as the vendor's page describes it."""
        body = await _json(request)
        if not isinstance(body, dict):
            raise Refused("The request body is not an object.", "0xA0110007")
        given = {name.lower(): value for name, value in body.items()}
        ids = given.get("orchestratorids")
        # Our choice: an empty or missing list is a bad request.
        if not isinstance(ids, list) or not ids:
            raise Refused("OrchestratorIds is required.", "0xA0110007")
        _check_guids(ids)
        status = self._status(given)
        if rejected := [agent_id for agent_id in ids if plain(agent_id) in self._faults.rejected]:
            raise Refused(f"Agent {rejected[0]} can't be changed.")
        failed = self._world.set_flag(ids, status, self._faults.refused)
        shown: int | str = status if self._response_as_integer else FLAGS[status]
        return web.json_response({"FailedOrchestratorIds": failed, "Status": shown})

    def _status(self, given: dict[str, Any]) -> int:
        # Clients generated from a later specification send `statusEnum` in addition to `status` or instead of it.
        value = given.get("status")
        value = given.get("statusenum") if value is None else value
        encoding, number = _read_status(value)
        if encoding not in CONTRACTS[self._faults.status_contract]:
            raise Refused(f"The Status could not be converted from {encoding}.", "0xA0110007")
        return self._faults.misreads.get(encoding, number)

    def _judge(self, status: int) -> Handler:
        async def judge(request: web.Request) -> web.Response:
            self._world.judge(await _guids(request), status)
            return web.Response(status=204)

        return judge

    async def reset(self, request: web.Request) -> web.Response:
        """Reset the orchestrator in the path, or those in the body."""
        agent_id = request.match_info.get("id")
        ids = [agent_id] if agent_id else await _guids(request)
        _check_guids(ids)
        self._world.reset(ids)
        return web.Response(status=204)

    async def fetch_logs(self, request: web.Request) -> web.Response:
        """Our choice: the job is scheduled but never handed out; an orchestrator without the capability is refused."""
        agent = self._named(request)
        if not any(capability.upper().endswith("LOGS") for capability in agent.capabilities):
            raise Refused(f"Agent {agent.agent_id} does not support fetching logs.")
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a disapproved orchestrator; `force` has no effect, since no orchestrator here has jobs or stores."""
        agent = self._named(request)
        if agent.status != DISAPPROVED:
            raise Refused("Only a disapproved agent can be deleted.")
        self._world.remove(agent.agent_id)
        return web.Response(status=204)

    def _shown(self, agent: Agent, stale: bool) -> str:
        flag = self._world.flags_before.get(agent.agent_id, agent.flag) if stale else agent.flag
        shown = _compact(
            {
                "AgentId": agent.agent_id,
                "ClientMachine": agent.client_machine,
                "Username": agent.username,
                "AgentPlatform": agent.agent_platform,
                "Version": agent.version,
                "Status": agent.status,
                "LastSeen": agent.last_seen or None,
                "Capabilities": agent.capabilities,
                "Blueprint": agent.blueprint,
                "Thumbprint": agent.thumbprint,
                "LegacyThumbprint": agent.legacy_thumbprint,
                "AuthCertificateReenrollment": flag if self._field_as_integer else FLAGS[flag],
                "LastThumbprintUsed": agent.last_thumbprint_used,
                "LastErrorCode": agent.last_error_code,
                "LastErrorMessage": agent.last_error_message,
            }
        )
        most = self._faults.job_types
        return f'{shown[:-1]},"JobTypes":{jobtypes.text(agent.agent_id, most)}}}' if most else shown


def _read_status(value: Any) -> tuple[str, int]:
    """The encoding and the number of a status; raises Refused if it is invalid."""
    if isinstance(value, int) and not isinstance(value, bool) and value in range(len(FLAGS)):
        return "integer", value
    text = value.strip().lower() if isinstance(value, str) else ""
    names, digits = [name.lower() for name in FLAGS], [str(number) for number in range(len(FLAGS))]
    if text in names:
        return "name", names.index(text)
    if text in digits:
        return "digits", digits.index(text)
    raise Refused(f"The Status {value!r} is not valid.", "0xA0110007")


def failure(error: Refused) -> web.Response:
    """The response for an error, in Command's format."""
    return web.json_response({"ErrorCode": error.code, "Message": error.message}, status=error.status)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _check_headers(request: web.Request) -> None:
    caller = request.headers.get("x-keyfactor-requested-with", "")
    if caller.lower() not in _CALLERS:
        raise Refused(f"The x-keyfactor-requested-with header {caller!r} is not valid.", "0xA0110007")
    # Our choice: an unknown version of the agents API is a bad request.
    version = request.headers.get("x-keyfactor-api-version", "")
    if version not in _VERSIONS:
        raise Refused(f"The x-keyfactor-api-version header {version!r} is not supported.", "0xA0110007")


def _sorted(agents: list[Agent], by: str, direction: str) -> list[Agent]:
    name = _ALSO_KNOWN_AS.get(by.lower(), by.lower())
    if name not in _SORT or direction.lower() not in _DIRECTIONS:
        raise Refused(f"The sort field {by} or direction {direction} is not valid.", "0xA011004A")
    descending = _DIRECTIONS[direction.lower()]
    if name == "agentid":
        return agents[::-1] if descending else agents
    key = FIELDS[name].of
    return sorted(agents, key=lambda agent: (key(agent) is not None, key(agent)), reverse=descending)


def _whole(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name.lower()) or str(default)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise Refused(f"The {name} {text!r} is not valid.", "0xA0110007")
    return int(text)


def _check_guids(ids: list[Any]) -> None:
    for agent_id in ids:
        if not isinstance(agent_id, str) or not _GUID.fullmatch(plain(agent_id)):
            raise Refused(f"The value {agent_id!r} is not a GUID.", "0xA0110007")


async def _json(request: web.Request) -> Any:
    if "Content-Type" in request.headers and not _BODIES.fullmatch(request.content_type):
        # Our choice: the behaviour of the framework that Command is built with.
        raise Refused(f"The Content-Type {request.content_type} is not supported.", "0xA0110007", 415)
    try:
        return json.loads(await request.text())
    except (ValueError, LookupError):
        raise Refused("The request body is not JSON.", "0xA0110007") from None


async def _guids(request: web.Request) -> list[str]:
    body = await _json(request)
    if not isinstance(body, list):
        raise Refused("The request body is not a list of GUIDs.", "0xA0110007")
    _check_guids(body)
    return body
