"""Runs the shell scripts of a recipe as its CI would run them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keyfactor_standins.command.process import Command
from keyfactor_standins.engine.run import exported
from tests.support.stacks import ROOT

FAKES = Path(__file__).with_name("fakes")
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Shell:
    """A checkout of a user's project on a runner.

    Attributes:
        folder: the project.
        environment: of every step, in addition to that of a runner.
    """

    folder: Path
    command: Command
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tools = self.folder.parent / "tools"
        tools.mkdir()
        for fake in ("gh", "pip", "pulumi"):
            (tools / fake).write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{FAKES / fake}.py" "$@"\n')
            (tools / fake).chmod(0o755)
        self.environment = {
            "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "KEYFACTOR_CLIENT_TIMEOUT": "2",
            **self.command.environment(),
            **self.environment,
        }

    def run(self, script: str, environment: Mapping[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
        """Run a script with bash."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", *options, "-c", script],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def project(template: str, folder: Path, config: Mapping[str, Any]) -> Path:
    """A project made from an example, with a stack `prod`."""
    shutil.copytree(ROOT / "examples" / template, folder)
    name = yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"]
    values = {f"{name}:{key}": value for key, value in config.items()}
    (folder / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": values}))
    return folder


def phases(shell: Shell) -> dict[str, str]:
    """The recorded phase of each member of the fleet `edge` in the stack `prod`."""
    resources = exported(shell.folder, "prod", shell.environment)["deployment"]["resources"]
    (fleet,) = [resource for resource in resources if resource["urn"].endswith(":OrchestratorReenrollment::edge")]
    return {member: value["phase"] for member, value in fleet["outputs"]["members"].items()}
