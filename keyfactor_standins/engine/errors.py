"""The ways a run ends early.

EngineError         the run cannot start, or cannot go on: a message for the person, and the exit code
└── Unsupported     the program, the state or the command line wants what this stand-in does not do; named
StepError           one step failed: the provider host's answer, or a hook's
"""


class EngineError(Exception):
    """The run stops with this message; the exit code is the CLI's."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Unsupported(EngineError):
    """Something that the real engine does and this stand-in refuses, by name."""

    def __init__(self, what: str, on: str) -> None:
        super().__init__(
            f"{what} (on {on}) is not supported by this stand-in for the Pulumi engine; run the program with"
            " the real pulumi CLI, or leave it out"
        )


class StepError(Exception):
    """One step failed; the message is the provider's or the hook's own."""
