"""Both sides of a comparison on one stand-in: the product's client, and bare loops."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import load
from keyfactor_provider.operations.operations import Operations
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import to_state
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_standins.command.process import Command

LATENCY = 0.020
"""Seconds: a Command server in the same country."""

ASK = "/KeyfactorAPI/Agents/SetAuthCertificateReenrollment"


@dataclass(frozen=True)
class Call:
    """A request that the product sent."""

    method: str
    url: str
    body: bytes


class Recorder(httpx.AsyncHTTPTransport):
    """Sends requests and keeps a copy of each."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and keep it."""
        self.calls.append(Call(request.method, str(request.url), await request.aread()))
        return await super().handle_async_request(request)


@dataclass
class Fleet:
    """A fleet of all orchestrators of a stand-in, whose status alternates from run to run.

    A flag that is set already is adopted without a request, so every run must desire the other status than the run
    before.
    """

    ids: Sequence[str]
    name: str = "fleet"
    _turn: int = field(default=0, init=False)

    def turn(self) -> ReenrollmentStatus:
        """The status of the next run."""
        self._turn += 1
        return ReenrollmentStatus.REQUESTED if self._turn % 2 else ReenrollmentStatus.REQUIRED

    def desired(self, status: ReenrollmentStatus) -> Desired:
        """The desired state of a run with this status."""
        return Desired(self.name, frozenset(self.ids), status)


def client(command: Command, transport: httpx.AsyncBaseTransport | None = None) -> CommandClient:
    """The product's client."""
    return CommandClient(load(lambda _: None, command.environment(), Path("/nonexistent")), transport=transport)


def ask(command: Command, desired: Desired, transport: httpx.AsyncBaseTransport | None = None) -> None:
    """Do what a new provider process does for a new fleet: read, decide, post."""
    opened = client(command, transport)
    try:
        operations = Operations(lambda: opened.settings, lambda _message: None, build=lambda _settings: opened)
        record = operations.run.apply(Record(desired.fleet), desired)
        to_state(record)
    finally:
        opened.close()
    assert len(record.pending_ids()) == len(desired.members), record.trouble


def record(do: Callable[[httpx.AsyncBaseTransport], object]) -> list[Call]:
    """The requests that `do` sends."""
    recorder = Recorder()
    do(recorder)
    return recorder.calls


@contextmanager
def bare(command: Command) -> Iterator[httpx.Client]:
    """A kept-alive client that sends only what Command requires."""
    said = command.said
    with httpx.Client(
        base_url=command.url,
        auth=(f"{said['domain']}\\{said['username']}", said["password"]),
        headers={"x-keyfactor-requested-with": "APIClient", "Content-Type": "application/json"},
        trust_env=False,
    ) as opened:
        yield opened


def replay(command: Command, calls: Sequence[Call]) -> None:
    """Send the same requests; download the responses and drop them."""
    with bare(command) as opened:
        for call in calls:
            answer = opened.request(call.method, call.url, content=call.body)
            assert answer.is_success, answer.text


def one_by_one(command: Command, ids: Sequence[str], status: ReenrollmentStatus) -> None:
    """Send one POST per orchestrator; read and decide nothing."""
    with bare(command) as opened:
        for agent_id in ids:
            answer = opened.post(ASK, json={"OrchestratorIds": [agent_id], "Status": status.number})
            assert answer.is_success, answer.text


def slow(command: Command, latency: float) -> None:
    """Delay every response by `latency` seconds."""
    late = {"on": "", "act": "delay", "seconds": latency}
    command.faults(faults=[late] if latency else [])
