"""The pytest plugin of `pip install 'keyfactor-provider[testing]'`: the fixture `keyfactor_command`.

With the package installed, every pytest run imports this module, so it imports nothing but pytest.
"""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keyfactor_standins.command.process import Command
    from keyfactor_standins.testkit import KeyfactorCommand

_NEEDED = ("aiohttp", "cryptography", "httpx")


@pytest.fixture(scope="session")
def _keyfactor_command_process() -> Iterator["Command"]:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.fail(
            f"The fixture keyfactor_command needs {', '.join(missing)}. Run: pip install 'keyfactor-provider[testing]'",
            pytrace=False,
        )
    from keyfactor_standins.command.process import running

    with running("--orchestrators", "0") as command:
        yield command


@pytest.fixture
def keyfactor_command(
    _keyfactor_command_process: "Command", monkeypatch: pytest.MonkeyPatch
) -> Iterator["KeyfactorCommand"]:
    """An empty stand-in for Keyfactor Command, with its settings (KEYFACTOR_HOSTNAME, ...) in the environment.

    One process serves the whole pytest run; each test starts with an empty server.
    """
    from keyfactor_standins.testkit import KeyfactorCommand

    _keyfactor_command_process.clear()
    kit = KeyfactorCommand(_keyfactor_command_process)
    kit.set_environment(monkeypatch)
    yield kit
    _keyfactor_command_process.clear()
