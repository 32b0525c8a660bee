"""`pulumi` for a recipe's shell: the engine stand-in with the command line of the CLI; `install` does nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from keyfactor_standins.engine.run import exported


def main(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    line = [word for word in arguments if word != "--non-interactive"]
    match line:
        case ["install"]:
            return 0
        case ["stack", "output", name, "--stack", stack]:
            print(json.dumps(_outputs(stack)[name]))
            return 0
        case ["stack", "export", "--stack", stack]:
            print(json.dumps(exported(Path.cwd(), stack, os.environ)))
            return 0
    return subprocess.run([sys.executable, "-m", "keyfactor_standins.engine", *line], check=False).returncode


def _outputs(stack: str) -> dict[str, Any]:
    """The recorded outputs of a stack."""
    resources = exported(Path.cwd(), stack, os.environ)["deployment"]["resources"]
    outputs: dict[str, Any] = next(each["outputs"] for each in resources if each["type"] == "pulumi:pulumi:Stack")
    return outputs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
