"""Every exception of httpx becomes an error of this project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyfactor_provider.command.answers import NEVER_SENT
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.exchange import Interrupted, TooLarge
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, CommandError, Unreachable
from keyfactor_provider.status import ReenrollmentStatus
from tests.support.clients import Clock

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
ENVIRONMENT = {
    "KEYFACTOR_HOSTNAME": "command.example.com",
    "KEYFACTOR_USERNAME": "svc",
    "KEYFACTOR_PASSWORD": "canary-password",
}

BAD = {httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.DecodingError, httpx.TooManyRedirects, TooLarge}
"""Failures that the same request would get again."""


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


EVERY = [
    each
    for root in (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
    for each in subclasses(root)
    if each.__module__.startswith(("httpx", "keyfactor_provider"))
]


def failing(error: Exception, *, oauth: bool = False) -> CommandClient:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    clock = Clock()
    environment = dict(ENVIRONMENT)
    if oauth:
        environment = {
            "KEYFACTOR_HOSTNAME": "command.example.com",
            "KEYFACTOR_AUTH_CLIENT_ID": "client",
            "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-password",
            "KEYFACTOR_AUTH_TOKEN_URL": "https://login.example.com/token",
        }
    settings = load(lambda _: None, environment, Path("/nonexistent"))
    return CommandClient(settings, clock=clock, sleep=clock.sleep, transport=httpx.MockTransport(fail))


def made(kind: type[Any]) -> Any:
    text = "it said canary-password"
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", "https://command.example.com")
        return httpx.HTTPStatusError(text, request=request, response=httpx.Response(500, request=request))
    if kind in (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead):
        text = ""
    return kind(text) if text else kind()


def test_the_list_is_that_of_httpx() -> None:
    named = {kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert named - set(EVERY) == {httpx.CookieConflict}


@pytest.mark.parametrize("oauth", [False, True])
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_httpx_failure_becomes_an_error_of_this_project(kind: type[Any], oauth: bool) -> None:
    client = failing(made(kind), oauth=oauth)
    passing = issubclass(kind, httpx.TransportError) and kind not in BAD
    for call in (
        lambda: client.agents_page(1, 5, deadline=Deadline(client.clock() + 60, retries=False)),
        lambda: client.set_status(
            [GUID], ReenrollmentStatus.REQUESTED, "integer", deadline=Deadline(client.clock() + 60, retries=False)
        ),
    ):
        with pytest.raises(CommandError) as raised:
            call()
        assert type(raised.value) is (Unreachable if passing or kind is Interrupted else BadAnswer)
        # A call that may have been carried out may be sent again after a reading.
        assert raised.value.transient is (passing or (raised.value.outcome_open and kind is not Interrupted))
        assert "canary-password" not in str(raised.value)
    # Not carried out: a request that was never sent, or one that failed before, at the token endpoint.
    left = not issubclass(kind, (*NEVER_SENT, httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL))
    assert raised.value.outcome_open is (left and not oauth)
    client.close()
