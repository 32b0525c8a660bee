"""A program and the two engines that can run it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyfactor_standins.engine.run import command_line, environment_for, exported
from tests.engine.cases import HEAD, Run

REAL = shutil.which("pulumi")
_TIMES = {"created", "modified", "sourcePosition", "stackTrace", "ciphertext"}


@dataclass
class Told:
    """The result of a command; two engines that agree have the same `trace`."""

    exit_code: int
    text: str
    calls: list[list[Any]]
    state: list[Any]

    @property
    def changing(self) -> list[str]:
        """The create, update and delete calls, in order."""
        return [f"{op} {name}" for op, name, *_ in self.calls if op in ("create", "update", "delete")]

    @property
    def trace(self) -> Any:
        """The exit code, every call (sorted), and the state without times and source positions."""
        return self.exit_code, sorted(json.dumps(call) for call in self.calls), self.state


@dataclass
class Stage:
    """A project and its stack."""

    folder: Path
    real: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        shutil.copy(Path(__file__).with_name("counted.py"), self.folder)
        self.environment = environment_for(
            {
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "CALLS": str(self.folder / "calls"),
                "WORLD": str(self.folder / "world.json"),
                "PULUMI_CONFIG_PASSPHRASE": "open sesame",
                "PULUMI_BACKEND_URL": f"file://{self.folder}",
                "PULUMI_HOME": str(self.folder / ".home"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                **self.extra,
            }
        )
        if self.real:
            self._call(["pulumi", "stack", "init", "dev", "--non-interactive"])

    def write(self, program: str) -> None:
        """Write the program."""
        (self.folder / "__main__.py").write_text(HEAD + program + "\n")

    def tell(self, run: Run) -> Told:
        """Run one command."""
        if run.program is not None:
            self.write(run.program)
        for key, value in run.config.items():
            self.set_secret(key, value)
        (self.folder / "world.json").write_text(json.dumps(run.world))
        calls = self.folder / "calls"
        calls.write_text("")
        command, *arguments = run.command.split()
        line = [*command_line(command, *arguments, cwd=self.folder)]
        if self.real:
            line = ["pulumi", command, *arguments, "--stack", "dev", "--non-interactive"]
        done = self._call(line)
        logged = [json.loads(each) for each in calls.read_text().splitlines()]
        return Told(done.returncode, done.stdout + done.stderr, logged, self.state())

    def set_secret(self, key: str, value: str) -> None:
        """Set a secret of the stack's config."""
        if self.real:
            self._call(["pulumi", "config", "set", "--secret", key, value, "--stack", "dev"])
            return
        from keyfactor_standins.engine.secrets import Vault

        vault = Vault("open sesame", None)
        sealed = vault.encrypt(value)
        file = self.folder / "Pulumi.dev.yaml"
        file.write_text(f"encryptionsalt: {vault.salt}\nconfig:\n  tiny:{key}:\n    secure: {sealed}\n")

    def export(self) -> dict[str, Any]:
        """The exported deployment."""
        if not self.real:
            return exported(self.folder, "dev", self.environment)
        deployment: dict[str, Any] = json.loads(self._call(["pulumi", "stack", "export", "--stack", "dev"]).stdout)
        return deployment

    def state(self) -> list[Any]:
        """The exported resources, sorted, with the values that both engines must have."""
        deployment = self.export()
        resources = deployment["deployment"].get("resources") or []
        text = json.dumps(sorted(map(_timeless, resources), key=lambda each: json.dumps(each, sort_keys=True)))
        for resource in resources:
            if "providers" in resource["type"]:
                text = text.replace(resource["id"], "ID")
        state: list[Any] = [deployment["version"], *json.loads(text)]
        return state if resources else []

    def _call(self, line: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            line,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in sorted(value.items()) if key not in _TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
