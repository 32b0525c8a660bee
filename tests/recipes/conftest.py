"""A Command for each test, and a project made from the example of the recipes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.recipes.shell import Shell, project
from tests.support.commands import fresh


@pytest.fixture
def command() -> Iterator[Command]:
    """A Command with six orchestrators."""
    with fresh(6) as command:
        yield command


@pytest.fixture
def shell(command: Command, tmp_path: Path) -> Shell:
    """A project with a fleet of all six: one canary, then waves of two."""
    ids = command.ids()
    config = {"orchestrators": ids, "canaries": ids[:1], "waves": [2], "max-failed": "0"}
    folder = project("rollout", tmp_path / "project", config)
    return Shell(folder, command, {"PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_BACKEND_URL": f"file://{tmp_path}"})
