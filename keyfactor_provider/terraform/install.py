"""`terraform-provider-keyfactorcommand install`: puts the provider where a plain `terraform init` finds it.

That is the implied filesystem mirror under the user's home, in its unpacked layout (Terraform and OpenTofu: "Implied
Local Mirror Directories"). The package there is one start script whose bytes depend only on the release, so that its
checksum, which Terraform writes into a project's lock file, is the same on every machine. The script finds this Python
through a file outside the package, the *pointer*, or else through the console script on the PATH.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from keyfactor_provider.terraform.provider import ADDRESS
from keyfactor_provider.version import RELEASE

MIRROR: Final = ".terraform.d/plugins"
"""Under the user's home; Terraform and OpenTofu search it by default."""
_POINTERS: Final = ".terraform.d/keyfactorcommand"
"""Under the user's home: one file per release, with the path of a Python that has it."""

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386"}
_TEAM: Final = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")
"""Platforms that `terraform providers lock -platform=...` finds in the mirror on any machine."""

SCRIPT: Final = f"""\
#!/bin/sh
# Starts keyfactor-provider {RELEASE}. This file has the same bytes on every machine, so that a lock file that is
# committed holds for all of them. Which Python has the provider is written elsewhere, by
# `terraform-provider-keyfactorcommand install`.
# Nothing is imported from the working directory, which is Terraform's: PYTHONPATH may name it, -P leaves it out.
unset PYTHONPATH PYTHONHOME
home=${{HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}}
python=$(cat "$home/{_POINTERS}/{RELEASE}" 2>/dev/null)
[ -x "$python" ] && exec "$python" -E -P -m keyfactor_provider.terraform {RELEASE}
installed=$(command -v terraform-provider-keyfactorcommand)
case $installed in /*) exec "$installed" {RELEASE} ;; esac
# Terraform shows the first line on stdout as the reason, and nothing of stderr.
echo "keyfactor-provider {RELEASE} is not installed for this user. Run:" \\
  "pip install 'keyfactor-provider[terraform]=={RELEASE}' && terraform-provider-keyfactorcommand install"
exit 1
"""


def install(home: Path, python: str) -> Path:
    """Puts this release into the mirror under a home, and returns the path of this machine's start script.

    Files are replaced atomically, so that concurrent installations and a running Terraform never see part of a file.

    Args:
        python: the path of the Python that has this package.

    Raises:
        OSError: the home can't be written to.
    """
    pointers = home / _POINTERS
    pointers.mkdir(parents=True, exist_ok=True)
    _replace(pointers / RELEASE, os.fsencode(python) + b"\n", 0o644, pointers)
    for name in {*_TEAM, target()}:
        folder = home / MIRROR / ADDRESS / RELEASE / name
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / _NAME, SCRIPT.encode(), 0o755, pointers)
    return home / MIRROR / ADDRESS / RELEASE / target() / _NAME


def target() -> str:
    """Terraform's name for the platform of this machine."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def main(system: str = os.name) -> int:
    """Install for this user; returns the exit code."""
    if system != "posix":
        print("The provider's start script needs a POSIX shell.", file=sys.stderr)
        return 1
    # Started as the script does, which can't find a checkout that is not installed into this Python.
    probe = [sys.executable, "-E", "-P", "-c", "import keyfactor_provider.terraform"]
    if subprocess.run(probe, cwd="/", stderr=subprocess.DEVNULL, check=False).returncode:  # noqa: S603  # our own
        print(
            f"{sys.executable} does not have keyfactor-provider installed with its extra. Run: "
            "pip install 'keyfactor-provider[terraform]'",
            file=sys.stderr,
        )
        return 1
    import pwd

    # As in Terraform, an empty HOME counts as unset.
    home = Path(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir).absolute()
    try:
        script = install(home, sys.executable)
    except OSError as error:
        print(f"Could not install the provider under {home}: {error}", file=sys.stderr)
        return 1
    print(f"Installed {ADDRESS} {RELEASE} as {script}")
    return 0


_NAME: Final = f"terraform-provider-keyfactorcommand_v{RELEASE}"


def _replace(path: Path, content: bytes, mode: int, scratch: Path) -> None:
    """Writes atomically, by way of `scratch`: any file next to the script would change the package's checksum."""
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).replace(path)


if __name__ == "__main__":
    sys.exit(main())
