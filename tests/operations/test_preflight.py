"""The warnings of a preview, about members whose re-enrollment will be requested."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.preflight import concerns
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
NOW = datetime(2026, 1, 10, tzinfo=UTC)
IDS = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(30)]
NATIVE, UNIVERSAL = 5, 1


def agent(agent_id: str = IDS[0], **more: Any) -> Agent:
    """An orchestrator without any of the problems, except those set by `more`."""
    well: dict[str, Any] = {
        "status": 2,
        "thumbprint": "AA",
        "last_thumbprint_used": "AA",
        "last_seen": "2026-01-09T00:00:00Z",
        "platform": NATIVE,
        "version": "2.15.2.0",
    }
    return Agent(agent_id, **({"machine": "edge-000"} | well | more))


def warnings(*agents: Agent | None, status: ReenrollmentStatus = REQUIRED, requested: int = 30) -> list[Message]:
    shown = dict(zip(IDS, agents, strict=False))
    desired = Desired("edge", frozenset(shown), status, {})
    return concerns(desired, list(shown)[:requested], shown, NOW)


def kinds(*agents: Agent | None, status: ReenrollmentStatus) -> list[str]:
    return [message.kind for message in warnings(*agents, status=status)]


@pytest.mark.parametrize("status", ReenrollmentStatus)
def test_nothing_speaks_against_a_healthy_orchestrator(status: ReenrollmentStatus) -> None:
    assert warnings(agent(), status=status) == []


@pytest.mark.parametrize(
    ("more", "risk"),
    [
        ({"thumbprint": None}, "no certificate"),
        ({"last_thumbprint_used": None}, "certificate never used"),
        ({"last_thumbprint_used": "BB"}, "last used another certificate"),
        ({"last_error_code": 7}, "last error 7"),
        ({"last_seen": "2026-01-01T00:00:00Z"}, "last seen 2026-01-01"),
        ({"last_seen": ""}, "never seen"),
        ({"last_seen": "\x1b[31m::error::"}, "never seen"),
        ({"thumbprint": None, "last_error_code": 7}, "no certificate, last error 7"),
    ],
)
def test_required_warns_of_members_that_it_may_block_and_requested_does_not(more: dict[str, Any], risk: str) -> None:
    message = warnings(agent(**more))[-1]
    assert (message.kind, message.members) == ("required-may-block", (IDS[0],))
    assert f"edge-000 ({IDS[0]}): {risk}." in message.detail
    assert "required-may-block" not in kinds(agent(**more), status=REQUESTED)


@pytest.mark.parametrize("status", [REQUESTED, REQUIRED])
def test_an_orchestrator_without_a_client_certificate_would_be_pending_for_ever(status: ReenrollmentStatus) -> None:
    message = warnings(agent(thumbprint=None), agent(IDS[1]), status=status)[0]
    assert (message.kind, message.members) == ("no-certificate", (IDS[0],))
    assert f"edge-000 ({IDS[0]})" in message.detail


@pytest.mark.parametrize(
    ("platform", "version", "is_old"),
    [
        (NATIVE, "2.8.7.0", True),
        (NATIVE, "2.15.1", True),
        (NATIVE, "2.15", True),
        (NATIVE, "1.99.99", True),
        (NATIVE, "2.15.2", False),
        (NATIVE, "2.15.2-beta", False),
        (NATIVE, "2.16.0.0", False),
        (NATIVE, "10.0.0", False),
        (NATIVE, "", False),
        (NATIVE, "unknown", False),
        (UNIVERSAL, "2.8.7.0", False),
        (6, "2.8.7.0", False),
    ],
)
def test_a_c_agent_that_ignores_requested_is_named(platform: int, version: str, is_old: bool) -> None:
    old = agent(platform=platform, version=version)
    messages = warnings(old, agent(IDS[1]), status=REQUESTED)
    assert [(message.kind, message.members) for message in messages] == [("old-agent", (IDS[0],))] * is_old
    assert kinds(old, status=REQUIRED) == []


def test_seven_days_without_a_sign_are_no_risk_yet() -> None:
    assert warnings(agent(last_seen="2026-01-03T00:00:00Z")) == []


@pytest.mark.parametrize(("status", "name"), [(1, "New"), (3, "Disapproved"), (4, "status 4"), (0, "status 0")])
def test_members_that_are_not_approved_may_be_rejected(status: int, name: str) -> None:
    (message,) = warnings(agent(status=status), status=REQUESTED)
    assert (message.kind, message.members) == ("not-approved", (IDS[0],))
    assert f"edge-000 ({IDS[0]}): {name}." in message.detail


def test_members_not_found_in_command_will_fail() -> None:
    (message,) = warnings(agent(), None, status=REQUESTED)
    assert (message.kind, message.members, message.summary) == (
        "not-found",
        (IDS[1],),
        "1 orchestrator not found in Command",
    )


def test_members_that_are_not_requested_are_not_warned_about() -> None:
    assert warnings(agent(thumbprint=None), None, agent(IDS[2], status=1), requested=0) == []


def test_members_that_were_not_looked_at_are_not_warned_about() -> None:
    assert concerns(Desired("edge", frozenset(IDS), REQUIRED, {}), IDS, {}) == []


@pytest.mark.parametrize("number", [1, 30])
@pytest.mark.parametrize("status", [REQUESTED, REQUIRED])
def test_every_message_is_a_warning_on_the_fleet_that_names_at_most_twenty(
    status: ReenrollmentStatus, number: int
) -> None:
    bad = [agent(agent_id, status=1, thumbprint=None, version="1.0") for agent_id in IDS[:number]]
    messages = warnings(*bad, status=status) + warnings(*[None] * number, status=status)
    assert {message.kind for message in messages} == {
        *("not-found", "not-approved", "no-certificate"),
        "old-agent" if status is REQUESTED else "required-may-block",
    }
    for message in messages:
        assert (message.resource, message.severity, len(message.members)) == ("edge", "warning", number)
        assert len(message.summary) < 80
        assert str(number) in message.summary
        assert sum(agent_id in message.text() for agent_id in IDS) == min(number, 20)


def test_what_an_orchestrator_calls_itself_can_forge_nothing() -> None:
    forged = "\x1b[2J\n::error::x ##vso[task.complete]\u202e" + "x" * 500
    bad = agent(machine=forged, version="1.0\n::error::\x1b[0m", status=1, thumbprint=None)
    for message in warnings(bad, status=REQUESTED) + warnings(bad):
        assert message.text().isprintable()
        assert "::error::" not in message.text()
        assert "##vso[" not in message.text()
        assert len(message.text()) < 700
