"""The client against arbitrary responses: it returns a typed result or raises one of its own errors."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyfactor_provider.command import exchange
from keyfactor_provider.command.asking import Encodings, Requests
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import seconds_asked
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.command.settings import load
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError
from keyfactor_provider.status import ReenrollmentStatus

GUIDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(6)]
HOST = {"KEYFACTOR_HOSTNAME": "command.example.com"}
METHODS = {
    "basic": {"KEYFACTOR_USERNAME": "svc", "KEYFACTOR_PASSWORD": "canary-password"},
    "oauth": {
        "KEYFACTOR_AUTH_CLIENT_ID": "client",
        "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-password",
        "KEYFACTOR_AUTH_TOKEN_URL": "https://login.example.com/token",
    },
}
FIELDS = [
    "AgentId",
    *("ClientMachine", "Username", "AgentPlatform", "Version", "Status", "LastSeen", "Capabilities", "Blueprint"),
    *("Thumbprint", "LegacyThumbprint", "AuthCertificateReenrollment", "LastThumbprintUsed"),
    *("LastErrorCode", "LastErrorMessage", "JobTypes", "agentId"),
]
NAMES = [
    *FIELDS,
    *("FailedOrchestratorIds", "ErrorCode", "Message", "title", "errors", "access_token", "expires_in", "error"),
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([*GUIDS, "Requested", "2", "9" * 5000, "canary-password", "2026-11-25T10:00:00Z"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
agents = st.fixed_dictionaries({"AgentId": st.sampled_from(GUIDS) | values}, optional=dict.fromkeys(FIELDS[1:], values))
documents = values | st.lists(agents, max_size=5) | agents
bodies = (
    documents.map(lambda value: json.dumps(value).encode())
    | documents.map(lambda value: json.dumps(value).encode()[:-2])
    | st.binary(max_size=60)
    | st.sampled_from([b"", b"null", b"[" * 5000, b'[{"X":' * 5000, b"<html>", b"\xef\xbb\xbf[]", b"1e999"])
)
header_texts = st.binary(max_size=20).filter(lambda text: not set(text) & set(b"\r\n\0")) | st.sampled_from(
    [
        b"9" * 400,
        b"Wed, 25 Nov 2026 10:00:00 GMT",
        b"Wed, 99 Nov 2026 10:00:00 +9999999",
        b"gzip",
        b"br",
        b"https://x:y",
    ]
)
headers = st.dictionaries(
    st.sampled_from(
        [b"Content-Type", b"Retry-After", b"Location", b"Content-Encoding", b"Set-Cookie", b"WWW-Authenticate", b"X"]
    ),
    header_texts,
    max_size=4,
)
answers = st.tuples(
    st.sampled_from([200, 200, 200, 200, 201, 204, 302, 304, 400, 401, 403, 404, 408, 413, 429, 500, 503])
    | st.integers(200, 599),
    headers,
    bodies,
)


class Server:
    """Sends the answers one after another; the last one repeats."""

    def __init__(self, given: list[tuple[int, dict[bytes, bytes], bytes]]) -> None:
        self._answers = list(given)

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        status, headers, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return httpx.Response(status, headers=list(headers.items()), stream=httpx.ByteStream(body))


class Clock:
    """A clock that advances by sleeping, and a little with each reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def client_of(given: list[Any], method: str) -> Iterator[CommandClient]:
    clock = Clock()
    made = load(lambda _: None, HOST | METHODS[method], Path("/nonexistent"))
    transport = httpx.MockTransport(Server(given))
    with closing(CommandClient(made, clock=clock, sleep=clock.sleep, transport=transport)) as client:
        yield client


often = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips loading the system's certificates, which would take most of the time of each example."""
    context = ssl.create_default_context()
    monkeypatch.setattr(exchange, "_tls", lambda _settings: context)


def result_of(call: Callable[[], Any]) -> Any:
    """The result, or the ProviderError that it raises; any other exception fails the test."""
    try:
        return call()
    except CommandError as error:
        return error


def shows_no_secret(error: CommandError) -> bool:
    return "canary-password" not in str(error) and str(error).isprintable()


@pytest.mark.parametrize("method", ["basic", "oauth"])
@often
@given(given_answers=st.lists(answers, min_size=1, max_size=4))
def test_a_reading_returns_agents_or_raises_a_provider_error(method: str, given_answers: list[Any]) -> None:
    with client_of(given_answers, method) as client:
        readings = [result_of(lambda: client.agents_page(1, 5).agents), result_of(lambda: client.agent(GUIDS[0]))]
    for found in readings:
        if isinstance(found, CommandError):
            assert shows_no_secret(found)
        else:
            assert all(type(each) is Agent for each in found)
            assert all(each.seen_at is None or each.seen_at.tzinfo for each in found)


@often
@given(given_answers=st.lists(answers, min_size=1, max_size=6), wanted=st.sampled_from([GUIDS[:2], GUIDS]))
def test_a_shared_reading_has_every_member_or_raises_a_provider_error(
    given_answers: list[Any], wanted: list[str]
) -> None:
    with client_of(given_answers, "basic") as client:
        found = result_of(lambda: Roster(client).look(wanted))
    if isinstance(found, CommandError):
        assert shows_no_secret(found)
    else:
        assert list(found) == wanted
        assert all(agent is None or agent.id == agent_id for agent_id, agent in found.items())


@often
@given(given_answers=st.lists(answers, min_size=1, max_size=6))
def test_everyone_returns_agents_or_raises_a_provider_error(given_answers: list[Any]) -> None:
    with client_of(given_answers, "basic") as client:
        found = result_of(lambda: Roster(client).everyone())
    if isinstance(found, CommandError):
        assert shows_no_secret(found)
    else:
        assert len({agent.id for agent in found}) == len(found)


@pytest.mark.parametrize("method", ["basic", "oauth"])
@pytest.mark.parametrize("encoding", ["auto", "integer"])
@often
@given(given_answers=st.lists(answers, min_size=1, max_size=8))
def test_requests_account_for_every_member_exactly_once(method: str, encoding: str, given_answers: list[Any]) -> None:
    settled: list[str] = []
    errors: list[CommandError] = []
    with client_of(given_answers, method) as client:
        requests = Requests(
            client,
            GUIDS,
            ReenrollmentStatus.REQUESTED,
            Encodings(encoding),
            sending=lambda _: None,
            failed=lambda _: None,
        )
        for outcome in requests:
            settled += [*outcome.accepted, *outcome.rejected, *outcome.unsent]
            errors += [outcome.error] if outcome.error else []
            assert bool(outcome.unsent or outcome.open) <= (outcome.error is not None)
            if outcome.open and outcome.error and outcome.error.transient:
                # A reading resolves the first of them.
                settled.append(outcome.open[0])
                requests.retry(outcome.open[1:])
            else:
                settled += outcome.open
    assert sorted(settled) == GUIDS
    assert all(shows_no_secret(error) for error in errors)


@often
@given(text=st.text() | header_texts.map(lambda raw: raw.decode("latin-1")))
def test_whatever_a_server_asks_for_is_a_time_or_nothing(text: str) -> None:
    asked = seconds_asked(text)
    assert asked is None or 0 <= asked < float("inf")
