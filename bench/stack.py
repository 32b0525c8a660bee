"""A stack, on `keyfactor_standins/engine` or the Pulumi CLI: a program in its own folder, run, timed and exported."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.children import die_with_parent
from keyfactor_standins.command.process import Command

ROOT = Path(__file__).resolve().parents[1]

_PROJECT = """
name: bench
runtime: python
requiredPulumiVersion: ">=3.238.0"
"""

_PROGRAM = """
import json
from pathlib import Path

from {module} import {resource}

for fleet in json.loads(Path("fleets.json").read_text()):
    {resource}(fleet.pop("name"), **fleet)
"""


class RunFailed(Exception):
    """A command of the engine did not end as it had to."""


@dataclass
class Stack:
    """A stack of one kind of resource.

    Attributes:
        module, resource: where the resource's class is.
        extra: more for the environment of its processes.
        cli: whether the Pulumi CLI runs it, and not the stand-in.
    """

    folder: Path
    command: Command
    module: str
    resource: str
    extra: Mapping[str, str] = field(default_factory=dict)
    cli: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text(_PROJECT)
        (self.folder / "__main__.py").write_text(_PROGRAM.format(module=self.module, resource=self.resource))
        # Every run pays for deriving the key of a passphrase, whatever is in the stack.
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KEYFACTOR_", "PULUMI_"))},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **self.command.environment(),
            **self.extra,
        }
        if self.cli:
            self._call("stack", "init")

    def declare(self, fleets: Sequence[Mapping[str, Any]]) -> None:
        """What the program declares from now on."""
        (self.folder / "fleets.json").write_text(json.dumps(fleets))

    def run(self, command: str, *arguments: str) -> float:
        """The seconds that one command took.

        Raises:
            RunFailed: its exit code was not 0.
        """
        if command in ("up", "refresh"):
            arguments = ("--yes", "--skip-preview", *arguments)
        began = time.perf_counter()
        done = self._call(command, *arguments)
        taken = time.perf_counter() - began
        if done.returncode:
            raise RunFailed(f"{command} of {self.resource}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return taken

    def exported(self) -> str:
        """The state as it is exported."""
        return self._call("export").stdout

    def resources(self) -> list[dict[str, Any]]:
        """The dynamic resources in the state."""
        found = json.loads(self.exported())["deployment"]["resources"]
        return [resource for resource in found if resource["type"].startswith("pulumi-python:")]

    def _call(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        where = ["--stack", "dev", "--cwd", str(self.folder)]
        line = ["pulumi", "--non-interactive"] if self.cli else [sys.executable, "-m", "keyfactor_standins.engine"]
        return subprocess.run(
            [*line, command, *arguments, *where],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
