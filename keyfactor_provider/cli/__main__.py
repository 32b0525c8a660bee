"""`keyfactor-reenrollment`: where roll-outs stand, and what a plan would request."""

import sys

from keyfactor_provider.errors import ProviderError

_NEEDS = "keyfactor-reenrollment needs the package {}. Run: pip install 'keyfactor-provider[cli]'"


def main() -> int:
    """Run the command that was asked for; its exit code."""
    try:
        from keyfactor_provider.cli.app import app

        app.main(prog_name="keyfactor-reenrollment", standalone_mode=True)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich", "jinja2"):
            raise
        print(_NEEDS.format(error.name), file=sys.stderr)
        return 1
    except ProviderError as error:
        from keyfactor_provider.cli.exits import code_of

        print(f"Error: {error}", file=sys.stderr)
        return int(code_of(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
