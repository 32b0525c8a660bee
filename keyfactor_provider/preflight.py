"""What Command would have against a wish, seen before anything is asked; warnings, never a refusal."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.reenrollment.report import count, listed, title
from keyfactor_provider.reenrollment.wish import Wish
from keyfactor_provider.status import ReenrollmentStatus

APPROVED: Final = 2
"""An agent's Status (Keyfactor API: GET Agents)."""
SILENT_AFTER: Final = timedelta(days=7)


def concerns(
    wish: Wish,
    old_inputs: Mapping[str, Any],
    agents: Mapping[str, Agent | None],
    now: datetime | None = None,
) -> list[str]:
    """One warning for each thing that may go wrong, naming at most 20 orchestrators.

    Args:
        old_inputs: the inputs of the last run; members that were Required then are not warned about again.
        agents: what Command shows of the members; None for one it does not have.
    """
    unknown = [member_id for member_id in sorted(wish.members) if agents[member_id] is None]
    known = [agent for member_id in sorted(wish.members) if (agent := agents[member_id])]
    unapproved = [_name(agent) for agent in known if agent.status != APPROVED]
    warnings = []
    if unknown:
        warnings.append(f"{count(len(unknown))} unknown to Command will fail: {listed(unknown)}")
    if unapproved:
        warnings.append(f"{count(len(unapproved))} not approved in Command may be refused: {listed(unapproved)}")
    if wish.status is ReenrollmentStatus.REQUIRED:
        newly = _newly_required(wish, old_inputs)
        at_risk = [f"{_name(agent)}: {risk}" for agent in known if agent.id in newly and (risk := _risk(agent, now))]
        if at_risk:
            warnings.append(
                f"Required may block {count(len(at_risk))} until somebody acts "
                f"(no work before a new certificate): {listed(at_risk)}"
            )
    return [f"{title(wish.fleet)}{warning}." for warning in warnings]


def _newly_required(wish: Wish, old_inputs: Mapping[str, Any]) -> frozenset[str]:
    if dict(old_inputs.get("triggers") or {}) != dict(wish.triggers):
        return wish.members
    before = old_inputs.get("orchestrators") or {}
    return frozenset(member for member in wish.members if before.get(member) != wish.status.value)


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
    if at is None or (now or datetime.now(timezone.utc)) - at > SILENT_AFTER:
        risks.append(f"not seen since {agent.last_seen}" if at else "never seen")
    return " and ".join(risks)


def _name(agent: Agent) -> str:
    return f"{agent.machine} ({agent.id})" if agent.machine else agent.id
