"""Carries out a plan: sends its requests, records each outcome, and decides whether to go on after a failure."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from keyfactor_provider.command.session import Session
from keyfactor_provider.errors import CommandError, ProviderError, SettingsError
from keyfactor_provider.operations.context import observation_of
from keyfactor_provider.reenrollment import life
from keyfactor_provider.reenrollment.fleet import Plan
from keyfactor_provider.reenrollment.life import Moment
from keyfactor_provider.status import ReenrollmentStatus

if TYPE_CHECKING:
    from keyfactor_provider.command.asking import Outcome

LOG: Final = logging.getLogger(__name__)

_LOST: Final = "its call got no answer"
_NOT_SENT: Final = "its call failed or was not sent"


def carry_out(plan: Plan, session: Session, at: Moment, until: float | None = None) -> ProviderError | None:
    """Posts what a plan requests, the most urgent status first, and records the outcome for each member in the plan.

    Args:
        until: time on the session's clock after which nothing more is sent; None for no limit.

    Returns:
        The error that stopped it, if any. Nothing is raised after the first POST: that would lose the state of the run.
    """
    trouble: ProviderError | None = None
    for status in reversed(ReenrollmentStatus):
        wanted = [member_id for member_id, requested in plan.requests.items() if requested is status]
        if status is life.NONE:
            wanted += plan.clears
        if not wanted:
            continue
        if trouble is not None:
            _not_reached(plan, wanted, _NOT_SENT, outcome_open=False)
            continue
        try:
            trouble = _post(plan, session, sorted(wanted), status, at, until)
        except Exception as error:
            LOG.debug("posting failed", exc_info=True)
            trouble = _defect(error)
            unrecorded = [member_id for member_id in wanted if member_id in plan.requests]
            _not_reached(plan, unrecorded, _LOST, outcome_open=True)
    return trouble


def _post(
    plan: Plan, session: Session, wanted: list[str], status: ReenrollmentStatus, at: Moment, until: float | None
) -> ProviderError | None:
    trouble: ProviderError | None = None
    requests = session.request(wanted, status, until=until)
    for outcome in requests:
        _record(plan, outcome, status, at)
        if outcome.error is None or not (outcome.open and outcome.error.transient):
            trouble = trouble or outcome.error
            continue
        # The call got no answer: read its members to see which of them still need the request.
        try:
            agents = session.agents(outcome.open, deadline=outcome.deadline)
        except (CommandError, SettingsError):
            # The members stay open; the next outcome is the last and has the error of the call.
            continue
        for member_id, agent in agents.items():
            if member_id not in plan.clears:
                plan.judge(member_id, observation_of(agent), at)
            elif not life.depart(plan.clears[member_id], observation_of(agent), at).clear:
                del plan.clears[member_id], plan.members[member_id]
        retried = [member_id for member_id in outcome.open if member_id in plan.requests or member_id in plan.clears]
        requests.retry(retried)
    return trouble


def _record(plan: Plan, outcome: "Outcome", status: ReenrollmentStatus, at: Moment) -> None:
    for member_id in outcome.accepted:
        if member_id in plan.clears:
            del plan.clears[member_id]
            plan.members.pop(member_id, None)
        else:
            plan.members[member_id] = life.accepted(plan.members[member_id], status, at)
            plan.requests.pop(member_id, None)
    for member_id, reason in outcome.rejected.items():
        if member_id in plan.clears:
            plan.members[member_id] = life.leaving(plan.clears[member_id], f"rejected by Command: {reason}")
        else:
            plan.members[member_id] = life.rejected(plan.members[member_id], reason)
            plan.requests.pop(member_id, None)
    _not_reached(plan, outcome.unsent, _NOT_SENT, outcome_open=False)
    _not_reached(plan, outcome.open, _LOST, outcome_open=True)


def _not_reached(plan: Plan, members: Iterable[str], reason: str, *, outcome_open: bool) -> None:
    for member_id in members:
        if member_id in plan.clears:
            plan.members[member_id] = life.leaving(plan.clears[member_id], reason)
        else:
            plan.members[member_id] = life.unreached(plan.members[member_id], reason, outcome_open=outcome_open)
            plan.requests.pop(member_id, None)


def _defect(error: Exception) -> ProviderError:
    return ProviderError(
        "The requests could not be completed",
        f"{type(error).__name__} in this project",
        "What was sent is recorded. Run again, and report this if it happens twice.",
    )
