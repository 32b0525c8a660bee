"""The connection of one process to one Command server, with readings and outages shared by its fleets.

The client and what needs it are imported with the first request: many runs make none, and it takes 50 to 100 ms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError, Unauthorized, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

if TYPE_CHECKING:
    from keyfactor_provider.command.asking import Encodings, Requests
    from keyfactor_provider.command.client import CommandClient
    from keyfactor_provider.command.retrying import Deadline
    from keyfactor_provider.command.roster import Roster

Result = TypeVar("Result")
BuildClient = Callable[[Settings], "CommandClient"]

GLANCE_SECONDS: Final = 3.0
"""The time limit for reading Command in all previews of one process together."""
SHARED_FOR: Final = 60.0
"""Seconds after which Command is tried again, so that a fleet does not fail because of an old outage."""


class Outage:
    """The last error that every call would get, kept so that each fleet does not wait for it again."""

    def __init__(self) -> None:
        self._error: CommandError | None = None
        self._until = -inf

    def note(self, error: CommandError, now: float) -> None:
        """Keeps the error if the next call would get it as well.

        Args:
            now: time on the client's clock.
        """
        if isinstance(self._error, Unauthorized):
            return
        if isinstance(error, Unreachable):
            self._error, self._until = error, now + SHARED_FOR
        elif isinstance(error, Unauthorized):
            # Until the process ends: a wrong password sent for each of many fleets would lock the account.
            self._error, self._until = error, inf

    def standing(self, now: float) -> CommandError | None:
        """A copy of the error that calls would still get, if there is one; code that raises it may modify it."""
        return copy(self._error) if self._error is not None and now < self._until else None

    def passed(self) -> None:
        """Ends the outage after a response from Command, unless it rejected the credentials."""
        if not isinstance(self._error, Unauthorized):
            self._error = None


class Session:
    """Reads and requests for all fleets of a process. Only `close` is thread-safe.

    Args:
        settings: loads the settings on first use; may raise SettingsError.
        warn: called with each warning about the settings when they are loaded.
        build: replaces the client in tests.
    """

    def __init__(
        self, settings: Callable[[], Settings], warn: Callable[[str], None], build: BuildClient | None = None
    ) -> None:
        self._load = settings
        self._warn = warn
        self._build = build
        self._settings: Settings | None = None
        self._connection: tuple[CommandClient, Roster, Encodings] | None = None
        self._outage = Outage()
        self._glances_left = GLANCE_SECONDS

    def require_settings(self) -> Settings:
        """The settings, loaded on first use.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        if self._settings is None:
            self._settings = self._load()
            for warning in self._settings.warnings:
                self._warn(warning)
        return self._settings

    def close(self) -> None:
        """Cancels requests in progress and closes any connections; safe from any thread."""
        if (connection := self._connection) is not None:
            connection[0].close()

    def clock(self) -> float:
        """The time on the client's monotonic clock, in seconds.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        return self._connected()[0].clock()

    def now(self) -> datetime:
        """The time as in `CommandClient.now`; this machine's time while there is no client."""
        return self._connection[0].now() if self._connection else datetime.now(UTC)

    def until(self, within: float | None) -> float | None:
        """The time on the client's clock `within` seconds from now; None for no limit.

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
        self, wanted: Iterable[str], *, deadline: "Deadline | None" = None, until: float | None = None
    ) -> Mapping[str, Agent | None]:
        """Agents by canonical GUID, from a recent reading; None for one that Command does not have.

        Args:
            until: time on the client's clock at which a request is abandoned; None for no limit.

        Raises:
            CommandError, SettingsError: Command can't be read, or could not be read for another fleet a moment ago.
        """
        if not (wanted := list(wanted)):
            return {}
        if deadline is None and until is not None:
            deadline = self._connected()[0].deadline(until)
        return self._read(lambda roster: roster.look(wanted, deadline=deadline))

    def agents_now(self, wanted: Iterable[str], within: float) -> Mapping[str, Agent | None]:
        """The current agents, for callers that poll; tries Command even if it was unreachable a moment ago.

        Args:
            within: seconds that one request may take with its retries, unless the `timeout` setting is shorter.

        Raises:
            CommandError, SettingsError: Command can't be read, or has rejected the credentials in this process.
        """
        client, _, _ = self._connected()
        deadline = client.deadline(client.clock() + within)
        agents = self._read(lambda roster: roster.look_again(wanted, deadline=deadline), also_after=Unreachable)
        self._outage.passed()
        return agents

    def glance(self, wanted: Iterable[str]) -> Mapping[str, Agent | None]:
        """Agents for a preview, read without retries; empty during an outage, or when the time is used up.

        All glances of a process share GLANCE_SECONDS, and none is made after one that failed.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        client, roster, _ = self._connected()
        began = client.clock()
        if self._glances_left <= 0 or self._outage.standing(began) is not None:
            return {}
        try:
            return roster.look(wanted, deadline=client.deadline(began + self._glances_left, retries=False))
        except CommandError as error:
            self._glances_left = 0
            # A timeout of a glance is too short to count as an outage.
            if isinstance(error, Unauthorized):
                self._outage.note(error, began)
            raise
        finally:
            self._glances_left -= client.clock() - began

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists, from a recent reading.

        Raises:
            CommandError, SettingsError: Command can't be read, or its list is incomplete.
        """
        return self._read(lambda roster: roster.everyone_lately())

    def request(self, members: Sequence[str], status: ReenrollmentStatus, *, until: float | None = None) -> "Requests":
        """Requests a status for members, unless there is an outage. These members are read again afterwards.

        Args:
            until: time on the client's clock after which nothing more is sent; None for no limit.

        Raises:
            SettingsError: the settings are wrong or missing.
        """
        from keyfactor_provider.command.asking import Requests

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

    def _connected(self) -> "tuple[CommandClient, Roster, Encodings]":
        if self._connection is None:
            settings = self.require_settings()
            from keyfactor_provider.command.asking import Encodings
            from keyfactor_provider.command.client import CommandClient
            from keyfactor_provider.command.roster import Roster

            client = (self._build or CommandClient)(settings)
            self._connection = client, Roster(client), Encodings(settings.status_encoding)
        return self._connection

    def _read(self, reading: "Callable[[Roster], Result]", also_after: type[CommandError] | None = None) -> Result:
        """Reads, unless there is an outage; keeps an error that the next call would get as well.

        Args:
            also_after: reads in spite of an outage of this kind.
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
