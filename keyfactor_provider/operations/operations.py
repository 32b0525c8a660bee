"""`Operations`: everything that a front end does to one Command server."""

from collections.abc import Callable, Sequence
from datetime import datetime

from keyfactor_provider.command.session import BuildClient
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Tell
from keyfactor_provider.operations.before import Before
from keyfactor_provider.operations.context import Context
from keyfactor_provider.operations.run import Run
from keyfactor_provider.vocabulary import Vocabulary


class Lookups:
    """Reads agents. A recent reading is shared with the fleets of the process."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists.

        Raises:
            CommandError, SettingsError: Command can't be read, or its list is incomplete.
        """
        with self._context.lock:
            return self._context.session.everyone()

    def agent(self, agent_id: str) -> Agent | None:
        """One agent by its canonical GUID; None if Command does not have it.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._context.lock:
            return self._context.session.agents([agent_id])[agent_id]


class Operations:
    """What one process does to one Command server, for all fleets of a stack.

    Args:
        settings: loads the settings on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        vocabulary: the engine's terms for messages; Pulumi's if None.
        now: the time; None to use Command's clock, as its responses report it.
        build: replaces the client in tests.

    Attributes:
        before: checks and forecasts, which change nothing.
        run: operations on fleets.
        lookups: the agents that Command lists.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        tell: Tell,
        vocabulary: Vocabulary | None = None,
        now: Callable[[], datetime] | None = None,
        build: BuildClient | None = None,
    ) -> None:
        self._context = Context(settings, tell, vocabulary, now, build)
        self.before = Before(self._context)
        self.run = Run(self._context)
        self.lookups = Lookups(self._context)

    def require_settings(self) -> None:
        """Loads the settings now, so that errors in them and warnings about them come first.

        Raises:
            SettingsError: settings are wrong or missing.
        """
        with self._context.lock:
            self._context.session.require_settings()

    def close(self) -> None:
        """Closes any connections."""
        with self._context.lock:
            self._context.session.close()
