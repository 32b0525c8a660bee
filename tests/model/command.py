"""A model of Command, and a client of it without HTTP in which every call can fail.

It follows Keyfactor's documentation and imports nothing of the product's decisions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from keyfactor_provider.command.client import CommandClient, Page
from keyfactor_provider.command.credentials import Credentials
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import (
    BadAnswer,
    CommandError,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
)
from tests.support.plain import Time

IDS = tuple(f"3f2504e0-4f89-11d3-9a0c-0000000000{number:02x}" for number in range(0xA0, 0xA7))

BOTH = ("fine", "down", "forbidden", "unauthorized")
"""The faults of any call."""
POSTS = ("lost", "lost-applied", "lost-reenrolled", "lost-renewed", "garbled", "renewed", "refused-all")
"""More faults of a call that sets flags: its response is lost before or after it was carried out, after the
orchestrators have re-enrolled, or after they renewed beforehand; the response is malformed; the orchestrators renew
just before the call; 400."""


@dataclass
class Orchestrator:
    thumbprint: str | None
    flag: str = "None"
    approved: bool = True
    last_used: str | None = None
    legacy: str | None = None


@dataclass
class World:
    """The data of Command.

    Attributes:
        refused: GUIDs that are always listed as failed.
        rejected: GUIDs that get the whole batch a 400.
        set_by: by GUID, the stack that set a flag which is still set.
        version: the number of changes.
        time: the wall clock; every run is later than the one before.
    """

    agents: dict[str, Orchestrator] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    set_by: dict[str, str] = field(default_factory=dict)
    version: int = 0
    time: Time = field(default_factory=Time, compare=False)
    _certificates: int = 0

    def certificate(self) -> str:
        self._certificates += 1
        return f"{self._certificates:040X}"

    def set_flag(self, agent_id: str, flag: str, by: str = "") -> None:
        """Set a flag, as the stack `by` or from outside."""
        self.version += 1
        self.agents[agent_id].flag = flag
        self.set_by.pop(agent_id, None)
        if by and flag != "None":
            self.set_by[agent_id] = by

    def renew(self, agent_id: str, *, used: bool = True) -> None:
        """Issue a new certificate, by default already in use."""
        self.version += 1
        agent = self.agents[agent_id]
        agent.legacy, agent.thumbprint = agent.thumbprint, self.certificate()
        if used:
            agent.last_used, agent.legacy = agent.thumbprint, None

    def reenroll(self, agent_id: str, *, used: bool = True) -> None:
        """Renew the certificate if the flag is set, and clear the flag."""
        if self.agents[agent_id].flag != "None":
            self.renew(agent_id, used=used)
            self.set_flag(agent_id, "None")

    def reset(self, agent_id: str) -> None:
        """AgentsResetPOST."""
        agent = self.agents[agent_id]
        agent.thumbprint = agent.last_used = agent.legacy = None
        agent.approved = False
        self.set_flag(agent_id, "None")

    def remove(self, agent_id: str) -> None:
        """AgentsIDDELETE."""
        self.set_flag(agent_id, "None")
        del self.agents[agent_id]

    def add(self, agent_id: str, *, certificate: bool = True) -> None:
        """Register an orchestrator; without client-certificate authentication it has no thumbprint."""
        self.version += 1
        thumbprint = self.certificate() if certificate else None
        self.agents[agent_id] = Orchestrator(thumbprint, last_used=thumbprint)

    def show(self, agent_id: str) -> Agent | None:
        """The agent as a read shows it."""
        agent = self.agents.get(agent_id)
        if agent is None:
            return None
        return Agent(
            id=agent_id,
            machine=f"machine-{agent_id[-2:]}",
            status=2 if agent.approved else 1,
            thumbprint=agent.thumbprint,
            last_thumbprint_used=agent.last_used,
            legacy_thumbprint=agent.legacy,
            flag=agent.flag,
        )


@dataclass
class Event:
    """One call as its caller sees it; `shown` of a read, `ids` and `failed` of one that sets flags."""

    kind: str
    shown: dict[str, Agent | None] = field(default_factory=dict)
    status: str = ""
    ids: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()


class Client:
    """The methods of a CommandClient that Operations uses, on a World."""

    def __init__(self, world: World, stack: str, faults: Sequence[str] = ()) -> None:
        self.world, self.stack, self.faults = world, stack, list(faults)
        self.settings = Settings(
            "https://command", Credentials("token", access_token="t"), batch_size=2, status_encoding="integer"
        )
        self.events: list[Event] = []
        self._now = 0.0

    def connect(self) -> CommandClient:
        """This client, which Operations takes for a CommandClient."""
        return cast(CommandClient, self)

    def clock(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def deadline(self, until: float | None = None, *, retries: bool = True) -> Deadline:
        own = self._now + self.settings.timeout
        return Deadline(own if until is None else min(own, until), retries)

    def agent(self, agent_id: str, *, deadline: Deadline | None = None) -> list[Agent]:
        self._reading(deadline)
        shown = self.world.show(agent_id)
        self.events.append(Event("read", {agent_id: shown}))
        if shown is None:
            raise NotFound("Reading", "404", "")
        return [shown]

    def agents_page(self, page: int, size: int, *, query: str = "", deadline: Deadline | None = None) -> Page:  # noqa: ARG002
        self._reading(deadline)
        agents = [shown for agent_id in sorted(self.world.agents) if (shown := self.world.show(agent_id))]
        if query:
            agents = [agent for agent in agents if f'"{agent.id}"' in query]
        elif page == 1:
            self.events.append(Event("read", {agent_id: self.world.show(agent_id) for agent_id in IDS}))
        return Page(agents if page == 1 else [])

    def agents_pages(
        self, numbers: Iterable[int], size: int, *, query: str = "", deadline: Deadline | None = None
    ) -> Iterator[Page]:
        return (self.agents_page(number, size, query=query, deadline=deadline) for number in numbers)

    def set_status(
        self, members: Sequence[str], status: Any, _encoding: str, *, deadline: Deadline | None = None
    ) -> frozenset[str]:
        ids = tuple(members)
        fault = self._fault(deadline, Event("ask", status=status.value, ids=ids))
        if fault in ("renewed", "lost-renewed"):
            for agent_id in self.world.agents.keys() & set(ids):
                self.world.renew(agent_id)
        if fault == "refused-all" or self.world.rejected & set(ids):
            self.events.append(Event("rejected", status=status.value, ids=ids))
            raise Rejected("Asking", "400, no such request", "", status=400)
        failed = frozenset(ids if fault == "lost" else self._set(ids, status.value))
        if fault == "lost-reenrolled":
            for agent_id in self.world.agents.keys() & set(ids):
                self.world.reenroll(agent_id)
        if fault.startswith("lost") or fault == "garbled":
            self.events.append(Event("lost", status=status.value, ids=ids))
            lost = Unreachable if fault.startswith("lost") else BadAnswer
            raise lost("Asking", "no answer", "", outcome_open=True, transient=fault != "garbled")
        self.events.append(Event("answered", status=status.value, ids=ids, failed=failed))
        return failed

    def _set(self, ids: Sequence[str], status: str) -> list[str]:
        failed = []
        for agent_id in ids:
            agent = self.world.agents.get(agent_id)
            if agent is None or agent_id in self.world.refused or (status != "None" and not agent.approved):
                failed.append(agent_id)
            elif agent.flag != status:
                self.world.set_flag(agent_id, status, self.stack)
        return failed

    def _reading(self, deadline: Deadline | None) -> None:
        self._fault(deadline, Event("read"))

    def _fault(self, deadline: Deadline | None, call: Event) -> str:
        self._now += 0.01
        fault = self.faults.pop(0) if self.faults else "fine"
        errors: dict[str, type[CommandError]] = {
            "down": Unreachable,
            "forbidden": Forbidden,
            "unauthorized": Unauthorized,
        }
        if fault not in errors:
            return fault
        if fault == "down":  # transient, so the client retries until its deadline
            self._now = max(self._now, deadline.until if deadline else self._now + self.settings.timeout)
        call.kind += "-failed" if fault == "forbidden" else "-outage"
        self.events.append(call)
        raise errors[fault]("A call", fault, "", transient=fault == "down")
