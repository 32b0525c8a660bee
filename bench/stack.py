"""A stack on `keyfactor_standins/engine` or the Pulumi CLI: its program, its timed runs and its state."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.children import timed
from keyfactor_standins.command.process import Command
from keyfactor_standins.engine.run import exported

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


@dataclass
class Stack:
    """A stack of one kind of resource.

    Attributes:
        module: of the resource's class.
        resource: the name of that class.
        extra: more variables for the environment of its processes.
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
        # Every run derives the key of a passphrase, whatever is in the stack.
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
            timed(self._line("stack", "init"), ROOT, self._environment)

    def declare(self, fleets: Sequence[Mapping[str, Any]]) -> None:
        """Set the fleets that the program declares."""
        (self.folder / "fleets.json").write_text(json.dumps(fleets))

    def run(self, command: str, *arguments: str) -> float:
        """Run one command, which must succeed; returns the seconds that it took."""
        if command in ("up", "refresh"):
            arguments = ("--yes", "--skip-preview", *arguments)
        return timed(self._line(command, *arguments), ROOT, self._environment)

    def _line(self, *arguments: str) -> list[str]:
        engine = ["pulumi", "--non-interactive"] if self.cli else [sys.executable, "-m", "keyfactor_standins.engine"]
        return [*engine, *arguments, "--stack", "dev", "--cwd", str(self.folder)]

    def exported(self) -> str:
        """The state as `pulumi stack export` prints it."""
        return json.dumps(exported(self.folder, "dev", self._environment), indent=4)

    def resources(self) -> list[dict[str, Any]]:
        """The dynamic resources in the state."""
        resources = exported(self.folder, "dev", self._environment)["deployment"]["resources"]
        return [resource for resource in resources if resource["type"].startswith("pulumi-python:")]
