"""Hostile servers: every request ends at its deadline and stays within its memory bound."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from keyfactor_provider.command import session as session_module
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.session import Session
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, CommandError, Unreachable
from keyfactor_provider.status import ReenrollmentStatus
from tests.support.servers import NEVER_ENDING, Script, bomb, compressed, hostile, listening

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""A connection cancelled while it connects is closed by the garbage collector, which warns."""

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
SECONDS = 0.4
"""Seconds until the deadline of a request in these tests."""
PROMPTLY = 2.5
"""Seconds in which a request must end, even on a busy machine."""


@contextmanager
def client_of(host: str, **more: str) -> Iterator[CommandClient]:
    environment = {"KEYFACTOR_HOSTNAME": host, "KEYFACTOR_USERNAME": "u", "KEYFACTOR_PASSWORD": "p", **more}
    with closing(CommandClient(load(lambda _: None, environment, Path("/nonexistent")))) as client:
        yield client


def soon(client: CommandClient) -> Deadline:
    return Deadline(client.clock() + SECONDS, retries=False)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Collects garbage, so that its warnings do not appear in other tests."""
    yield
    gc.collect()


CALLS: dict[str, Callable[[CommandClient], object]] = {
    "page": lambda client: client.agents_page(1, 10, deadline=soon(client)),
    "pages": lambda client: list(client.agents_pages(range(1, 9), 10, deadline=soon(client))),
    "agent": lambda client: client.agent(GUID, deadline=soon(client)),
    "request": lambda client: client.set_status([GUID], ReenrollmentStatus.REQUESTED, "integer", deadline=soon(client)),
}


def ends_in_time(call: Callable[[], object], kind: type[CommandError] = CommandError) -> CommandError:
    began = monotonic()
    with pytest.raises(kind) as raised:
        call()
    assert monotonic() - began < SECONDS + PROMPTLY
    return raised.value


@pytest.mark.parametrize("script", NEVER_ENDING.values(), ids=list(NEVER_ENDING))
@pytest.mark.parametrize("call", CALLS)
def test_a_response_that_never_ends_is_given_up_at_the_deadline(script: Script, call: str) -> None:
    with hostile(script) as server, client_of(f"http://{server.host}") as client:
        error = ends_in_time(lambda: CALLS[call](client), Unreachable)
    assert error.transient
    assert error.outcome_open is (call == "request")


@pytest.mark.parametrize("name", ["103 for ever", "headers that drip", "compressed blocks that yield nothing"])
def test_a_response_that_floods_is_given_up_as_well(name: str) -> None:
    with hostile(NEVER_ENDING[name], pace=0) as server, client_of(f"http://{server.host}") as client:
        ends_in_time(lambda: CALLS["request"](client))


@pytest.mark.parametrize("name", ["nothing", "103 for ever", "a header that drips", "trailers that drip"])
def test_a_token_endpoint_that_never_ends_is_given_up_and_named(name: str) -> None:
    with hostile(NEVER_ENDING[name]) as server:
        oauth = {
            "KEYFACTOR_AUTH_CLIENT_ID": "c",
            "KEYFACTOR_AUTH_CLIENT_SECRET": "s",
            "KEYFACTOR_AUTH_TOKEN_URL": f"http://{server.host}/token",
        }
        environment = {"KEYFACTOR_HOSTNAME": "command.example.com", **oauth}
        client = CommandClient(load(lambda _: None, environment, Path("/nonexistent")))
        error = ends_in_time(lambda: CALLS["request"](client), Unreachable)
        client.close()
    assert f"from http://{server.host}/token" in str(error)
    assert not error.outcome_open


@pytest.mark.parametrize("piece", [b"", b"\x16", b"\x16\x03\x03\x40\x00\x02"])
def test_a_tls_handshake_that_never_ends_is_given_up_and_nothing_was_sent(piece: bytes) -> None:
    def script() -> Iterator[bytes]:
        yield piece
        while piece:
            yield b"\x00"

    with hostile(script, listens=False) as server, client_of(f"https://{server.host}") as client:
        error = ends_in_time(lambda: CALLS["request"](client), Unreachable)
    assert error.transient
    assert not error.outcome_open


@pytest.mark.parametrize("name", ["nothing", "103 for ever", "a header that drips"])
def test_a_proxy_that_never_opens_its_tunnel_is_given_up_and_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with hostile(NEVER_ENDING[name]) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{server.host}")
        with client_of("command.example.com") as client:
            error = ends_in_time(lambda: CALLS["request"](client), Unreachable)
    assert error.transient
    assert not error.outcome_open


@pytest.mark.parametrize("name", ["nothing", "103 for ever", "a body that drips"])
def test_the_previews_of_a_process_take_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(session_module, "GLANCE_SECONDS", SECONDS)
    with hostile(NEVER_ENDING[name]) as server, client_of(f"http://{server.host}") as client:
        session = Session(lambda: client.settings, lambda _: None, lambda _: client)
        ends_in_time(lambda: session.glance([GUID]), Unreachable)
        began = monotonic()
        assert session.glance([GUID]) == {}
        assert monotonic() - began < 0.1
    assert server.requests == 1


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (bomb(80), "gzip", "larger than 64 MiB"),
        (bomb(80, layers=2), "gzip, gzip", "DecodingError"),
        (bomb(1, layers=3), "gzip, gzip, gzip", "DecodingError"),
        (b"[]", "br", "DecodingError"),
        (b"[]", "gzip", "DecodingError"),
        (bomb(1)[:-9], "gzip", "DecodingError"),
        (bomb(1) + b"more", "gzip", "DecodingError"),
    ],
    ids=["bomb", "two layers", "three layers", "unknown", "not compressed", "cut off", "followed by more"],
)
def test_what_is_compressed_is_bounded_before_and_after(body: bytes, encoding: str, says: str) -> None:
    response = compressed(body, encoding)
    with hostile(lambda: iter([response])) as server, client_of(f"http://{server.host}") as client:
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswer, match=says) as raised:
                client.set_status([GUID], ReenrollmentStatus.REQUESTED, "integer")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 150 * 2**20
    assert raised.value.outcome_open


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "identity, gzip", "identity", ""])
def test_a_response_that_is_compressed_once_unasked_is_read(encoding: str) -> None:
    body = b'[{"AgentId": "' + GUID.encode() + b'"}]'
    if "gzip" in encoding.lower():
        import gzip

        body = gzip.compress(body)
    with hostile(lambda: iter([compressed(body, encoding)])) as server, client_of(f"http://{server.host}") as client:
        assert [agent.id for agent in client.agents_page(1, 10).agents] == [GUID]


def test_no_compression_is_asked_for() -> None:
    with listening() as server, client_of(f"http://{server.host}") as client:
        client.agents_page(1, 10)
    assert "accept-encoding: identity" in server.seen[0].lower()


def test_ctrl_c_ends_a_request_at_once_and_the_client_goes_on() -> None:
    with hostile(NEVER_ENDING["103 for ever"]) as server, client_of(f"http://{server.host}") as client:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = monotonic()
        with pytest.raises(KeyboardInterrupt):
            client.agents_page(1, 10)
        assert monotonic() - began < PROMPTLY
        ends_in_time(lambda: CALLS["page"](client), Unreachable)


@pytest.mark.parametrize("answer", [None, (503, {"Retry-After": "50"}, b"")], ids=["under way", "between two attempts"])
def test_closing_from_another_thread_ends_a_request_at_once(answer: tuple[int, dict[str, str], bytes] | None) -> None:
    with hostile(NEVER_ENDING["nothing"]) as silent, listening() as server:
        if answer is not None:
            server.reply = lambda _method, _path: answer
        with client_of(f"http://{(silent if answer is None else server).host}") as client:
            threading.Timer(0.3, client.close).start()
            began = monotonic()
            with pytest.raises(Unreachable) as raised:
                client.agents_page(1, 10)
            assert monotonic() - began < PROMPTLY
            assert not raised.value.transient
            with pytest.raises(Unreachable):
                list(client.agents_pages([1, 2], 10))


def test_a_process_whose_program_has_ended_does_not_wait_for_a_request_of_another_thread() -> None:
    program = textwrap.dedent(
        """
        import sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from keyfactor_provider.command.client import CommandClient
        from keyfactor_provider.command.settings import load

        environment = {"KEYFACTOR_HOSTNAME": sys.argv[1], "KEYFACTOR_USERNAME": "u", "KEYFACTOR_PASSWORD": "p"}
        client = CommandClient(load(lambda _: None, environment, Path("/nonexistent")))
        ThreadPoolExecutor().submit(client.agents_page, 1, 10)
        print("asked", flush=True)
        """
    )
    with hostile(NEVER_ENDING["nothing"]) as server:
        process = subprocess.Popen([sys.executable, "-c", program, f"http://{server.host}"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"asked\n"
        began = monotonic()
        assert process.wait(20) == 0
        assert monotonic() - began < 2 * PROMPTLY
        process.stdout.close()
