"""`terraform-provider-keyfactorcommand`: the plugin that Terraform and OpenTofu start, and its installation."""

import os
import sys
from collections.abc import Sequence

from keyfactor_provider.version import RELEASE


def main(arguments: Sequence[str]) -> int:
    """Serve the Terraform process that started this one, or install the provider; returns the exit code.

    Args:
        arguments: none, `install`, or the release that Terraform has selected, which the start script passes.
    """
    from keyfactor_provider.terraform.serving import COOKIE, serve

    if list(arguments) == ["install"]:
        from keyfactor_provider.terraform import install

        return install.main()
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        print(
            "This is a plugin: Terraform or OpenTofu starts it. To install it where a plain `terraform init` finds it, "
            "run: terraform-provider-keyfactorcommand install",
            file=sys.stderr,
        )
        return 1
    if arguments and arguments[0] != RELEASE:
        # Terraform shows the first line on stdout as the reason why a plugin did not start, and ignores stderr.
        print(
            f"Terraform selected release {arguments[0]} of this provider, and {sys.executable} has {RELEASE}. Run: "
            f"pip install 'keyfactor-provider[terraform]=={arguments[0]}'; or, to use {RELEASE}: "
            "terraform-provider-keyfactorcommand install && terraform init -upgrade"
        )
        return 1
    # gRPC logs to stderr without regard to the log level.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from keyfactor_provider.terraform import logs
    from keyfactor_provider.terraform.neighbours import Neighbours
    from keyfactor_provider.terraform.provider import CommandProvider
    from keyfactor_provider.terraform.servicer import Servicer

    logs.start(os.environ)
    provider = CommandProvider()
    provider.shared.neighbours = Neighbours.of_this_process()
    try:
        serve(Servicer(provider))
    except OSError as error:
        print(error)
        return 1
    finally:
        if provider.shared.neighbours is not None:
            provider.shared.neighbours.leave()
    # Every call has been answered, but a thread may still read Command for an abandoned wait, for up to a minute. A
    # plain return would wait for it.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
