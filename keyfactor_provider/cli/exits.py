"""How the command ends: every exit code, and the errors that lead to them."""

from enum import IntEnum

from keyfactor_provider.errors import CommandError, ProviderError, Unreachable


class Exit(IntEnum):
    """The exit codes; docs/cli.md explains them to the users of pipelines."""

    OK = 0
    ERROR = 1
    """Something that a person has to correct: input, settings, credentials, a permission."""
    USAGE = 2
    """The command line; the code that click itself uses."""
    FAILED = 3
    OVERDUE = 4
    DRIFT = 5
    UNREACHABLE = 6
    """Keyfactor Command could not be reached, or answered that it is temporarily unable to answer."""
    TOO_MANY = 7
    """A run would request more than `--max-requests`, or nobody can tell."""


class SourceError(ProviderError):
    """A document that is not what the command can read."""


def code_of(error: ProviderError) -> Exit:
    """The exit code of an error: an outage may end by itself, everything else has to be corrected."""
    if isinstance(error, Unreachable) or (isinstance(error, CommandError) and error.transient):
        return Exit.UNREACHABLE
    return Exit.ERROR
