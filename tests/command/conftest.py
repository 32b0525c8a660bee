"""One Command stand-in for all tests here, reset to the same twelve orchestrators for each test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keyfactor_provider.errors import ProviderError
from keyfactor_standins.command.process import Command, running
from tests.support.clients import Lab

SECRETS: set[str] = set()
"""The secrets of the stand-in, once it runs."""


@pytest.fixture(scope="session")
def _standin() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        SECRETS.update(command.said[name] for name in ("password", "client_secret", "access_token"))
        yield command


@pytest.fixture
def command(_standin: Command) -> Command:
    """The stand-in, with twelve approved orchestrators and nothing wrong."""
    _standin.clear()
    _standin.world(populate=12)
    return _standin


@pytest.fixture(autouse=True)
def _no_secret_in_any_error(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test if any error created during it shows a secret of the stand-in."""
    errors: list[ProviderError] = []
    initialize = ProviderError.__init__

    def watched(self: ProviderError, *parts: Any, **more: Any) -> None:
        initialize(self, *parts, **more)
        errors.append(self)

    monkeypatch.setattr(ProviderError, "__init__", watched)
    yield
    texts = "\n".join(f"{error} {error!r}" for error in errors)
    assert not [secret for secret in SECRETS if secret in texts]


@pytest.fixture
def lab(command: Command) -> Iterator[Callable[..., Lab]]:
    """A factory of labs on the stand-in; closes their clients after the test."""
    labs: list[Lab] = []

    def make(method: str = "basic", **config: str) -> Lab:
        labs.append(Lab(command, config, method))
        return labs[-1]

    yield make
    for lab in labs:
        lab.client.close()
        kept = f"{lab.said} {[fleet.state for fleet in lab.fleets]} {lab.client.settings!r}"
        assert not [secret for secret in SECRETS if secret in kept]
