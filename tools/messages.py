"""An example of every message and error, made by the code that makes it in a run."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import httpx

from keyfactor_provider.command import answers
from keyfactor_provider.command.exchange import Answer
from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError, ProviderError, ReenrollmentFailed
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.before import Before
from keyfactor_provider.operations.context import Context
from keyfactor_provider.operations.lookup import Filter, find
from keyfactor_provider.operations.preflight import concerns
from keyfactor_provider.operations.waiting import Wait
from keyfactor_provider.plugin import forms
from keyfactor_provider.plugin.completions import Completion
from keyfactor_provider.plugin.fleets import Call, Reenrollment, rewritten
from keyfactor_provider.plugin.lookups import Lookups
from keyfactor_provider.plugin.values import Bag
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.completion import WITHOUT_USE, Progress
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.fleet import forecast
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.reenrollment.state import from_state, to_state
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.vocabulary import Vocabulary

REQUESTED: Final = ReenrollmentStatus.REQUESTED
IDS: Final = tuple(f"3f2504e0-4f89-11d3-9a0c-0305e82c33{number:02d}" for number in range(1, 5))
NOW: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

Tell = Callable[[Message], None]


def _member(number: int, phase: Phase, reason: str = "", **more: object) -> Member:
    fields = {"machine": f"edge-{number:03d}.plant.example", "requested_status": REQUESTED} | more
    return Member(REQUESTED, phase, reason=reason, **fields)  # type: ignore[arg-type]


_FLEET: Final = Desired("edge", frozenset(IDS), REQUESTED)
_FAILED: Final = Record(
    "edge",
    REQUESTED,
    {
        IDS[0]: _member(1, Phase.REJECTED, "listed in FailedOrchestratorIds"),
        IDS[1]: _member(2, Phase.PENDING),
        IDS[2]: _member(3, Phase.CLEARED, "its flag was cleared"),
        IDS[3]: _member(4, Phase.REENROLLED, in_use=True),
    },
)


def _agent(number: int, **fields: object) -> Agent:
    usual = {"machine": f"edge-{number:03d}.plant.example", "status": 2, "platform": 1, "version": "25.4.1.0"}
    seen = {"thumbprint": "AB" * 20, "last_thumbprint_used": "AB" * 20, "last_seen": NOW.isoformat()}
    return Agent(IDS[number - 1], **(usual | seen | fields))  # type: ignore[arg-type]


def _failure(record: Record) -> ReenrollmentFailed:
    failure = report.failure(record)
    assert failure is not None
    return failure


def _concern(agent: Agent | None, status: ReenrollmentStatus = REQUESTED) -> Iterable[Message]:
    one = agent.id if agent else IDS[0]
    return concerns(Desired("edge", frozenset({one}), status), [one], {one: agent}, NOW)


def _told(act: Callable[[Context], object], settings: Callable[[], Settings]) -> list[Message]:
    told: list[Message] = []
    act(Context(settings, told.append))
    return told


def _without_settings() -> Settings:
    return load(lambda _: None, {})


def _without_command() -> Settings:
    raise _transport(httpx.ConnectError("Connection refused"))


def _wait(found: Progress, *, timeout: float = 3600, seconds: Iterable[float] = (0, 0, 0)) -> Wait:
    clock = iter(seconds)
    return Wait(lambda _members, _within: found, "edge-complete", _FAILED.members, timeout, lambda: next(clock))


def _messages() -> Iterable[Message]:
    failed = forecast(_FAILED, _FLEET)
    new = Record("edge")
    yield report.forecast(_FLEET, forecast(new, _FLEET), lambda one: f"edge-{one[-3:]}.plant.example ({one})")
    yield report.unknown("edge", None, (), ["orchestrator_ids"], ["edge-sites"])
    yield from report.retry(_FAILED, failed)
    yield from report.drifted(_FAILED, [IDS[2]])
    yield report.outcome(Record("edge", REQUESTED, {one: _FAILED.members[one] for one in IDS[1:]}), None)
    yield report.destroyed(_FAILED, [IDS[1]])
    yield report.tolerated(_failure(_FAILED))
    about = "last seen 2026-02-27T08:00:00Z, no last error, version 25.4.1.0"
    yield from report.stragglers(_FAILED, {IDS[0]: about})
    left = [(IDS[0], "flag left at Required: not set by this stack")]
    yield from _told(lambda context: context.tell_warnings(_FAILED, left), _without_settings)
    yield report.stale_reading("edge")
    yield from _concern(None)
    yield from _concern(_agent(1, status=1))
    yield from _concern(_agent(1, thumbprint=None))
    yield from _concern(_agent(1, platform=5, version="2.11.0.0"))
    yield from _concern(_agent(1, last_seen="2026-01-12T00:00:00Z"), ReenrollmentStatus.REQUIRED)
    risky = load({"hostname": "keyfactor.example.com", "skipVerify": "true"}.get, {"KEYFACTOR_ACCESS_TOKEN": "t"})
    yield from (Message("", "warning", "settings", warning.rstrip(".")) for warning in risky.warnings)
    yield from _told(lambda context: Before(context).check_settings(required=False), _without_settings)
    announced = _told(
        lambda context: Before(context).announce(new, _FLEET, forecast(new, _FLEET), looks=False), _without_command
    )
    yield from (message for message in announced if message.kind == "preflight-skipped")
    yield from _wait(Progress(complete=list(IDS[:2]), waiting=dict.fromkeys(IDS[2:], "pending"))).step().messages
    yield from _wait(Progress(complete=list(IDS), warnings={IDS[3]: WITHOUT_USE})).step().messages
    yield from _of_the_plugin()


def _of_the_plugin() -> Iterable[Message]:
    told: list[Message] = []

    def read(_record: Record) -> None:
        _without_settings()

    operations = SimpleNamespace(run=SimpleNamespace(read=read), lookups=SimpleNamespace(everyone=lambda: [_agent(1)]))
    host: Any = SimpleNamespace(tell=told.append, operations=operations)
    outputs = forms.outputs_of(_FAILED)
    Completion(host).preview(
        Call("", "edge-complete"), None, Bag({"timeout": 3600, "round": outputs["round"], "maxFailed": "0"})
    )
    Reenrollment(host).read(Call("", "edge"), Bag(outputs), Bag())
    Lookups(host).many({"exclude": ["edge-lab-*"]})
    return [*told, rewritten("edge", Bag(outputs)), rewritten("edge", Bag(to_state(_FAILED)))]


def _transport(error: Exception) -> CommandError:
    where = "https://keyfactor.example.com (KEYFACTOR_HOSTNAME)"
    return answers.transport_failure(
        "Reading orchestrators", error, str(error), where=where, may_be_done=False, vocabulary=Vocabulary()
    )


def _answered(status: int, body: bytes = b"", message: str = "") -> CommandError:
    error = answers.failure_of(
        "Reading orchestrators",
        Answer(status, httpx.Headers(), body),
        None,
        message,
        who="CORP\\svc-pki",
        may_be_done=False,
        base_url="https://keyfactor.example.com/KeyfactorAPI",
        vocabulary=Vocabulary(),
    )
    assert error is not None
    return error


def _raised(act: Callable[[], object]) -> ProviderError:
    try:
        act()
    except ProviderError as error:
        return error
    raise AssertionError("nothing was raised")


def _errors() -> Iterable[ProviderError]:
    token = {"KEYFACTOR_ACCESS_TOKEN": "t"}
    yield _raised(lambda: find([], Filter(platform=["Windows"])))
    yield _raised(lambda: load({"hostname": "keyfactor.example.com", "timeout": "soon"}.get, token))
    yield _raised(_without_settings)
    yield _raised(lambda: from_state({"version": 3}))
    yield _raised(lambda: find([], Filter(machine=["edge-*"], at_least=3)))
    yield _failure(_FAILED)
    yield _raised(_wait(Progress(queued=list(IDS[:2]))).step)
    yield _raised(_wait(Progress(waiting={IDS[1]: "pending"}), timeout=60, seconds=(0, 61, 61)).step)
    yield _transport(httpx.ConnectError("Connection refused"))
    yield _answered(401)
    yield _answered(403)
    yield _answered(404)
    yield _answered(400, message="The request is invalid.")
    yield _answered(200, b"<html>")


def messages() -> Mapping[str, Message]:
    """One message of each kind."""
    found: dict[str, Message] = {}
    for message in _messages():
        found.setdefault(message.kind, message)
    return found


def errors() -> Mapping[type[ProviderError], ProviderError]:
    """One error of each class that is raised."""
    return {type(error): error for error in _errors()}
