"""The exit codes of the command, and the errors that lead to them."""

from enum import IntEnum

from keyfactor_provider.errors import CommandError, ProviderError, Unreachable


class Exit(IntEnum):
    """The exit codes; docs/cli.md explains them."""

    OK = 0
    ERROR = 1
    """Something that someone has to correct: input, settings, credentials, a permission."""
    USAGE = 2
    """A wrong command line; click uses this code as well."""
    FAILED = 3
    OVERDUE = 4
    DRIFT = 5
    UNREACHABLE = 6
    """Keyfactor Command is unreachable or temporarily unavailable."""
    TOO_MANY = 7
    """A run may request more than `--max-requests`, or the number can't be known."""


class SourceError(ProviderError):
    """A source that the command can't read, or a file that it can't write."""


def code_of(error: ProviderError) -> Exit:
    """The exit code for an error: an outage may pass, everything else has to be corrected."""
    if isinstance(error, Unreachable) or (isinstance(error, CommandError) and error.transient):
        return Exit.UNREACHABLE
    return Exit.ERROR
