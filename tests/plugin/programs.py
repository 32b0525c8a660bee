"""YAML programs run by the real Pulumi CLI, with the plugin installed as a user would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keyfactor_standins.command.process import Command

ROOT = Path(__file__).resolve().parents[2]
FLEET = "keyfactor:OrchestratorReenrollment"
COMPLETION = "keyfactor:ReenrollmentCompletion"


def missing(*programs: str) -> str:
    """The reason to skip a test because programs are not on the PATH; empty if all are."""
    absent = [name for name in programs if shutil.which(name) is None]
    return f"{' and '.join(absent)} not on the PATH: the plugin was not run by the real engine" if absent else ""


def environment(home: Path, *, path: Sequence[str] = ()) -> dict[str, str]:
    """An environment for the CLI without the user's own settings, and with all its state in a folder."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("KEYFACTOR_", "PULUMI_"))},
        "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
        "HOME": str(home),
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_BACKEND_URL": f"file://{home}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The checkout may not be installed in the environment that runs its tests.
        "PYTHONPATH": str(ROOT),
    }


def install(home: Path) -> "subprocess.CompletedProcess[str]":
    """Installs the plugin for the user with this home."""
    return subprocess.run(
        [sys.executable, "-m", "keyfactor_provider.plugin", "--install"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@dataclass
class Ran:
    """How a command ended, and the requests that it sent to Command."""

    exit_code: int
    text: str
    posts: list[Any]

    @property
    def flat(self) -> str:
        """The output in one line, because the CLI wraps lines."""
        return " ".join(self.text.split())


@dataclass
class Program:
    """A YAML program in its folder, and its stack.

    Attributes:
        env: the environment of the CLI; a given one is added to the default.
    """

    folder: Path
    command: Command
    home: Path
    env: dict[str, str] = field(default_factory=dict)
    name: str = "fleets"
    stack: str = "dev"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {**environment(self.home), **self.command.environment(), **self.env}
        if not (self.folder / "Pulumi.yaml").exists():
            self.declare({})
        self.pulumi("stack", "init", self.stack)

    def declare(self, resources: Mapping[str, Any], **more: Any) -> None:
        """Writes the resources that the program declares."""
        program = {"name": self.name, "runtime": "yaml", "resources": dict(resources), **more}
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(program, sort_keys=False))

    def fleet(self, ids: Sequence[str], *, options: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A fleet as a program declares it."""
        resource = {"type": FLEET, "properties": {"orchestratorIds": list(ids), "status": "Requested", **more}}
        return {**resource, "options": dict(options)} if options else resource

    def run(self, command: str, *arguments: str, timeout: float = 120) -> Ran:
        """Runs preview, up, refresh or destroy."""
        before = len(self.command.posts())
        quiet = () if command == "preview" else ("--yes", "--skip-preview")
        ran = self.pulumi(command, *quiet, *arguments, check=False, timeout=timeout)
        return Ran(ran.returncode, ran.stdout + ran.stderr, self.command.posts()[before:])

    def ran(self, command: str, *arguments: str) -> Ran:
        """Runs a command that has to succeed."""
        ran = self.run(command, *arguments)
        assert ran.exit_code == 0, ran.text
        return ran

    def pulumi(
        self, *arguments: str, check: bool = True, timeout: float = 120, stack: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Runs any command of the CLI."""
        named = [] if not stack or arguments[:2] == ("stack", "init") else ["--stack", self.stack]
        ran = subprocess.run(
            ["pulumi", "--non-interactive", *named, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def state(self) -> dict[str, Any]:
        """The exported state."""
        state: dict[str, Any] = json.loads(self.pulumi("stack", "export").stdout)
        return state

    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources of this project in the state, by name."""
        return {
            resource["urn"].rpartition("::")[2]: resource
            for resource in self.state()["deployment"].get("resources", ())
            if "keyfactor:index:" in resource["urn"] or "dynamic/keyfactor:" in resource["urn"]
        }

    def without_settings(self) -> None:
        """Removes Command's settings from the environment, as in a pull request."""
        self.env = {name: value for name, value in self.env.items() if not name.startswith("KEYFACTOR_")}
