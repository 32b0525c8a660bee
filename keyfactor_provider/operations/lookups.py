"""Look-ups: agents as Command lists them, for rules, data sources and people."""

from collections.abc import Sequence

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.context import Context


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
