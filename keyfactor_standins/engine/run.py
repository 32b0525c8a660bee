"""The engine from a test: one command in a process of its own, with a time limit."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyfactor_standins.engine.config import load_project
from keyfactor_standins.engine.store import Store, state_folder

_HOUSE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Attributes:
        state: the deployment afterwards, as `export` prints it; None where there is no state.
    """

    exit_code: int
    stdout: str
    stderr: str
    state: dict[str, Any] | None

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The resources of the state, the default provider and the stack among them."""
        return list(self.state["deployment"].get("resources", [])) if self.state else []

    def resource(self, name: str) -> dict[str, Any]:
        """The resource of that name.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [each for each in self.resources if each["urn"].endswith(f"::{name}")]
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources are named {name!r} in the state; expected one")
        return found[0]


def run(
    command: str,
    *arguments: str,
    cwd: Path,
    stack: str = "dev",
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Result:
    """Run a command of the engine and wait for it.

    Args:
        command: preview, up, refresh, destroy or export.
        arguments: further options.
        cwd: the project's folder.
        stack: the stack's name.
        env: added to this process's environment; PULUMI_CONFIG_PASSPHRASE is empty unless set.
        timeout: in seconds; then the engine, and with it its children, is killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    environment = environment_for(env)
    done = subprocess.run(
        command_line(command, *arguments, cwd=cwd, stack=stack),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr, read_state(cwd, stack, environment))


def command_line(command: str, *arguments: str, cwd: Path, stack: str = "dev") -> Sequence[str]:
    """The command line that `run` runs, for a test that needs the process itself."""
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


def read_state(cwd: Path, stack: str, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The snapshot on disk where the default folder or PULUMI_BACKEND_URL puts it; a journal is not replayed."""
    backend = environment.get("PULUMI_BACKEND_URL", "")
    base = Path(backend.removeprefix("file://")) if backend else cwd
    for file in (base / ".pulumi-standin" / "stacks").glob(f"*/{stack}.json"):
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    return None


def exported(cwd: Path, stack: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The deployment as `export` prints it, with the journal of a killed run replayed; it needs no passphrase."""
    project = load_project(cwd)
    store = Store(
        state_folder(project.root, environment.get("PULUMI_BACKEND_URL") or project.backend), project.name, stack
    )
    return store.export(store.salt or "")
