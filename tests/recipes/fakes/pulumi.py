"""`pulumi` for a recipe's shell: the engine stand-in, with the spelling of the CLI; `install` does nothing here."""

import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    if arguments == ["install"]:
        return 0
    if arguments[:2] == ["stack", "export"]:
        arguments = ["export", *arguments[2:]]
    line = [word for word in arguments if word != "--non-interactive"]
    return subprocess.run([sys.executable, "-m", "keyfactor_standins.engine", *line], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
