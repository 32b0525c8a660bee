"""What a front end holds of this room: one process's operations on one Command server."""

from collections.abc import Callable, Sequence
from datetime import datetime

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Tell
from keyfactor_provider.operations.before import Before
from keyfactor_provider.operations.context import Context
from keyfactor_provider.operations.run import Run
from keyfactor_provider.vocabulary import Vocabulary


class Lookups:
    """Reads agents; a reading is shared by everything in the process that is fresh enough to decide by."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists.

        Raises:
            CommandError, SettingsError: Command can't be read, or its list could not be had whole.
        """
        with self._context.lock:
            return self._context.session.everyone()

    def agent(self, agent_id: str) -> Agent | None:
        """One agent by its canonical GUID; None where Command has none.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._context.lock:
            return self._context.session.agents([agent_id])[agent_id]


class Operations:
    """Everything that one process does to one Command server, for all fleets of a stack.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        vocabulary: what messages call the things of the engine; Pulumi's when it is None.
        now: the time; Command's own, by its answers, when it is None.

    Attributes:
        before: what is asked before anything is changed.
        run: what changes something.
        lookups: agents as Command lists them.
    """

    def __init__(
        self,
        connect: Callable[[], CommandClient],
        tell: Tell,
        vocabulary: Vocabulary | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._context = Context(connect, tell, vocabulary, now)
        self.before = Before(self._context)
        self.run = Run(self._context)
        self.lookups = Lookups(self._context)

    def connect(self) -> None:
        """Builds the client now, so that wrong settings show, and a warning about them, before anything else.

        Raises:
            SettingsError: they are wrong or missing.
        """
        with self._context.lock:
            self._context.session.connect()

    def close(self) -> None:
        """Closes the connections, if there are any."""
        with self._context.lock:
            self._context.session.close()
