"""`pulumi-resource-keyfactor`: the plugin that Pulumi's engine starts."""

import os
import sys

_USAGE = """\
This is a plugin: Pulumi's engine starts it.
  pulumi-resource-keyfactor --install   install it for this user, with the Pulumi CLI
  pulumi-resource-keyfactor --version   print its version
"""


def main(arguments: list[str] | None = None) -> int:
    """Serves the engine whose address is the last argument, or carries out an option."""
    # This comes before anything slow: if the parent ended first, its id would be lost.
    parent = os.getppid()
    options = sys.argv[1:] if arguments is None else arguments
    if "--version" in options:
        from keyfactor_provider.version import RELEASE

        print(RELEASE)
        return 0
    if "--install" in options:
        from keyfactor_provider.plugin.install import install

        return install()
    # The engine may pass flags before its address (-v=9, --logtostderr, --tracing=...).
    address = next((text for text in reversed(options) if not text.startswith("-")), "")
    if {"-h", "--help"}.intersection(options) or (not options and sys.stdin.isatty()):
        print(_USAGE, end="", file=sys.stderr)
        return 1
    # The log of gRPC would appear among the messages of the run.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from keyfactor_provider.plugin.serving import serve

    serve(address, parent)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
