"""A stack of a test and its program, run by one of the engines."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from keyfactor_standins.engine.run import exported, state_file

ROOT = Path(__file__).resolve().parents[2]
REAL_PULUMI = shutil.which("pulumi")
NO_REAL_PULUMI = "no pulumi CLI on the PATH: the engines were not compared"
ENGINES = ["standin", pytest.param("pulumi", marks=pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI))]
"""Parameters of a test that runs on both engines."""

PROJECT = """
name: fleets
runtime: python
requiredPulumiVersion: ">=3.238.0"
"""

PROGRAM = '''
"""Declares the fleets of fleets.json."""
import json
from pathlib import Path

import pulumi

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion

made = {}
for fleet in json.loads(Path("fleets.json").read_text()):
    names = ("orchestrator_ids", "status", "triggers", "on_removal", "on_failure", "waves", "canary_ids", "max_failed",
             "overdue_after", "paused")
    after = [made[name] for name in fleet.get("after", ())]
    opts = pulumi.ResourceOptions(
        depends_on=after,
        aliases=[pulumi.Alias(name=name) for name in fleet.get("aliases", ())] or None,
        delete_before_replace=fleet.get("delete_before_replace"),
        ignore_changes=fleet.get("ignore_changes"),
        additional_secret_outputs=fleet.get("secret_outputs"),
    )
    if "completes" in fleet:
        made[fleet["name"]] = ReenrollmentCompletion(
            fleet["name"],
            fleet=made[fleet["completes"]],
            timeout=pulumi.Output.secret(fleet["timeout"]) if fleet.get("secret") else fleet.get("timeout", 20),
            max_failed=fleet.get("max_failed"),
            opts=opts,
        )
        continue
    if "told_by" in fleet:
        told = made[fleet["told_by"]].failed_orchestrator_ids
        fleet |= {name: told.apply(lambda _, value=fleet[name]: value) for name in ("orchestrator_ids", "status")}
    for name in fleet.get("secret", ()):
        fleet[name] = pulumi.Output.secret(fleet[name])
    if fleet.get("as_set"):
        fleet["orchestrator_ids"] = set(fleet["orchestrator_ids"])
    made[fleet["name"]] = OrchestratorReenrollment(
        fleet["name"], **{name: fleet[name] for name in names if name in fleet}, opts=opts
    )
    pulumi.export(fleet["name"], made[fleet["name"]].failed_orchestrator_ids)
'''


@dataclass
class Ran:
    """The result of one command of an engine."""

    exit_code: int
    text: str
    posts: list[Any]

    def says(self, *parts: str) -> bool:
        """Assert that the output has all the parts, wherever the engine breaks lines."""
        flat = " ".join(self.text.split())
        missing = [part for part in parts if " ".join(part.split()) not in flat]
        assert not missing, f"missing: {missing}\nin:\n{self.text}"
        return True

    def names(self, *parts: str) -> bool:
        """Whether the output has any of the parts."""
        return any(part in self.text for part in parts)


@dataclass
class Stack:
    """A stack and the engine that runs it.

    Attributes:
        trace: of each run the command, the exit code, the calls to Command, and the state; it is the same for two
            engines that agree.
    """

    engine: str
    folder: Path
    command: Command
    environment: dict[str, str] = field(default_factory=dict)
    name: str = "dev"
    trace: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text(PROJECT)
        (self.folder / "__main__.py").write_text(PROGRAM)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_HOME": str(self.folder / ".home"),
            **self.command.environment(),
            **self.environment,
        }
        if self.engine == "pulumi":
            self._call("pulumi", "stack", "init", self.name, "--cwd", str(self.folder), "--non-interactive")

    def fleets(self, *fleets: Mapping[str, Any]) -> None:
        """Set the fleets that the program declares."""
        (self.folder / "fleets.json").write_text(json.dumps(fleets))

    def config(self, text: str) -> None:
        """Write the stack's config file; `text` is its part below `config:`."""
        file = self.folder / f"Pulumi.{self.name}.yaml"
        lines = file.read_text().splitlines() if file.exists() else []
        kept = [line for line in lines if line.startswith("encryptionsalt")]
        file.write_text("\n".join([*kept, "config:", *(f"  {line}" for line in text.splitlines()), ""]))

    def run(self, command: str, *arguments: str, timeout: float = 120) -> Ran:
        """Run one command and add it to the trace."""
        before = len(self.command.posts())
        if command in ("up", "refresh", "destroy") and "--with-preview" not in arguments:
            arguments = ("--yes", "--skip-preview", *arguments)
        arguments = tuple(each for each in arguments if each != "--with-preview")
        ran = self._call(*self.command_line(command, *arguments), timeout=timeout)
        result = Ran(ran.returncode, ran.stdout + ran.stderr, self.command.posts()[before:])
        self.trace.append((command, arguments, result.exit_code, sorted(result.posts, key=str), self.resources()))
        return result

    def command_line(self, command: str, *arguments: str) -> list[str]:
        """The command line of a command."""
        where = ["--stack", self.name, "--cwd", str(self.folder)]
        if self.engine == "pulumi":
            return ["pulumi", command, *where, "--non-interactive", *arguments]
        return [sys.executable, "-m", "keyfactor_standins.engine", command, *where, *arguments]

    def started(self) -> "subprocess.Popen[str]":
        """Start `up` without a preview; stdout has its whole output."""
        return subprocess.Popen(
            self.command_line("up", "--yes", "--skip-preview"),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def later(self, **passed: float) -> None:
        """Let time pass in Command (arguments as for `timedelta`), and stop its clock there."""
        self.command.world(now=(self.command.now() + timedelta(**passed)).isoformat())

    def export(self) -> dict[str, Any]:
        """The exported state."""
        if self.engine != "pulumi":
            return exported(self.folder, self.name, self.environment)
        ran = self._call("pulumi", "stack", "export", "--stack", self.name, "--cwd", str(self.folder))
        assert ran.returncode == 0, ran.stderr
        deployment: dict[str, Any] = json.loads(ran.stdout)
        return deployment

    def import_(self, deployment: Mapping[str, Any]) -> None:
        """Takes an exported state as that of this stack, which has none yet."""
        real = self.engine == "pulumi"
        file = self.folder / "import.json" if real else state_file(self.folder, self.name, self.environment)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(deployment))
        if real:
            where = ["--stack", self.name, "--cwd", str(self.folder)]
            ran = self._call("pulumi", "stack", "import", *where, "--file", str(file))
            assert ran.returncode == 0, ran.stderr

    def resources(self) -> dict[str, Any]:
        """This project's resources by name, with the values that both engines must record alike."""
        resources = {}
        for resource in self.export()["deployment"].get("resources", []):
            if "keyfactor:" in resource["type"]:
                shown = {key: resource.get(key) for key in ("id", "inputs", "outputs", "dependencies")}
                resources[resource["urn"].split("::")[-1]] = _without_provider(shown)
        return resources

    def phases(self, name: str) -> dict[str, str]:
        """The recorded phase of each member of a fleet."""
        members = self.resources()[name]["outputs"]["members"]
        return {member_id: member["phase"] for member_id, member in members.items()}

    def _call(self, *line: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            line,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def _without_provider(value: Any) -> Any:
    if isinstance(value, dict):
        # The ciphertext of a secret differs each time.
        return {key: _without_provider(item) for key, item in value.items() if key not in ("__provider", "ciphertext")}
    return value
