"""The ways a run ends early.

EngineError             the run cannot start, or cannot go on: a message for the person, exit code set
└── UnsupportedError    the program or the command wants what this stand-in does not do; named
ProviderError           a call to the provider host failed
"""


class EngineError(Exception):
    """The run stops with this message.

    Args:
        message: what failed, on what, what came back, what to do next.
        exit_code: the process's exit code (1 unless the CLI uses another one there).
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UnsupportedError(EngineError):
    """Something that the real engine does and this stand-in refuses, by name."""

    def __init__(self, what: str, on: str) -> None:
        super().__init__(
            f"{what} (on {on}) is not supported by this stand-in for the Pulumi engine; run the program with"
            " the real pulumi CLI, or leave it out"
        )


class ProviderError(Exception):
    """A call to the provider host failed; the message is what the host answered."""
