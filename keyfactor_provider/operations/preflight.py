"""Warnings, before anything is requested, about what may keep members from re-enrolling."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.lookup import PLATFORMS, STATUSES
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.text import count, listed, named, safe

SILENT_AFTER: Final = timedelta(days=7)
OBEYS_REQUESTED: Final = (2, 15, 2)
"""The first version of the C agent that acts on Requested (Keyfactor-CAgent: commits 726c979 and d872310)."""

_APPROVED: Final = 2
_C_AGENT: Final = PLATFORMS.index("Native")


def concerns(
    desired: Desired,
    requested: Iterable[str],
    agents: Mapping[str, Agent | None],
    now: datetime | None = None,
) -> list[Message]:
    """One warning for each kind of problem, naming at most 20 orchestrators.

    Args:
        requested: the members whose re-enrollment the run will request; the others are not checked.
        agents: the members as read from Command; None for one that it does not have.
        now: the time that "last seen" is measured to; None for the present.
    """
    shown = {member_id: agents[member_id] for member_id in sorted(requested) if member_id in agents}
    unknown = [member_id for member_id, agent in shown.items() if agent is None]
    known = [agent for agent in shown.values() if agent]
    required = desired.status is ReenrollmentStatus.REQUIRED
    unapproved = [agent for agent in known if agent.status != _APPROVED]
    bare = [agent for agent in known if agent.thumbprint is None]
    old = [] if required else [agent for agent in known if _ignores_requested(agent)]
    risks = {agent: risk for agent in known if (risk := _risk(agent, now))} if required else {}

    def warning(kind: str, summary: str, members: Sequence[str], detail: str) -> Message:
        return Message(desired.fleet, "warning", kind, summary, detail, tuple(members))

    messages = []
    if unknown:
        messages.append(
            warning(
                "not-found",
                f"{count(len(unknown))} not found in Command",
                unknown,
                f"A request for them will fail: {listed(unknown, rest='')}. Correct the GUIDs or remove these members.",
            )
        )
    if unapproved:
        names = [f"{_name(agent)}: {_status(agent)}" for agent in unapproved]
        messages.append(
            warning(
                "not-approved",
                f"{_are(unapproved)} not approved in Command",
                _ids(unapproved),
                f"Command may reject a request for them: {listed(names, rest='')}. Approve them first.",
            )
        )
    if bare:
        names = [_name(agent) for agent in bare]
        messages.append(
            warning(
                "no-certificate",
                f"{_have(bare)} no client certificate",
                _ids(bare),
                f"They would stay pending: {listed(names, rest='')}. Remove those that never get one "
                "(they sign in with OAuth or Basic); a look-up with with_certificate leaves them out.",
            )
        )
    if old:
        names = [f"{_name(agent)}: version {safe(agent.version)}" for agent in old]
        messages.append(
            warning(
                "old-agent",
                f"{count(len(old), 'C agent')} older than {'.'.join(map(str, OBEYS_REQUESTED))}",
                _ids(old),
                f"Such an agent ignores Requested and acts on Required only: {listed(names, rest='')}. "
                "Update them or use Required.",
            )
        )
    if risks:
        names = [f"{_name(agent)}: {risk}" for agent, risk in risks.items()]
        messages.append(
            warning(
                "required-may-block",
                f"Required may block {count(len(risks))}",
                _ids(risks),
                f"They do no work until they hold a new certificate: {listed(names, rest='')}. "
                "Check these first or use Requested.",
            )
        )
    return messages


def _ignores_requested(agent: Agent) -> bool:
    version = re.match(r"(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?", agent.version)
    return (
        agent.platform == _C_AGENT
        and version is not None
        and tuple(int(part or 0) for part in version.groups()) < OBEYS_REQUESTED
    )


def _risk(agent: Agent, now: datetime | None) -> str:
    """Why Required may block an orchestrator; empty if nothing indicates that."""
    risks = []
    if agent.thumbprint is None:
        risks.append("no certificate")
    elif agent.last_thumbprint_used is None:
        risks.append("certificate never used")
    elif agent.last_thumbprint_used != agent.thumbprint:
        risks.append("last used another certificate")
    if agent.last_error_code:
        risks.append(f"last error {agent.last_error_code}")
    at = agent.seen_at
    if at is None or (now or datetime.now(UTC)) - at > SILENT_AFTER:
        risks.append(f"last seen {at:%Y-%m-%d}" if at else "never seen")
    return ", ".join(risks)


def _status(agent: Agent) -> str:
    return STATUSES.get(agent.status, f"status {agent.status}")


def _name(agent: Agent) -> str:
    return named(agent.machine, agent.id)


def _ids(agents: Iterable[Agent]) -> list[str]:
    return [agent.id for agent in agents]


def _are(agents: Sequence[Agent]) -> str:
    return f"{count(len(agents))} {'is' if len(agents) == 1 else 'are'}"


def _have(agents: Sequence[Agent]) -> str:
    return f"{count(len(agents))} {'has' if len(agents) == 1 else 'have'}"
