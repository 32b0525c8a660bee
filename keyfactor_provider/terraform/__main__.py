"""`terraform-provider-keyfactorcommand`: the plugin that Terraform and OpenTofu start."""

import os
import sys


def main() -> int:
    """Serve the Terraform that started this; 1 where somebody else did."""
    from keyfactor_provider.terraform.serving import COOKIE, serve

    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        print(
            "This is a plugin: Terraform or OpenTofu starts it.\n"
            "To put it where a plain `terraform init` finds it, run: "
            "python -m keyfactor_provider.terraform.install",
            file=sys.stderr,
        )
        return 1
    # gRPC's own log goes to stderr past all levels.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from keyfactor_provider.terraform import logs
    from keyfactor_provider.terraform.provider import CommandProvider
    from keyfactor_provider.terraform.servicer import Servicer

    logs.start(os.environ)
    provider = CommandProvider()
    serve(Servicer(provider))
    provider.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
