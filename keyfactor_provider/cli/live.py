"""Keyfactor Command as the command line reaches it: settings of the environment or a profile, reading alone."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from keyfactor_provider.cli.recorded import Fleet, observed
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.session import Session
from keyfactor_provider.command.settings import ENVIRONMENT, load
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.run import Operations
from keyfactor_provider.vocabulary import Vocabulary

Warn = Callable[[str], None]

VOCABULARY: Final = Vocabulary(
    preview="the command",
    up="the next run",
    config="the command line",
    settings={key: names[0] for key, names in ENVIRONMENT.items()},
)


def everyone(warn: Warn) -> Sequence[Agent]:
    """Every orchestrator that Command lists.

    Raises:
        SettingsError: the settings are wrong or missing.
        CommandError: Command can't be read.
    """
    session = Session(_connect, warn)
    try:
        return session.everyone()
    finally:
        session.close()


def look(fleets: Sequence[Fleet], warn: Warn) -> tuple[list[Fleet], dict[str, Agent]]:
    """The fleets as Command shows them now, judged by the core; nothing is requested or recorded.

    Returns:
        The fleets, and the agents that Command has of their members.

    Raises:
        SettingsError: the settings are wrong or missing.
        CommandError: Command can't be read.
    """
    operations = Operations(_connect, lambda _severity, message: warn(message), VOCABULARY)
    try:
        found: list[Fleet] = []
        agents: dict[str, Agent] = {}
        now = datetime.now(UTC)
        for fleet in fleets:
            if fleet.record is None:
                found.append(fleet)
                continue
            state, _ = operations.read(fleet.record.to_state())
            seen = {member_id: operations.agent(member_id) for member_id in fleet.members}
            agents |= {member_id: agent for member_id, agent in seen.items() if agent is not None}
            found.append(observed(fleet, state, _facts(fleet, state["members"], seen, now)))
        return found, agents
    finally:
        operations.close()


def _connect() -> CommandClient:
    return CommandClient(load(lambda _key: None, os.environ, vocabulary=VOCABULARY))


def _facts(
    fleet: Fleet, judged: Mapping[str, Any], agents: Mapping[str, Agent | None], now: datetime
) -> dict[str, dict[str, Any]]:
    """What the look tells of each member besides its phase: use, and whether it is overdue or gone."""
    facts: dict[str, dict[str, Any]] = {}
    for member_id, member in fleet.members.items():
        agent = agents[member_id]
        reenrolled = judged[member_id]["phase"] == "re-enrolled"
        in_use = member.in_use or (reenrolled and agent is not None and _in_use(agent))
        gone = reenrolled and agent is None
        limit = fleet.overdue_seconds
        late = (
            limit is not None
            and member.requested_at is not None
            and (now - member.requested_at).total_seconds() > limit
            and not (reenrolled and (in_use or gone))
        )
        facts[member_id] = {"in_use": in_use, "gone": gone, "overdue": late}
        if reenrolled and member.phase != "re-enrolled":
            facts[member_id]["reenrolled_at"] = now
    return facts


def _in_use(agent: Agent) -> bool:
    """Whether the new certificate was presented; where Command does not tell, its issue counts."""
    if agent.last_thumbprint_used is None:
        return True
    return agent.last_thumbprint_used == agent.thumbprint and agent.legacy_thumbprint is None
