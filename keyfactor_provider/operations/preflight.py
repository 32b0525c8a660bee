"""What Command would have against a desired, seen before anything is asked; warnings, never a refusal."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.report import count, listed, title
from keyfactor_provider.status import ReenrollmentStatus

APPROVED: Final = 2
"""An agent's Status (Keyfactor API: GET Agents)."""
SILENT_AFTER: Final = timedelta(days=7)


def concerns(
    desired: Desired,
    asked: Iterable[str],
    agents: Mapping[str, Agent | None],
    now: datetime | None = None,
) -> list[str]:
    """One warning for each thing that may go wrong, naming at most 20 orchestrators.

    Args:
        asked: the members that the run will ask; nothing can go wrong for the others.
        agents: what Command shows of them; None for one it does not have.
    """
    shown = {member_id: agents[member_id] for member_id in sorted(asked) if member_id in agents}
    unknown = [member_id for member_id, agent in shown.items() if agent is None]
    known = [agent for agent in shown.values() if agent]
    unapproved = [_name(agent) for agent in known if agent.status != APPROVED]
    warnings = []
    if unknown:
        warnings.append(f"{count(len(unknown))} unknown to Command will fail: {listed(unknown)}")
    if unapproved:
        warnings.append(f"{count(len(unapproved))} not approved in Command may be refused: {listed(unapproved)}")
    if desired.status is ReenrollmentStatus.REQUIRED:
        at_risk = [f"{_name(agent)}: {risk}" for agent in known if (risk := _risk(agent, now))]
        if at_risk:
            warnings.append(
                f"Required may block {count(len(at_risk))} until somebody acts "
                f"(no work before a new certificate): {listed(at_risk)}"
            )
    return [f"{title(desired.fleet)}{warning}." for warning in warnings]


def _risk(agent: Agent, now: datetime | None) -> str:
    """Why an orchestrator may not be able to enroll when it has to; empty when nothing speaks against it."""
    risks = []
    if agent.thumbprint is None:
        risks.append("has no certificate")
    elif agent.last_thumbprint_used is None:
        risks.append("has not used its certificate")
    elif agent.last_thumbprint_used != agent.thumbprint:
        risks.append("last used another certificate")
    if agent.last_error_code:
        risks.append(f"last error {agent.last_error_code}")
    at = agent.seen_at
    if at is None or (now or datetime.now(UTC)) - at > SILENT_AFTER:
        risks.append(f"not seen since {agent.last_seen}" if at else "never seen")
    return " and ".join(risks)


def _name(agent: Agent) -> str:
    return f"{agent.machine} ({agent.id})" if agent.machine else agent.id
