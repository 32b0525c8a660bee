"""Front end for people and pipelines: `keyfactor-reenrollment`. It reads and reports, and changes nothing."""

import io
import sys
from typing import Final

from keyfactor_provider.errors import ProviderError

_LIBRARIES: Final = ("click", "jinja2", "markupsafe", "rich")


def main() -> int:
    """Runs the command line; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A Windows code page may lack characters of machine names.
            stream.reconfigure(errors="replace")
    try:
        from keyfactor_provider.cli.app import app

        app.main(prog_name="keyfactor-reenrollment")
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _LIBRARIES:
            raise
        install = "pip install 'keyfactor-provider[cli]'"
        print(f"The command keyfactor-reenrollment needs {library}: {install}", file=sys.stderr)
        return 1
    except ProviderError as error:
        from keyfactor_provider.cli.exits import code_of

        print(f"Error: {error}", file=sys.stderr)
        return code_of(error)
