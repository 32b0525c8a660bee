"""Runs the engine from a test."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keyfactor_standins.engine.config import load_project
from keyfactor_standins.engine.store import Store, state_folder

_HOUSE = Path(__file__).resolve().parents[2]


def command_line(command: str, *arguments: str, cwd: Path, stack: str = "dev") -> Sequence[str]:
    """The command line of a command (preview, up, refresh or destroy) on the project in `cwd`."""
    return [sys.executable, "-m", "keyfactor_standins.engine", command, "--stack", stack, "--cwd", str(cwd), *arguments]


def environment_for(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with what the engine needs, overridden by `env`."""
    paths = [str(_HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PULUMI_CONFIG_PASSPHRASE": "", **os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})}


def run(
    command: str,
    *arguments: str,
    cwd: Path,
    stack: str = "dev",
    env: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the engine and waits for it; exit codes are those of the Pulumi CLI.

    Args:
        command: preview, up, refresh or destroy.
        arguments: further options.
        cwd: the project's folder.
        env: added to this process's environment; PULUMI_CONFIG_PASSPHRASE is empty unless it is set.
        timeout: seconds after which the engine and its children are killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    return subprocess.run(
        command_line(command, *arguments, cwd=cwd, stack=stack),
        env=environment_for(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def state_file(cwd: Path, stack: str, environment: Mapping[str, str]) -> Path:
    """The file with the state of a stack, in the form of `export`; no run may have written it yet."""
    project = load_project(cwd)
    folder = state_folder(project.root, environment.get("PULUMI_BACKEND_URL"))
    return Store(folder, project.name, stack).file


def exported(cwd: Path, stack: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The deployment as `pulumi stack export` prints it; empty where no run has written one yet."""
    file = state_file(cwd, stack, environment)
    deployment: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {"version": 3, "deployment": {}}
    return deployment
