"""The real Pulumi CLI, where there is one that is new enough; `python -m keyfactor_standins.cli` installs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / ".pulumi"
NEEDED = (3, 238, 0)
"""As Pulumi.yaml requires: from this version on a failing hook fails the run."""


def find() -> Path | None:
    """The CLI that `make pulumi` installed, or the one on the PATH; None where neither is new enough."""
    search = os.pathsep.join([str(OURS / "bin"), os.environ.get("PATH", "")])
    found = shutil.which("pulumi", path=search)
    return Path(found) if found and _version(found) >= NEEDED else None


def _version(cli: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([cli, "version"], capture_output=True, text=True, timeout=30, check=False).stdout
        return tuple(int(part) for part in said.strip().lstrip("v").split("-")[0].split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def main() -> int:
    """Runs the vendor's installer through the SDK; 1 where it can't be had."""
    from pulumi.automation import PulumiCommand

    try:
        installed = PulumiCommand.install(root=str(OURS))
    except Exception as error:
        print(
            f"The Pulumi CLI could not be installed: {type(error).__name__}: {error}\n"
            "Its installer comes from the vendor's site: check the network, or install it by hand and put it "
            "on the PATH. Until then `make demo` and `make test` run on keyfactor_standins/engine.",
            file=sys.stderr,
        )
        return 1
    print(f"Pulumi {installed.version} is in {OURS.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
