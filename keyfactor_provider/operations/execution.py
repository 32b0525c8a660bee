"""A plan carried out: Command asked, and what became of each member recorded in the plan."""

from collections.abc import Callable, Sequence
from typing import Final

from keyfactor_provider.command.asking import Outcome
from keyfactor_provider.command.session import Session
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError
from keyfactor_provider.reenrollment import life
from keyfactor_provider.reenrollment.fleet import Plan
from keyfactor_provider.status import ReenrollmentStatus

_LOST: Final = "its call got no answer"


def carry_out(made: Plan, session: Session, before_taking_back: Callable[[], None]) -> CommandError | None:
    """Posts what a plan asks for, the most urgent status first, and records in it what became of each member.

    Args:
        before_taking_back: may change what the plan takes back.

    Returns:
        What went wrong between this project and Command, if anything did.

    Raises:
        SettingsError: the settings are wrong or missing.
    """
    trouble: CommandError | None = None
    for status in reversed(ReenrollmentStatus):
        wanted = [member_id for member_id, asked in made.asks.items() if asked is status]
        if status is life.NONE:
            before_taking_back()
            wanted += made.take_backs
        if not wanted:
            continue
        trouble = _request(made, session, sorted(wanted), status) or trouble
    return trouble


def observation_of(agent: Agent | None) -> life.Observation | None:
    """What a reading shows, as the decisions take it."""
    if agent is None:
        return None
    return life.Observation(
        flag=agent.flag,
        thumbprint=agent.thumbprint,
        machine=agent.machine,
        last_used=agent.last_thumbprint_used,
        legacy=agent.legacy_thumbprint,
    )


def _request(made: Plan, session: Session, wanted: Sequence[str], status: ReenrollmentStatus) -> CommandError | None:
    """Sends the requests for one status; what went wrong, where that is not over."""
    requests = session.request(wanted, status)
    trouble: CommandError | None = None
    unread: CommandError | None = None
    for outcome in requests:
        made.sent |= requests.sent
        _settle(made, outcome, status)
        trouble = outcome.error
        if outcome.open and outcome.error is not None and outcome.error.transient:
            try:
                requests.retry(_still_due(made, session, outcome))
                trouble = None
            except CommandError as error:
                unread = error
    return unread or trouble


def _still_due(made: Plan, session: Session, outcome: Outcome) -> list[str]:
    """Those members of a call whose outcome is open that still need it, by a new reading."""
    for member_id, agent in session.agents(outcome.open, deadline=outcome.deadline).items():
        if member_id not in made.take_backs:
            made.judge(member_id, observation_of(agent))
            continue
        made.members.pop(member_id)
        if not life.depart(made.take_backs[member_id], observation_of(agent)).take_back:
            del made.take_backs[member_id]
    return [member_id for member_id in outcome.open if member_id in made.asks or member_id in made.take_backs]


def _settle(made: Plan, outcome: Outcome, status: ReenrollmentStatus) -> None:
    for member_id in outcome.accepted:
        if member_id in made.members:
            made.members[member_id] = life.accepted(made.members[member_id], status)
    for member_id, reason in outcome.rejected.items():
        if member_id in made.members:
            made.members[member_id] = life.refused(made.members[member_id], reason)
        else:
            made.members[member_id] = life.leaving(made.take_backs[member_id], f"refused: {reason}")
    unreached = dict.fromkeys(outcome.unsent, False) | dict.fromkeys(outcome.open, True)
    for member_id, outcome_open in unreached.items():
        reason = _LOST if outcome_open else "its call failed or was not sent"
        if member_id in made.members:
            made.members[member_id] = life.unreached(made.members[member_id], reason, outcome_open=outcome_open)
        else:
            made.members[member_id] = life.leaving(made.take_backs[member_id], reason)
