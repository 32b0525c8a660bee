"""The engine from a test: the command line and the environment of one command."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_HOUSE = Path(__file__).resolve().parents[2]


def command_line(command: str, *arguments: str, cwd: Path, stack: str = "dev") -> Sequence[str]:
    """The command line of a command (preview, up, refresh, destroy or export) on the project in `cwd`."""
    return [sys.executable, "-m", "keyfactor_standins.engine", command, "--stack", stack, "--cwd", str(cwd), *arguments]


def environment_for(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with what the engine needs, and what a test adds."""
    paths = [str(_HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PULUMI_CONFIG_PASSPHRASE": "",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        **(env or {}),
    }
