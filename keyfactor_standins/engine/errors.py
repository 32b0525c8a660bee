"""How a run ends early.

EngineError         the run cannot start or continue: a message for the user, and the exit code
└── Unsupported     the program, the project or the state uses something that this stand-in does not support
StepError           one step failed, with the message of the provider host or a hook
"""


class EngineError(Exception):
    """The run stops with this message; exit codes are those of the CLI."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Unsupported(EngineError):
    """Something that the real engine supports and this stand-in refuses, by name."""

    def __init__(self, what: str, on: str) -> None:
        super().__init__(
            f"{what} (on {on}) is not supported by this stand-in for the Pulumi engine; run the program with"
            " the real pulumi CLI, or remove it"
        )


class StepError(Exception):
    """One step failed; the message is that of the provider or the hook."""
