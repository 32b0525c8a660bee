"""One process's dealings with one Command: connected on first use, its readings and its outages shared."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from math import inf
from typing import Final, TypeVar

from keyfactor_provider.command.asking import Encodings, Requests
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError, Unauthorized, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

Result = TypeVar("Result")

GLANCE_SECONDS: Final = 3.0
"""For looking at Command in all the previews of one process together."""
SHARED_FOR: Final = 60.0
"""Seconds after which Command is tried again: a fleet behind a long wait is not judged by an old failure."""


class Outage:
    """The last failure that affects every call, kept so that not every fleet has to wait for it again."""

    def __init__(self) -> None:
        self._error: CommandError | None = None
        self._until = -inf

    def note(self, error: CommandError, now: float) -> None:
        """Remembers the error if the next call would meet it as well.

        Args:
            now: a reading of the client's clock.
        """
        if isinstance(self._error, Unauthorized):
            return
        if isinstance(error, Unreachable):
            self._error, self._until = error, now + SHARED_FOR
        elif isinstance(error, Unauthorized):
            # Until the end of the run: a wrong password tried for each of many fleets would lock the account.
            self._error, self._until = error, inf

    def standing(self, now: float) -> CommandError | None:
        """The error that calls still end with; a copy, since the code that raises it may add to it."""
        return copy(self._error) if self._error is not None and now < self._until else None

    def passed(self) -> None:
        """Command has answered: lets the next call try it again, unless the credentials were refused."""
        if not isinstance(self._error, Unauthorized):
            self._error = None


class Session:
    """Reads and requests for all fleets of a process; not for two threads at once, but for `close`.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        warn: told once, when the client is built, what a user should know of its settings.
    """

    def __init__(self, connect: Callable[[], CommandClient], warn: Callable[[str], None]) -> None:
        self._connect = connect
        self._warn = warn
        self._connection: tuple[CommandClient, Roster, Encodings] | None = None
        self._outage = Outage()
        self._glances_left = GLANCE_SECONDS

    def connect(self) -> None:
        """Builds the client, if that was not done yet.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        self._connected()

    def close(self) -> None:
        """Ends what is under way and closes the connections, if there are any; from any thread."""
        if (connection := self._connection) is not None:
            connection[0].close()

    def clock(self) -> float:
        """A reading of the client's clock, in seconds that only grow.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        return self._connected()[0].clock()

    def now(self) -> datetime:
        """The time, as `CommandClient.now` has it; this machine's while there is no client."""
        return self._connection[0].now() if self._connection else datetime.now(UTC)

    def until(self, within: float | None) -> float | None:
        """A reading of the client's clock so many seconds from now; None for no limit.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        return None if within is None else self.clock() + within

    def wait(self, seconds: float) -> None:
        """Sleeps as the client does between two attempts.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        self._connected()[0].sleep(seconds)

    def agents(
        self, wanted: Iterable[str], *, deadline: Deadline | None = None, until: float | None = None
    ) -> Mapping[str, Agent | None]:
        """Agents by canonical GUID, fresh enough to decide by; None where Command has no such agent.

        Args:
            until: a reading of the clock that no request goes beyond; None for no such limit.

        Raises:
            CommandError, SettingsError: Command can't be read, now or since an outage that another fleet met.
        """
        if not (wanted := list(wanted)):
            return {}
        if deadline is None and until is not None:
            deadline = self._connected()[0].deadline(until)
        return self._read(lambda roster: roster.look(wanted, deadline=deadline))

    def agents_now(self, wanted: Iterable[str], within: float) -> Mapping[str, Agent | None]:
        """Agents as they are now, also when Command was away a moment ago: for somebody who waits.

        Args:
            within: seconds that a request may take with its retries, if the setting is not less.

        Raises:
            CommandError, SettingsError: Command can't be read, or has refused the credentials in this process.
        """
        client, _, _ = self._connected()
        deadline = Deadline(client.clock() + min(within, client.settings.timeout))
        agents = self._read(lambda roster: roster.look_again(wanted, deadline=deadline), also_after=Unreachable)
        self._outage.passed()
        return agents

    def glance(self, wanted: Iterable[str]) -> Mapping[str, Agent | None]:
        """Agents as far as they can be had in time, without a second try; nothing during an outage.

        All glances of a process have GLANCE_SECONDS together, and the first that fails is the last.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        client, roster, _ = self._connected()
        began = client.clock()
        if self._glances_left <= 0 or self._outage.standing(began) is not None:
            return {}
        try:
            return roster.look(wanted, deadline=Deadline(began + self._glances_left, retries=False))
        except CommandError as error:
            self._glances_left = 0
            # That it took longer than a glance says nothing about whether Command is there.
            if isinstance(error, Unauthorized):
                self._outage.note(error, began)
            raise
        finally:
            self._glances_left -= client.clock() - began

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists, fresh enough to decide by.

        Raises:
            CommandError, SettingsError: Command can't be read, or not as a whole.
        """
        return self._read(Roster.everyone_lately)

    def request(self, members: Sequence[str], status: ReenrollmentStatus, *, until: float | None = None) -> Requests:
        """Requests a status for members, unless Command is known to be away; what is written is read anew.

        Args:
            until: a reading of the clock at which nothing more is sent; None for no such limit.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        client, roster, encodings = self._connected()
        return Requests(
            client,
            members,
            status,
            encodings,
            sending=roster.forget,
            failed=lambda error: self._outage.note(error, client.clock()),
            outage=self._outage.standing(client.clock()),
            until=until,
        )

    def _connected(self) -> tuple[CommandClient, Roster, Encodings]:
        if self._connection is None:
            client = self._connect()
            self._connection = client, Roster(client), Encodings(client.settings.status_encoding)
            for warning in client.settings.warnings:
                self._warn(warning)
        return self._connection

    def _read(self, reading: Callable[[Roster], Result], also_after: type[CommandError] | None = None) -> Result:
        """Reads, unless Command is known to be away; what keeps it from being read is kept in mind for the others.

        Args:
            also_after: an outage of this kind is tried again.
        """
        client, roster, _ = self._connected()
        outage = self._outage.standing(client.clock())
        if outage is not None and not (also_after and isinstance(outage, also_after)):
            raise outage
        try:
            return reading(roster)
        except CommandError as error:
            self._outage.note(error, client.clock())
            raise
