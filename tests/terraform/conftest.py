"""Fixtures of the Terraform front end; its tests are collected only where its library is installed."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.commands import fresh

if TYPE_CHECKING:
    from tests.support.plugin import Plugin

collect_ignore_glob = [] if find_spec("tf") else ["test_[!l]*.py"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Command]:
    """A Command that the tests of a module only read."""
    with running("--orchestrators", "6") as command:
        yield command


@pytest.fixture(scope="module")
def reader(shared: Command, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Plugin]":
    """A plugin for tests that change nothing."""
    from tests.support.plugin import plugin

    home = str(tmp_path_factory.mktemp("home"))
    with plugin({**shared.environment(), "HOME": home}, configured=False) as started:
        yield started


@pytest.fixture
def command() -> Iterator[Command]:
    """A Command for one test."""
    with fresh(12) as command:
        yield command


@pytest.fixture
def started(command: Command) -> "Iterator[Plugin]":
    """A plugin for one test, configured for its Command."""
    from tests.support.plugin import plugin

    with plugin(command.environment()) as started:
        yield started
