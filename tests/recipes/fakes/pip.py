"""`pip install` for a recipe's shell: installs nothing, and refuses everything but extras of this release."""

import re
import sys

from keyfactor_provider.version import RELEASE

EXTRAS = {"pulumi", "terraform", "cli", "testing", "all"}


def main(arguments: list[str]) -> int:
    """Check one command; returns its exit code."""
    assert arguments[0] == "install", arguments
    for wanted in arguments[1:]:
        found = re.fullmatch(r"keyfactor-provider\[([a-z,]+)\]==(.+)", wanted)
        assert found, wanted
        assert set(found[1].split(",")) <= EXTRAS, wanted
        assert found[2] == RELEASE, wanted
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
