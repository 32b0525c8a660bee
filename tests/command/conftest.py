"""One Command stand-in for all tests of this room, put back to the same twelve orchestrators for each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from standins.command.process import Command, running
from tests.support.clients import Lab

NO_FAULTS: dict[str, Any] = {
    "faults": [],
    "refused": [],
    "rejected": [],
    "page_cap": 0,
    "refuses_integers": False,
    "denied": [],
    "token_life": 300,
    "form_only": False,
    "revoke_tokens": True,
}


@pytest.fixture(scope="session")
def _standin() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        yield command


@pytest.fixture
def command(_standin: Command) -> Command:
    """The stand-in, with twelve approved orchestrators and nothing wrong."""
    _standin.faults(**NO_FAULTS)
    _standin.world(remove=_standin.ids())
    _standin.world(populate=12)
    _standin.forget()
    return _standin


@pytest.fixture
def lab(command: Command) -> Iterator[Callable[..., Lab]]:
    """Makes labs on it, and closes their clients."""
    made: list[Lab] = []

    def make(method: str = "basic", **config: str) -> Lab:
        made.append(Lab(command, config, method))
        return made[-1]

    yield make
    for each in made:
        each.client.close()
