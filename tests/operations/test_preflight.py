"""What a preview warns of: only of members that the run will ask, each risk by its name."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.preflight import concerns
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
NOW = datetime(2026, 1, 10, tzinfo=UTC)
IDS = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(30)]


def agent(agent_id: str = IDS[0], **more: Any) -> Agent:
    """An orchestrator that nothing speaks against, unless told otherwise."""
    well: dict[str, Any] = {
        "status": 2,
        "thumbprint": "AA",
        "last_thumbprint_used": "AA",
        "last_seen": "2026-01-09T00:00:00Z",
    }
    return Agent(agent_id, **({"machine": "edge-000"} | well | more))


def said(*agents: Agent | None, status: ReenrollmentStatus = REQUIRED, asked: int = 30) -> str:
    shown = dict(zip(IDS, agents, strict=False))
    desired = Desired("edge", frozenset(shown), status, {})
    return "\n".join(concerns(desired, list(shown)[:asked], shown, NOW))


def test_nothing_speaks_against_a_healthy_orchestrator() -> None:
    assert said(agent()) == ""


@pytest.mark.parametrize(
    ("more", "risk"),
    [
        ({"thumbprint": None}, "has no certificate"),
        ({"last_thumbprint_used": None}, "has not used its certificate"),
        ({"last_thumbprint_used": "BB"}, "last used another certificate"),
        ({"last_error_code": 7}, "last error 7"),
        ({"last_seen": "2026-01-01T00:00:00Z"}, "not seen since 2026-01-01T00:00:00Z"),
        ({"last_seen": ""}, "never seen"),
        ({"thumbprint": None, "last_error_code": 7}, "has no certificate and last error 7"),
    ],
)
def test_required_warns_of_whom_it_may_block_and_requested_of_nobody(more: dict[str, Any], risk: str) -> None:
    assert said(agent(**more)) == (
        'Fleet "edge": Required may block 1 orchestrator until somebody acts (no work before a new certificate): '
        f"edge-000 ({IDS[0]}): {risk}."
    )
    assert said(agent(**more), status=REQUESTED) == ""


def test_seven_days_without_a_sign_are_no_risk_yet() -> None:
    assert said(agent(last_seen="2026-01-03T00:00:00Z")) == ""


@pytest.mark.parametrize("status", [1, 3, 4, 0])
def test_whoever_is_not_approved_may_be_refused(status: int) -> None:
    assert said(agent(status=status), status=REQUESTED) == (
        f'Fleet "edge": 1 orchestrator not approved in Command may be refused: edge-000 ({IDS[0]}).'
    )


def test_whom_command_does_not_have_will_fail() -> None:
    assert (
        said(agent(), None, status=REQUESTED) == f'Fleet "edge": 1 orchestrator unknown to Command will fail: {IDS[1]}.'
    )


def test_members_that_are_not_asked_are_not_warned_about() -> None:
    assert said(agent(thumbprint=None), None, agent(IDS[2], status=1), asked=0) == ""


def test_at_most_twenty_are_named() -> None:
    text = said(*[agent(each, machine="", thumbprint=None) for each in IDS])
    assert "block 30 orchestrators" in text
    assert sum(each in text for each in IDS) == 20


def test_members_that_were_not_looked_at_are_not_warned_about() -> None:
    assert concerns(Desired("edge", frozenset(IDS), REQUIRED, {}), IDS, {}) == []
