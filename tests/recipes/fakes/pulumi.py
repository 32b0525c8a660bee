"""`pulumi` for a recipe's shell: the engine stand-in, with the spelling of the CLI; `install` does nothing here."""

import json
import os
import sys
from pathlib import Path

from keyfactor_standins.engine.run import exported


def main(arguments: list[str]) -> None:
    """Become the engine stand-in."""
    if arguments == ["install"]:
        return
    if arguments[:2] == ["stack", "export"]:
        arguments = ["export", *arguments[2:]]
    if arguments[:2] == ["stack", "output"]:
        resources = exported(Path(), arguments[arguments.index("--stack") + 1], os.environ)["deployment"]["resources"]
        (stack,) = [one for one in resources if one["type"] == "pulumi:pulumi:Stack"]
        print(json.dumps(stack["outputs"][arguments[2]]))
        return
    line = [word for word in arguments if word != "--non-interactive"]
    os.execv(sys.executable, [sys.executable, "-m", "keyfactor_standins.engine", *line])


if __name__ == "__main__":
    main(sys.argv[1:])
