"""A root module of a test, run by Terraform or OpenTofu."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.terraform.install import install
from keyfactor_provider.terraform.provider import ADDRESS
from keyfactor_standins.command.process import Command
from tests.support.plugin import COMPLETION, FLEET
from tests.support.stacks import Ran

BINARIES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} on the PATH: nothing was run with it"),
    )
    for name in ("terraform", "tofu")
]

FIRST_FOUND = next((name for name in ("terraform", "tofu") if shutil.which(name)), None)

POSTCONDITION = {
    "postcondition": {
        "condition": '${self.failure == ""}',
        "error_message": "${self.failure}",
    }
}


@dataclass
class Module:
    """A root module and the binary that runs it, with the provider of this checkout instead of an installed one."""

    binary: str
    folder: Path
    command: Command
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        plugins = install(Path(self.environment.get("HOME", os.environ["HOME"])), sys.executable).parent
        config = self.folder / ".tfrc"
        config.write_text(f'provider_installation {{ dev_overrides {{ "{ADDRESS}" = "{plugins}" }}\n direct {{}} }}\n')
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TF_")},
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **self.command.environment(),
            **self.environment,
        }
        provider = {"keyfactorcommand": {"source": ADDRESS}}
        self.write("terraform.tf.json", json.dumps({"terraform": {"required_providers": provider}}))

    def write(self, name: str, text: str) -> None:
        """Write a file of the module; an empty text removes it."""
        if text:
            (self.folder / name).write_text(text)
        else:
            (self.folder / name).unlink(missing_ok=True)

    def fleets(self, *fleets: Mapping[str, Any]) -> None:
        """Set what the module declares, as `Stack.fleets` does."""
        resources: dict[str, dict[str, Any]] = {}
        for fleet in fleets:
            values = dict(fleet)
            name, after = values.pop("name"), [f"{FLEET}.{other}" for other in values.pop("after", ())]
            kind = FLEET
            if awaited := values.pop("completes", None):
                kind, values["members"] = COMPLETION, f"${{{FLEET}.{awaited}.members}}"
            elif values.get("on_failure") != "warn":
                values["lifecycle"] = POSTCONDITION
            resources.setdefault(kind, {})[name] = {**values, **({"depends_on": after} if after else {})}
        self.write("fleets.tf.json", json.dumps({"resource": resources}))

    def run(self, command: str, *arguments: str, timeout: float = 120) -> Ran:
        """Run one command to its end."""
        before = len(self.command.posts())
        with self.started(command, *arguments) as process:
            try:
                text, _ = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Ran(process.returncode, text, self.command.posts()[before:])

    def started(self, command: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start one command in a new session."""
        if command in ("apply", "destroy"):
            arguments = ("-auto-approve", *arguments)
        return subprocess.Popen(
            [self.binary, *command.split(), "-no-color", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def resources(self) -> dict[str, dict[str, Any]]:
        """The attributes of each resource in the state, by name."""
        file = self.folder / "terraform.tfstate"
        if not file.exists():
            return {}
        return {
            resource["name"]: instance["attributes"]
            for resource in json.loads(file.read_text())["resources"]
            for instance in resource["instances"]
            if resource["mode"] == "managed"
        }

    def tainted(self) -> list[str]:
        """The resources that the next apply would destroy and create."""
        resources = json.loads((self.folder / "terraform.tfstate").read_text())["resources"]
        return [
            resource["name"]
            for resource in resources
            if any(instance.get("status") == "tainted" for instance in resource["instances"])
        ]

    def phases(self, name: str) -> dict[str, str]:
        """The recorded phase of each member of a fleet."""
        return {member_id: member["phase"] for member_id, member in self.resources()[name]["members"].items()}
