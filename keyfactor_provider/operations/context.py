"""What all fleets of one process share: the session with Command, the claims of the run, and where messages go."""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.session import Session
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Message, Tell
from keyfactor_provider.reenrollment.claims import Claims
from keyfactor_provider.reenrollment.life import Moment, Observation, moment
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.text import count, listed, safe
from keyfactor_provider.vocabulary import Vocabulary


class Context:
    """One process's dealings with one Command server.

    Observing, deciding and posting happen under one lock, so that no clearing overtakes the adoption of the same flag
    by another fleet, and so that fleets share their observations and an outage.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        vocabulary: what messages call the things of the engine; Pulumi's when it is None.
        now: the time; Command's own, by its answers, when it is None.
    """

    def __init__(
        self,
        connect: Callable[[], CommandClient],
        tell: Tell,
        vocabulary: Vocabulary | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.vocabulary = vocabulary or Vocabulary()
        self.claims = Claims()
        self.tell = tell
        self.session = Session(connect, self._tell_of_settings)
        self._now = now or self.session.now
        self._told: set[Message] = set()

    def moment(self, overdue_after: int | None = None) -> Moment:
        """The present, as observations are judged by it.

        Args:
            overdue_after: seconds; None where nothing is ever overdue.
        """
        return moment(self._now(), overdue_after)

    def tell_once(self, message: Message) -> None:
        """Shows a message that says the same for every fleet of the process."""
        if message not in self._told:
            self._told.add(message)
            self.tell(message)

    def tell_warnings(self, record: Record, warnings: Iterable[tuple[str, str]], before: Record | None = None) -> None:
        """Shows what a user should know of members although nothing failed, those with the same text together."""
        groups: dict[str, list[str]] = {}
        for member_id, warning in warnings:
            groups.setdefault(warning, []).append(member_id)
        for warning, ids in groups.items():
            names = [(record if one in record.members or before is None else before).name(one) for one in ids]
            self.tell(
                Message(record.fleet, "warning", "member", count(len(ids)), f"{listed(names)}: {warning}.", tuple(ids))
            )

    def _tell_of_settings(self, warning: str) -> None:
        self.tell_once(Message("", "warning", "settings", warning.rstrip(".")))


def observations(agents: Mapping[str, Agent | None]) -> dict[str, Observation | None]:
    """What readings show, as the decisions take it."""
    return {agent_id: observation_of(agent) for agent_id, agent in agents.items()}


def observation_of(agent: Agent | None) -> Observation | None:
    """What one reading shows, as the decisions take it.

    What an orchestrator may have chosen itself is recorded in the state, which engines show: it is made safe here.
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
