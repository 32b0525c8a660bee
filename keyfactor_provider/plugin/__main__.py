"""`pulumi-resource-keyfactor`: the plugin that Pulumi's engine starts."""

import os
import sys

_USAGE = """\
This is a plugin: Pulumi's engine starts it.
  pulumi-resource-keyfactor --install   installs it for this user, with the Pulumi CLI
  pulumi-resource-keyfactor --version   prints its version
"""


def main(arguments: list[str] | None = None) -> int:
    """Serve the engine whose address is the last argument; or what an option says."""
    # Before anything slow: a parent that ends meanwhile is missed afterwards.
    parent = os.getppid()
    given = sys.argv[1:] if arguments is None else arguments
    if "--version" in given:
        from keyfactor_provider.version import RELEASE

        print(RELEASE)
        return 0
    if "--install" in given:
        from keyfactor_provider.plugin.install import install

        return install()
    # The engine may put flags of its own before its address (-v=9, --logtostderr, --tracing=...).
    address = next((text for text in reversed(given) if not text.startswith("-")), "")
    if {"-h", "--help"}.intersection(given) or (not given and sys.stdin.isatty()):
        print(_USAGE, end="", file=sys.stderr)
        return 1
    # gRPC's own log would show as messages of the run.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from keyfactor_provider.plugin.serving import serve

    serve(address, parent)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
