"""One Command stand-in for all tests of this room, put back to the same twelve orchestrators for each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keyfactor_provider.errors import ProviderError
from keyfactor_standins.command.process import Command, running
from tests.support.clients import Lab

NO_FAULTS: dict[str, Any] = {
    "faults": [],
    "refused": [],
    "rejected": [],
    "page_cap": 0,
    "status_contract": "lenient",
    "denied": [],
    "token_life": 300,
    "form_only": False,
    "revoke_tokens": True,
}

SECRETS: set[str] = set()
"""Of the stand-in, once it runs."""


@pytest.fixture(scope="session")
def _standin() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        SECRETS.update(command.said[name] for name in ("password", "client_secret", "access_token"))
        yield command


@pytest.fixture
def command(_standin: Command) -> Command:
    """The stand-in, with twelve approved orchestrators and nothing wrong."""
    _standin.faults(**NO_FAULTS)
    _standin.world(remove=_standin.ids())
    _standin.world(populate=12)
    _standin.forget()
    return _standin


@pytest.fixture(autouse=True)
def _no_secret_in_any_error(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does with the stand-in: no error that was made on the way shows a secret of its."""
    made: list[ProviderError] = []
    make = ProviderError.__init__

    def watched(self: ProviderError, *parts: Any, **more: Any) -> None:
        make(self, *parts, **more)
        made.append(self)

    monkeypatch.setattr(ProviderError, "__init__", watched)
    yield
    texts = "\n".join(f"{error} {error!r}" for error in made)
    assert not [secret for secret in SECRETS if secret in texts]


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
        kept = f"{each.said} {[fleet.state for fleet in each.fleets]} {each.client.settings!r}"
        assert not [secret for secret in SECRETS if secret in kept]
