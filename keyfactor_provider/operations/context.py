"""What the fleets of one process share: the session with Command, the claims of the run, and the message output."""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from keyfactor_provider.command.session import BuildClient, Session
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Message, Tell
from keyfactor_provider.reenrollment.claims import Claims
from keyfactor_provider.reenrollment.life import Moment, Observation, moment
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.text import count, listed, safe
from keyfactor_provider.vocabulary import Vocabulary


class Context:
    """The state that one process shares between its fleets, for one Command server.

    Fleets observe, decide and post under one lock, so that none clears a flag while another adopts it, and so that they
    share observations and outages.

    Args:
        settings: loads the settings on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        vocabulary: the engine's terms for messages; Pulumi's if None.
        now: the time; None to use Command's clock, as its responses report it.
        build: replaces the client in tests.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        tell: Tell,
        vocabulary: Vocabulary | None = None,
        now: Callable[[], datetime] | None = None,
        build: BuildClient | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.vocabulary = vocabulary or Vocabulary()
        self.claims = Claims()
        self.tell = tell
        self.session = Session(settings, self._tell_of_settings, build)
        self._now = now or self.session.now
        self._told: set[Message] = set()

    def moment(self, overdue_after: int | None = None) -> Moment:
        """The current time, for judging observations.

        Args:
            overdue_after: seconds after which a request is overdue; None for never.
        """
        return moment(self._now(), overdue_after)

    def tell_once(self, message: Message) -> None:
        """Shows a message unless the process has shown the same one before."""
        if message not in self._told:
            self._told.add(message)
            self.tell(message)

    def tell_warnings(self, record: Record, warnings: Iterable[tuple[str, str]], before: Record | None = None) -> None:
        """Shows warnings about members, grouped by their text."""
        groups: dict[str, list[str]] = {}
        for member_id, warning in warnings:
            groups.setdefault(warning, []).append(member_id)
        for warning, ids in groups.items():
            names = [(record if guid in record.members or before is None else before).name(guid) for guid in ids]
            self.tell(
                Message(record.fleet, "warning", "member", count(len(ids)), f"{listed(names)}: {warning}.", tuple(ids))
            )

    def _tell_of_settings(self, warning: str) -> None:
        self.tell_once(Message("", "warning", "settings", warning.rstrip(".")))


def observations(agents: Mapping[str, Agent | None]) -> dict[str, Observation | None]:
    """Agents as observations, for `reenrollment`."""
    return {agent_id: observation_of(agent) for agent_id, agent in agents.items()}


def observation_of(agent: Agent | None) -> Observation | None:
    """An agent as an observation, for `reenrollment`.

    Engines print the recorded state, so text that an orchestrator controls is made safe here.
    """
    if agent is None:
        return None
    return Observation(
        flag=safe(agent.flag),
        thumbprint=agent.thumbprint,
        machine=safe(agent.machine),
        last_used=agent.last_thumbprint_used,
        legacy=agent.legacy_thumbprint,
    )
