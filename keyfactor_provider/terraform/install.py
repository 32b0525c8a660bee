"""`python -m keyfactor_provider.terraform.install`: puts the provider where a plain `terraform init` finds it.

That is Terraform's implied filesystem mirror under the user's home. What is put there is a script of two lines
that starts this Python environment; the environment stays where it is.
"""

import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Final

from keyfactor_provider.terraform.provider import ADDRESS
from keyfactor_provider.version import RELEASE

MIRROR: Final = ".terraform.d/plugins"
"""Under the user's home; Terraform and OpenTofu look there without being told."""

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386"}


def install(mirror: Path, python: str, release: str, target: str) -> Path:
    """Puts this release into a mirror, in its unpacked layout; the script's path.

    A script of the same release is replaced. Terraform notes a provider's checksum in a project's lock file: one
    whose script has changed, because the environment lies elsewhere, needs `terraform init -upgrade`.
    """
    folder = mirror / ADDRESS / release / target
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"terraform-provider-keyfactorcommand_v{release}"
    # A checkout need not be installed into its environment.
    package = shlex.quote(str(Path(__file__).resolve().parents[2]))
    start = f"exec env PYTHONPATH={package} {shlex.quote(python)} -m keyfactor_provider.terraform"
    script.write_text(f"#!/bin/sh\n{start}\n", encoding="utf-8")
    script.chmod(0o755)
    return script


def target() -> str:
    """This machine as Terraform names it."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def main(system: str = os.name) -> int:
    """Install for this user; 1 where Terraform can't start a script."""
    if system != "posix":
        print("The provider's start script needs a POSIX shell.", file=sys.stderr)
        return 1
    script = install(Path.home() / MIRROR, sys.executable, RELEASE, target())
    print(f"Installed {ADDRESS} {RELEASE} as {script}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
