"""`terraform-provider-keyfactorcommand install`: puts the provider where a plain `terraform init` finds it.

That is the implied filesystem mirror under the user's home, in its unpacked layout (Terraform and OpenTofu: "Implied
Local Mirror Directories"). What is put there is one start script, whose bytes depend on the release and on nothing
else. So its checksum, which Terraform writes into a project's lock file, is the same for everybody. The script finds
this Python by a file outside the package, the *pointer*, or else the console script on the PATH.
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
"""Under the user's home; Terraform and OpenTofu look there without being told."""
_POINTERS: Final = ".terraform.d/keyfactorcommand"
"""Under the user's home; a file for each release, whose one line is the path of a Python that has it."""

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386"}
_TEAM: Final = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64")
"""Platforms that `terraform providers lock -platform=...` finds in the mirror, whatever this machine is."""

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
    """Puts this release into the mirror under a home; the path of the start script for this machine.

    Whatever is there already is replaced at once, so that several installations and a running Terraform do not meet a
    half-written file.

    Args:
        python: the path of the Python that has this package.

    Raises:
        OSError: the home can't be written to.
    """
    pointers = home / _POINTERS
    pointers.mkdir(parents=True, exist_ok=True)
    _replace(pointers / RELEASE, os.fsencode(python) + b"\n", 0o644, pointers)
    for each in {*_TEAM, target()}:
        folder = home / MIRROR / ADDRESS / RELEASE / each
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / _NAME, SCRIPT.encode(), 0o755, pointers)
    return home / MIRROR / ADDRESS / RELEASE / target() / _NAME


def target() -> str:
    """This machine as Terraform names it."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def main(system: str = os.name) -> int:
    """Install for this user; 1 where that can't work."""
    if system != "posix":
        print("The provider's start script needs a POSIX shell.", file=sys.stderr)
        return 1
    # As the script will start it. A checkout that is not installed into this Python could not be found then.
    started = [sys.executable, "-E", "-P", "-c", "import keyfactor_provider.terraform"]
    if subprocess.run(started, cwd="/", stderr=subprocess.DEVNULL, check=False).returncode:  # noqa: S603  # our own
        print(
            f"{sys.executable} does not have keyfactor-provider installed with its extra. Run: "
            "pip install 'keyfactor-provider[terraform]'",
            file=sys.stderr,
        )
        return 1
    import pwd

    # As Terraform finds it: an empty HOME counts as none.
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
    """Never writes beside the script: every file in a package's folder counts for its checksum."""
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).replace(path)


if __name__ == "__main__":
    sys.exit(main())
