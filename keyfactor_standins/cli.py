"""Finds a real Pulumi CLI that is new enough; `python -m keyfactor_standins.cli` installs one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / ".pulumi"
NEEDED = (3, 238, 0)
"""The version that Pulumi.yaml requires; since this version a failing hook fails the run."""


def find() -> Path | None:
    """The CLI that `make pulumi` installed, or the one on the PATH; None if neither is new enough."""
    search = os.pathsep.join([str(OURS / "bin"), os.environ.get("PATH", "")])
    cli = shutil.which("pulumi", path=search)
    return Path(cli) if cli and _version(cli) >= NEEDED else None


def _version(cli: str) -> tuple[int, ...]:
    try:
        version = subprocess.run([cli, "version"], capture_output=True, text=True, timeout=30, check=False).stdout
        return tuple(int(part) for part in version.strip().lstrip("v").split("-")[0].split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def main() -> int:
    """Run the vendor's installer through the SDK; returns 1 if that fails."""
    from pulumi.automation import PulumiCommand

    try:
        installed = PulumiCommand.install(root=str(OURS))
    except Exception as error:
        print(
            f"The Pulumi CLI could not be installed: {type(error).__name__}: {error}\n"
            "The installer comes from the vendor's site: check the network, or install the CLI yourself and put it on "
            "the PATH. Until then `make demo` and `make test` run on keyfactor_standins/engine.",
            file=sys.stderr,
        )
        return 1
    print(f"Installed Pulumi {installed.version} in {OURS.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
