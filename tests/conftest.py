"""What every test starts from: an environment with nothing of the person who runs it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _empty_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings, proxies or home of the person at the keyboard reach a test."""
    for name in list(os.environ):
        if name.startswith(("KEYFACTOR_", "PULUMI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home
