"""Faults, and the journal of requests, behind the control endpoint, which is separate from the API."""

import asyncio
import json
import struct
from collections import deque
from dataclasses import asdict, dataclass, field
from email.utils import format_datetime
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from aiohttp import web

from keyfactor_standins.command import jobtypes
from keyfactor_standins.command.login import Login
from keyfactor_standins.command.world import Agent, Refused, World, plain

CONTROL = "/_standin"
ACTS = ("status", "delay", "drop", "reset", "truncate", "drip", "huge", "body", "redirect", "rewrite", "pass")

CONTRACTS = {
    "lenient": ("integer", "name", "digits"),
    "string": ("name", "digits"),
    "integer": ("integer",),
    "name": ("name",),
    "digits": ("digits",),
}
"""The encodings of a status that SetAuthCertificateReenrollment accepts; any other gets 400.

`integer` is that of the vendor's page, `string` that of every machine-readable contract, as a server on
System.Text.Json would enforce it. Our choice: `lenient` by default, since there is no recording of this request.
"""

_AT_ONCE = struct.pack("ii", 1, 0)
"""A linger time of zero, which turns a close into a reset (socket(7))."""


@dataclass
class Fault:
    """A fault.

    Attributes:
        on: the requests that it affects, by the beginning of "METHOD /path?query" (without the path of the API).
        act: what happens: `status` responds with `status`; `delay` waits `seconds`, then handles the request; `drop`
            closes the connection without a response; `reset` resets it (over TLS: without a close_notify); `truncate`
            sends half of the response; `drip` sends a byte every `seconds`; `huge` sends `mib` MiB; `body` sends `body`
            with 200; `redirect` redirects to `to`; `rewrite` changes the parameters in `query`; `pass` changes nothing.
        world: changes from outside that happen first, as for `change_world`.
        settings: settings that change first, as for `apply`, except faults.
        applied: whether the request is carried out, so that only its response is lost.
        skip: how many matching requests to leave alone first.
        times: how many requests it then affects; None for all.
    """

    on: str
    act: str
    status: int = 500
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.05
    mib: int = 80
    to: str = ""
    query: dict[str, str] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    applied: bool = False
    skip: int = 0
    times: int | None = None


class Faults:
    """The current faults and settings, and the journal of requests.

    Attributes:
        refused: GUIDs that SetAuthCertificateReenrollment lists as failed.
        rejected: GUIDs for which it responds 400 to the whole batch.
        page_cap: the most agents on a page; 0 for no cap.
        total_count: whether GET /Agents sends X-Total-Count; older servers do not.
        job_types: the most JobTypes of an orchestrator, which has at least one; 0 for none, as before 25.x. An
            orchestrator takes 0.6 kB with 1 of them, and 3 kB with 17.
        status_contract: one of `CONTRACTS`.
        misreads: by encoding (integer, name or digits), the status that every status in this encoding is taken for.
        stale_reads: how many responses to GET show each flag as it was before the last request that named the
            orchestrator; None for all.
    """

    refused: frozenset[str]
    rejected: frozenset[str]
    page_cap: int
    total_count: bool
    job_types: int
    status_contract: str
    misreads: dict[str, int]
    stale_reads: int | None

    def __init__(self, world: World, login: Login, bases: tuple[str, ...]) -> None:
        self._world, self._login, self._bases = world, login, bases
        self._journal: deque[dict[str, Any]] = deque(maxlen=100_000)
        self._initial: dict[str, Any] = {}
        self._faults: list[Fault] = []
        self.calm()

    def begin(self, given: dict[str, Any]) -> None:
        """Apply the settings that `calm` restores; raises as `apply` does."""
        self.apply(given)
        self._initial = given

    def calm(self) -> None:
        """Restore the settings of the start."""
        defaults = {
            "faults": [],
            "refused": [],
            "rejected": [],
            "page_cap": 0,
            "total_count": True,
            "job_types": 1,
            "status_contract": "lenient",
            "misreads": {},
            "stale_reads": 0,
            "denied": [],
            "token_life": 300,
            "form_only": False,
        }
        self.apply(defaults | self._initial)

    def takes_stale_read(self) -> bool:
        """Whether this GET shows stale flags; counts it."""
        if self.stale_reads is None:
            return True
        self.stale_reads, stale = max(self.stale_reads - 1, 0), self.stale_reads > 0
        return stale

    def routes(self) -> list[web.RouteDef]:
        """The control endpoint."""
        return [
            web.get(f"{CONTROL}/journal", self.journal),
            web.delete(f"{CONTROL}/journal", self.clear_journal),
            web.get(f"{CONTROL}/agents", self.agents),
            web.post(f"{CONTROL}/faults", self.set_faults),
            web.delete(f"{CONTROL}/faults", self.clear_faults),
            web.post(f"{CONTROL}/world", self.change_world),
            web.delete(f"{CONTROL}/world", self.clear_world),
            web.get(f"{CONTROL}/world", self.show_world),
        ]

    async def journal(self, _request: web.Request) -> web.Response:
        """Every request so far: method, path, status, and the body of a SetAuthCertificateReenrollment."""
        return web.json_response(list(self._journal))

    async def clear_journal(self, _request: web.Request) -> web.Response:
        """Empty the journal."""
        self._journal.clear()
        return web.Response(status=204)

    async def agents(self, _request: web.Request) -> web.Response:
        """Every orchestrator with all fields."""
        return web.json_response([asdict(agent) for agent in self._world.in_order()])

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace the named settings; see `apply`."""
        try:
            self.apply(await request.json())
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Restore the settings of the start."""
        self.calm()
        return web.Response(status=204)

    def apply(self, given: dict[str, Any]) -> None:
        """Replace settings: the attributes of `Faults` and of `Login`, `faults`, `more_faults`, `revoke_tokens`.

        Raises:
            ValueError, TypeError: a setting or a fault does not exist.
        """
        if not isinstance(given, dict):
            raise ValueError(f"expected an object of settings, not {given!r}")
        for name, value in given.items():
            if name in ("faults", "more_faults"):
                faults = [Fault(**fields) for fields in value]
                wrong = [fault.act for fault in faults if fault.act not in ACTS]
                if wrong:
                    raise ValueError(f"unknown fault {wrong[0]!r}; expected one of {', '.join(ACTS)}")
                self._faults = faults if name == "faults" else [*self._faults, *faults]
            elif name in ("refused", "rejected"):
                setattr(self, name, frozenset(map(plain, value)))
            elif name == "page_cap":
                self.page_cap = int(value)
            elif name == "total_count":
                self.total_count = bool(value)
            elif name == "job_types":
                if value not in range(jobtypes.MOST + 1):
                    raise ValueError(f"job_types is {value!r}; expected 0 to {jobtypes.MOST}")
                self.job_types = value
            elif name == "status_contract":
                if value not in CONTRACTS:
                    raise ValueError(f"unknown status_contract {value!r}; expected one of {', '.join(CONTRACTS)}")
                self.status_contract = value
            elif name == "misreads":
                if any(key not in CONTRACTS["lenient"] or to not in (0, 1, 2) for key, to in value.items()):
                    raise ValueError(f"misreads is {value!r}; expected integer, name or digits, each with 0, 1 or 2")
                self.misreads = dict(value)
            elif name == "stale_reads":
                self.stale_reads = None if value is True else int(value)
            elif name == "denied":
                self._login.denied = set(value)
            elif name == "token_life":
                self._login.token_life = float(value)
            elif name == "form_only":
                self._login.form_only = bool(value)
            elif name == "revoke_tokens":
                self._login.revoke()
            else:
                raise ValueError(f"unknown setting {name!r}")

    async def change_world(self, request: web.Request) -> web.Response:
        """Change the world from outside the API, see `_change`; responds with the GUIDs of new orchestrators."""
        try:
            agents = self._change(await request.json())
        except (Refused, TypeError, ValueError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response([agent.agent_id for agent in agents])

    async def show_world(self, _request: web.Request) -> web.Response:
        """The time of this Command."""
        return web.json_response({"now": self._world.now().isoformat()})

    async def clear_world(self, _request: web.Request) -> web.Response:
        """Empty it: no orchestrators, journal, faults or tokens, and the machine's clock."""
        self._world.clear()
        self._login.revoke()
        self._journal.clear()
        self.calm()
        return web.Response(status=204)

    def _change(self, given: dict[str, Any]) -> list[Agent]:
        """Apply these changes in this order.

        `now` sets the clock; `change` sets fields by GUID; `reenroll`, `reset`, `approve` and `remove` take GUIDs;
        `add` takes orchestrators; `check_in` takes GUIDs that have a session, in which those in `fail` (Command's
        message by GUID) fail; `populate` creates orchestrators, of which `unapproved` are not approved and
        `without_certificate` have no certificate.

        Raises:
            Refused, TypeError, ValueError, AttributeError: a change is invalid.
        """
        world, known = self._world, {"now", "change", "reenroll", "reset", "approve", "remove", "add", "check_in"}
        if unknown := given.keys() - known - {"fail", "populate", "unapproved", "without_certificate"}:
            raise ValueError(f"unknown change {min(unknown)!r}")
        if "now" in given:
            world.set_clock(given["now"])
        for agent_id, fields in given.get("change", {}).items():
            world.change(agent_id, **fields)
        world.reenroll(given.get("reenroll", ()))
        world.reset(given.get("reset", ()))
        world.judge(given.get("approve", ()), 2)
        for agent_id in given.get("remove", ()):
            world.remove(agent_id)
        world.add(*(Agent(**fields) for fields in given.get("add", ())))
        world.check_in(given.get("check_in", ()), given.get("fail", {}))
        return world.populate(given.get("populate", 0), given.get("unapproved", 0), given.get("without_certificate", 0))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Record each request, apply a fault to it, and date the response by the clock of this Command."""
        if request.path.startswith(CONTROL):
            return await handler(request)  # type: ignore[no-any-return]
        path = request.path
        for base in self._bases:
            if path.lower().startswith(base.lower()):
                path = path[len(base) :]
        entry: dict[str, Any] = {"method": request.method, "path": path, "query": dict(request.query)}
        if path.endswith("/SetAuthCertificateReenrollment"):
            text = await request.text()
            try:
                entry["body"] = json.loads(text)
            except ValueError:
                entry["body"] = text
        elif path.endswith("/token"):
            form = await request.post()
            entry["form"] = {name: str(value) for name, value in form.items() if name != "client_secret"}
        self._journal.append(entry)
        fault = self._due(f"{request.method} {path}?{request.query_string}")
        entry["fault"] = fault.act if fault else None
        if fault is None:
            response: web.StreamResponse = await handler(request)
        else:
            self._change(fault.world)
            self.apply(fault.settings)
            response = await _Acting(fault, request, handler, self._date()).act()
        if not response.prepared:
            # A fault may set its own Date.
            response.headers.setdefault("Date", self._date())
        entry["status"] = response.status
        return response

    def _date(self) -> str:
        """The time of this Command in the format of the header Date (RFC 7231)."""
        return format_datetime(self._world.now(), usegmt=True)

    def _due(self, line: str) -> Fault | None:
        for fault in self._faults:
            if not line.lower().startswith(fault.on.lower()):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.times is None or fault.times > 0:
                fault.times = fault.times - 1 if fault.times is not None else None
                return fault
        return None


class _Acting:
    """Applies a fault to a request; `date` is that of the response."""

    def __init__(self, fault: Fault, request: web.Request, handler: Any, date: str) -> None:
        self._fault, self._request, self._handler, self._date = fault, request, handler, date

    async def act(self) -> web.StreamResponse:
        fault = self._fault
        if fault.act == "delay":
            await asyncio.sleep(fault.seconds)
            return await self._handler(self._request)  # type: ignore[no-any-return]
        if fault.act == "rewrite":
            url = self._request.rel_url.update_query(fault.query)
            return await self._handler(self._request.clone(rel_url=url))  # type: ignore[no-any-return]
        if fault.act == "pass":
            return await self._handler(self._request)  # type: ignore[no-any-return]
        response: web.StreamResponse | None = None
        if fault.applied or fault.act in ("truncate", "drip"):
            response = await self._handler(self._request)
        if fault.act in ("drop", "reset"):
            transport = self._request.transport
            if transport is not None and fault.act == "reset":
                # With this linger time, closing sends a reset.
                transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
                transport.abort()
            elif transport is not None:
                transport.close()
            return web.Response(status=499)
        if fault.act == "redirect":
            return web.Response(status=302, headers={"Location": fault.to})
        if fault.act in ("status", "body"):
            return web.Response(
                status=fault.status if fault.act == "status" else 200,
                body=fault.body.encode(),
                headers={"Content-Type": fault.content_type, **fault.headers},
            )
        if fault.act == "huge":
            return await self._send([b" " * 2**20] * fault.mib, 0.0, fault.mib * 2**20)
        whole = bytes(response.body) if isinstance(response, web.Response) and response.body else b"{}"  # type: ignore[arg-type]
        if fault.act == "truncate":
            return await self._send([whole[: len(whole) // 2]], 0.0, len(whole))
        return await self._send([whole[at : at + 1] for at in range(len(whole))], fault.seconds, len(whole))

    async def _send(self, chunks: list[bytes], pause: float, length: int) -> web.StreamResponse:
        headers = {"Date": self._date, "Content-Type": self._fault.content_type, "Content-Length": str(length)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(self._request)
        try:
            for chunk in chunks:
                await response.write(chunk)
                if pause:
                    await asyncio.sleep(pause)
        except ConnectionError:
            pass
        if self._request.transport is not None and self._fault.act == "truncate":
            self._request.transport.close()
        return response
