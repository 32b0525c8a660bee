"""`python -m keyfactor_provider.cli`: the same as `keyfactor-reenrollment`."""

import sys

from keyfactor_provider.cli import main

if __name__ == "__main__":
    sys.exit(main())
