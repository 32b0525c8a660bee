"""Runs every test in an environment without the settings of the user.

A test in a module that can start processes is marked `process`, and `make check` leaves it out.
"""

import os
import signal
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

# A CI may run all this as a background job, which ignores SIGINT, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_STARTERS = (
    "keyfactor_standins.command.process",
    "keyfactor_standins.engine.run",
    "tests.support.commands",
    "tests.support.lifecycle",
    "tests.support.modules",
    "tests.support.plugin",
    "tests.support.pluginhost",
    "tests.support.stacks",
)
"""Modules whose functions and classes start processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test whose module imports something that starts processes."""
    for item in items:
        if isinstance(item, pytest.Function) and _starts_processes(item.module):
            item.add_marker("process")


def _starts_processes(module: ModuleType) -> bool:
    return any(
        imported is subprocess or getattr(imported, "__module__", None) in _STARTERS
        for imported in vars(module).values()
    )


@pytest.fixture(autouse=True)
def _empty_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test sees none of the user's settings and proxies, and has an empty home, which this returns.

    What it starts writes no bytecode: Python takes a program that was rewritten in the same second for the one before.
    """
    for name in list(os.environ):
        if name.startswith(("KEYFACTOR_", "PULUMI_")) or name.lower().endswith("_proxy") or name == "COLUMNS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("STANDIN_SALT_VERSION", "quick")
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home
