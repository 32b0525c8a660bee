"""The console scripts. Each names a missing extra of the package in one line."""

import sys


def terraform() -> int:
    """`terraform-provider-keyfactorcommand`; the exit code."""
    try:
        from keyfactor_provider.terraform.__main__ import main
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    return main(sys.argv[1:])


def plugin() -> int:
    """`pulumi-resource-keyfactor`; the exit code."""
    from keyfactor_provider.plugin.__main__ import main

    return main(sys.argv[1:])
