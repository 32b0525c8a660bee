"""One process's dealings with one Command: connected on first use, its readings and its outages shared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from keyfactor_provider.command.asking import Outcome, StillDue, ask
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.outage import Outage
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError
from keyfactor_provider.status import ReenrollmentStatus

Reading = TypeVar("Reading")

GLANCE_SECONDS: Final = 3.0
"""For looking at Command in all the previews of one process together."""


class Session:
    """Reads and asks for all fleets of a process; not to be used by two threads at once.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        warn: told once, when the client is built, what a user should know of its settings.
    """

    def __init__(self, connect: Callable[[], CommandClient], warn: Callable[[str], None]) -> None:
        self._connect = connect
        self._warn = warn
        self._connection: tuple[Roster, CommandClient] | None = None
        self._outage = Outage()
        self._glances_left = GLANCE_SECONDS

    def connect(self) -> tuple[Roster, CommandClient]:
        """Builds the client, if that was not done yet.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        if self._connection is None:
            client = self._connect()
            self._connection = Roster(client), client
            for warning in client.settings.warnings:
                self._warn(warning)
        return self._connection

    def close(self) -> None:
        """Closes the connections, if there are any."""
        if self._connection is not None:
            self._connection[1].close()

    def agents(self, wanted: Iterable[str], *, deadline: Deadline | None = None) -> Mapping[str, Agent | None]:
        """Agents by canonical GUID, fresh enough to decide by; None where Command has no such agent.

        Raises:
            CommandError, SettingsError: Command can't be read, now or since an outage that another fleet met.
        """
        if not (wanted := list(wanted)):
            return {}
        return self._read(lambda roster: roster.look(wanted, deadline=deadline))

    def agents_now(self, wanted: Iterable[str], within: float) -> Mapping[str, Agent | None]:
        """Agents as they are now, also when Command was away a moment ago: for somebody who waits.

        Args:
            within: seconds that a request may take with its retries, if the setting is not less.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        self._outage.clear()
        roster, client = self.connect()
        return roster.look_again(wanted, deadline=Deadline(client.clock() + min(within, client.settings.timeout)))

    def glance(self, wanted: Iterable[str]) -> Mapping[str, Agent | None]:
        """Agents as far as they can be had in time, without a second try; nothing during an outage.

        All glances of a process have GLANCE_SECONDS together, and the first that fails is the last.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        roster, client = self.connect()
        began = client.clock()
        if self._glances_left <= 0 or self._outage.standing(began) is not None:
            return {}
        try:
            return roster.look(wanted, deadline=Deadline(began + self._glances_left, retries=False))
        except CommandError:
            self._glances_left = 0
            raise
        finally:
            self._glances_left -= client.clock() - began

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists, fresh enough to decide by.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        return self._read(Roster.everyone_lately)

    def ask(
        self,
        members: Sequence[str],
        status: ReenrollmentStatus,
        *,
        still_due: StillDue,
        sending: Callable[[], None],
    ) -> Outcome:
        """Asks as `asking.ask` does, unless Command is known to be away; what is written is read anew.

        Args:
            sending: called before a request goes out.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        roster, client = self.connect()
        if (outage := self._outage.standing(client.clock())) is not None:
            return Outcome(unreached=dict.fromkeys(members, False), trouble=outage)

        def written(asked: Sequence[str]) -> None:
            sending()
            roster.forget(asked)

        outcome = ask(client, members, status, still_due=still_due, written=written)
        if outcome.trouble is not None:
            self._outage.note(outcome.trouble, client.clock())
        return outcome

    def _read(self, reading: Callable[[Roster], Reading]) -> Reading:
        """Reads, unless Command is known to be away; what keeps it from being read is kept in mind for the others."""
        roster, client = self.connect()
        if (outage := self._outage.standing(client.clock())) is not None:
            raise outage
        try:
            return reading(roster)
        except CommandError as error:
            self._outage.note(error, client.clock())
            raise
