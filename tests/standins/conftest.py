"""A running stand-in, and plain HTTP to it, since the product's client could have the same mistake."""

from collections.abc import Iterator

import httpx
import pytest

from keyfactor_standins.command.process import Command, running


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """A Command shared by the tests of a module, each of which uses its own orchestrators."""
    with running("--orchestrators", "0") as command:
        yield command


@pytest.fixture
def api(command: Command) -> Iterator[httpx.Client]:
    """The Keyfactor API, signed in with Basic; the faults of a test are removed after it."""
    with httpx.Client(
        base_url=f"{command.url}/KeyfactorAPI",
        auth=(f"{command.said['domain']}\\{command.said['username']}", command.said["password"]),
        headers={"x-keyfactor-requested-with": "APIClient"},
        trust_env=False,
        verify=False,
    ) as client:
        yield client
    command.calm()


@pytest.fixture
def agent(command: Command) -> str:
    """The GUID of a new approved orchestrator."""
    return command.world(populate=1)[0]
