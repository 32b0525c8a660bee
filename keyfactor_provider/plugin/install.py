"""`pulumi-resource-keyfactor --install`: installs the plugin for all programs of this user, without CLI warnings.

It installs an archive with one start script, whose bytes depend only on the release. The script finds this Python
through a file beside it, the *pointer*, or else uses the console script on the PATH.
"""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from keyfactor_provider.version import RELEASE

_NAME: Final = "pulumi-resource-keyfactor"
_POINTER: Final = "python"

SCRIPT: Final = f"""\
#!/bin/sh
# Starts keyfactor-provider {RELEASE}. This file has the same bytes on every machine; `{_NAME} --install` writes
# the path of the Python that has the package into a file beside it.
# Nothing may be imported from the working directory, which is the program's: hence no PYTHONPATH, and -P.
unset PYTHONPATH PYTHONHOME
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=$(cat "$here/{_POINTER}" 2>/dev/null)
[ -x "$python" ] && exec "$python" -E -P -m keyfactor_provider.plugin "$@"
installed=$(command -v {_NAME})
case $installed in
  "$here"/*) ;;
  /*) exec "$installed" "$@" ;;
esac
echo "keyfactor-provider {RELEASE} is not installed for this user. Run:" \\
  "pip install 'keyfactor-provider[plugin]=={RELEASE}' && {_NAME} --install" >&2
exit 1
"""


def archive() -> bytes:
    """The plugin as Pulumi installs it, the same bytes on every machine."""
    content = SCRIPT.encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(_NAME)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    # No time stamp, and no compression: stored data has the same bytes with every version of zlib.
    return gzip.compress(packed.getvalue(), compresslevel=0, mtime=0)


def install(system: str = os.name) -> int:
    """Installs the plugin for this user; the exit code."""
    pulumi = shutil.which("pulumi")
    if system != "posix" or pulumi is None:
        reason = "the plugin's start script needs a POSIX shell" if pulumi else "no pulumi on the PATH"
        print(f"Could not install the plugin: {reason}.", file=sys.stderr)
        return 1
    # As the script will start it: a checkout that is not installed into this Python would not be found.
    probe = [sys.executable, "-E", "-P", "-c", "import keyfactor_provider.plugin.protocol"]
    if subprocess.run(probe, cwd="/", stderr=subprocess.DEVNULL, check=False).returncode:  # noqa: S603  # fixed
        print(
            f"{sys.executable} does not have keyfactor-provider installed with its extra. Run: "
            "pip install 'keyfactor-provider[plugin]'",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{_NAME}-v{RELEASE}.tar.gz")
        file.write_bytes(archive())
        command = [pulumi, "plugin", "install", "resource", "keyfactor", RELEASE, "--file", str(file), "--reinstall"]
        if code := subprocess.run(command, check=False).returncode:  # noqa: S603  # fixed
            return code
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    plugin = home / "plugins" / f"resource-keyfactor-v{RELEASE}"
    pointer = plugin / f"{_POINTER}.new"
    pointer.write_bytes(os.fsencode(sys.executable) + b"\n")
    pointer.replace(plugin / _POINTER)
    print(f"Installed {_NAME} {RELEASE} as {plugin}")
    return 0
