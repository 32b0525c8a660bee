"""`pulumi` for a recipe's shell: the engine stand-in, with the spelling of the CLI; `install` does nothing here."""

import os
import sys


def main(arguments: list[str]) -> int:
    """Become the engine stand-in."""
    if arguments == ["install"]:
        return 0
    if arguments[:2] == ["stack", "export"]:
        arguments = ["export", *arguments[2:]]
    line = [word for word in arguments if word != "--non-interactive"]
    os.execv(sys.executable, [sys.executable, "-m", "keyfactor_standins.engine", *line])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
