"""What can be made to go wrong, and what was asked: switched and read beside the API, never through it."""

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
"""The encodings of a status that SetAuthCertificateReenrollment takes; any other gets 400.

`integer` is what the vendor's page says, `string` what every machine-readable contract says, as a server on
System.Text.Json would hold to it. Our choice: `lenient` unless told, since nobody has recorded this request.
"""

_AT_ONCE = struct.pack("ii", 1, 0)
"""To linger for no time: what makes a close a reset (socket(7))."""


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        on: the requests it is for, by the beginning of "METHOD /path?query" (the API's own path left out).
        act: what happens: `status` answers with it, `delay` waits `seconds` and goes on, `drop` ends the
            connection without an answer, `reset` with a TCP reset (over TLS: without a farewell), `truncate`
            sends half of the answer, `drip` a byte every `seconds`, `huge` `mib` MiB, `body` `body` with 200,
            `redirect` to `to`, `rewrite` takes it with other parameters (those in `query`), `pass` lets it pass.
        world: what somebody else does first, as for `change_world`.
        settings: what changes here first, as for `apply`, faults excepted.
        applied: the request is carried out first, so that only its answer is lost.
        skip: so many matching requests are left alone first.
        times: how many it then hits; None for all.
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
    """The faults that are on, and the journal of requests.

    Attributes:
        refused: GUIDs that SetAuthCertificateReenrollment lists as failed.
        rejected: GUIDs for which it answers 400 for the whole batch.
        page_cap: the most that a page holds; 0 for no cap.
        total_count: whether GET /Agents says X-Total-Count; older servers do not.
        job_types: an orchestrator has one to so many JobTypes; 0 for none, as before 25.x. An orchestrator takes
            0.6 kB with one of them, and 3 kB with 17.
        status_contract: one of `CONTRACTS`.
        misreads: the status for which it takes any status in this encoding (integer, name or digits), by encoding.
        stale_reads: so many answers to GET show each flag as it was before the last request that named the
            orchestrator; None for all answers.
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
        self._begun_with: dict[str, Any] = {}
        self._faults: list[Fault] = []
        self.calm()

    def begin(self, given: dict[str, Any]) -> None:
        """Applies settings that `calm` comes back to; raises as `apply` does."""
        self.apply(given)
        self._begun_with = given

    def calm(self) -> None:
        """Back to the settings of the start."""
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
        self.apply(defaults | self._begun_with)

    def takes_stale_read(self) -> bool:
        """Whether this GET is to be answered with flags as they were; it counts."""
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
        """Forgets the requests so far."""
        self._journal.clear()
        return web.Response(status=204)

    async def agents(self, _request: web.Request) -> web.Response:
        """Every orchestrator, all fields."""
        return web.json_response([asdict(agent) for agent in self._world.in_order()])

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replaces the settings that are named; see the attributes of `Faults` and of `Login`."""
        try:
            self.apply(await request.json())
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Back to the settings of the start."""
        self.calm()
        return web.Response(status=204)

    def apply(self, given: dict[str, Any]) -> None:
        """See `set_faults`.

        Raises:
            ValueError, TypeError: a setting or a fault that does not exist.
        """
        if not isinstance(given, dict):
            raise ValueError(f"expected an object of settings, not {given!r}")
        for name, value in given.items():
            if name in ("faults", "more_faults"):
                faults = [Fault(**each) for each in value]
                wrong = [each.act for each in faults if each.act not in ACTS]
                if wrong:
                    raise ValueError(f"{wrong[0]!r} is no fault; expected one of {', '.join(ACTS)}")
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
                    raise ValueError(f"{value!r} is no status_contract; expected one of {', '.join(CONTRACTS)}")
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
                raise ValueError(f"{name!r} is no setting of the stand-in")

    async def change_world(self, request: web.Request) -> web.Response:
        """What happens beside the API: see `_change`. The answer lists the GUIDs of orchestrators made."""
        try:
            made = self._change(await request.json())
        except (Refused, TypeError, ValueError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response([agent.agent_id for agent in made])

    async def show_world(self, _request: web.Request) -> web.Response:
        """The time of this Command."""
        return web.json_response({"now": self._world.now().isoformat()})

    async def clear_world(self, _request: web.Request) -> web.Response:
        """An empty Command again: no orchestrators, no requests seen, no faults, no tokens, the machine's clock."""
        self._world.clear()
        self._login.revoke()
        self._journal.clear()
        self.calm()
        return web.Response(status=204)

    def _change(self, given: dict[str, Any]) -> list[Agent]:
        """In this order: `now` sets the clock; `change` sets fields by GUID; `reenroll`, `reset`, `approve` and
        `remove` take GUIDs; `add` takes orchestrators; `check_in` lets those with these GUIDs have a session, in
        which those in `fail` (Command's message by GUID) fail; `populate` makes so many, `unapproved` of them not
        approved and `without_certificate` of them without one.

        Raises:
            Refused, TypeError, ValueError, AttributeError: something in it can't be.
        """
        world, known = self._world, {"now", "change", "reenroll", "reset", "approve", "remove", "add", "check_in"}
        if strange := given.keys() - known - {"fail", "populate", "unapproved", "without_certificate"}:
            raise ValueError(f"{min(strange)!r} is nothing that can happen to the stand-in's world")
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
        """Writes down each request, lets a fault have it, and dates the answer by the clock of this Command."""
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
            # A fault may bring a Date of its own.
            response.headers.setdefault("Date", self._date())
        entry["status"] = response.status
        return response

    def _date(self) -> str:
        """The time of this Command as RFC 7231 writes it in the header Date."""
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
    """One fault, the request that it hits, and the Date of the answer."""

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
        answer: web.StreamResponse | None = None
        if fault.applied or fault.act in ("truncate", "drip"):
            answer = await self._handler(self._request)
        if fault.act in ("drop", "reset"):
            transport = self._request.transport
            if transport is not None and fault.act == "reset":
                # Without lingering, closing sends a reset.
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
        whole = bytes(answer.body) if isinstance(answer, web.Response) and answer.body else b"{}"  # type: ignore[arg-type]
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
