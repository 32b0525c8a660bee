"""Command stand-ins, and plugin processes for them."""

from collections.abc import Iterator

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.commands import fresh
from tests.support.pluginhost import Plugin, plugin


@pytest.fixture(scope="module")
def shared() -> Iterator[Command]:
    """A Command that no test of a module changes."""
    with running("--orchestrators", "6", "--seed", "7") as command:
        yield command


@pytest.fixture(scope="module")
def reader(shared: Command) -> Iterator[Plugin]:
    """A plugin for tests that change nothing."""
    with plugin(shared.environment()) as started:
        yield started


@pytest.fixture
def command() -> Iterator[Command]:
    """A Command for one test."""
    with fresh(6, "--seed", "7") as command:
        yield command


@pytest.fixture
def host(command: Command) -> Iterator[Plugin]:
    """A plugin for one test."""
    with plugin(command.environment()) as started:
        yield started
