"""`status --live` against the Command stand-in: it judges the members again, and requests nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.cli.conftest import Cli
from tests.cli.states import fleet, guid, pulumi_export
from tests.support.clients import Lab


@pytest.fixture(scope="module")
def _standin() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        yield command


@pytest.fixture
def command(_standin: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A Command with six orchestrators, with its settings in the environment."""
    _standin.faults(faults=[], refused=[])
    _standin.world(remove=_standin.ids())
    _standin.world(populate=6)
    for name, value in _standin.environment().items():
        monkeypatch.setenv(name, value)
    return _standin


@pytest.fixture
def state(command: Command) -> dict[str, Any]:
    """The recorded state of all six orchestrators after a first run in which the last was rejected."""
    lab = Lab(command)
    command.faults(refused=[sorted(command.ids())[5]])
    fleet = lab.fleet()
    fleet.up(command.ids())
    lab.client.close()
    command.faults(refused=[])
    command.forget()
    return requested(fleet.state, timedelta(hours=1))


def requested(state: dict[str, Any], ago: timedelta, **options: Any) -> dict[str, Any]:
    """The same record with all members requested at one time."""
    time = (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {
        key: {name: value for name, value in member.items() if name != "accepted_at"} | {"requested_at": time}
        for key, member in state["members"].items()
    }
    return {**state, "members": members, **options}


def live(cli: Cli, state: dict[str, Any], *options: str) -> Any:
    ran = cli("status", "-", "--live", "--json", *options, stdin=pulumi_export(edge=state))
    assert ran.code == 0, ran.err
    [edge] = json.loads(ran.out)["fleets"]
    return edge


def test_changes_since_the_last_run_are_judged_and_nothing_is_requested(
    cli: Cli, command: Command, state: dict[str, Any]
) -> None:
    ids = sorted(command.ids())
    command.world(reenroll=[ids[0]], change={ids[1]: {"flag": 0}, ids[2]: {"flag": 2}}, remove=[ids[3]])
    edge = live(cli, state)
    assert {one["id"]: one["kind"] for one in edge["stragglers"]} == {
        ids[1]: "drift",
        ids[2]: "drift",
        ids[3]: "failed",
        ids[4]: "waiting",
        ids[5]: "failed",
    }
    assert (edge["counts"]["re_enrolled"], edge["counts"]["in_use"]) == (1, 1)
    assert command.posts() == []
    assert {entry["method"] for entry in command.journal()} == {"GET"}


def test_a_straggler_has_the_details_that_command_shows(cli: Cli, command: Command, state: dict[str, Any]) -> None:
    late = sorted(command.ids())[0]
    shown = {"last_error_code": 12, "last_error_message": "The CA\r\n::error::is away", "version": "3.1.4"}
    command.world(change={late: {**shown, "last_seen": "2026-11-20T08:00:00Z"}})
    [one] = [one for one in live(cli, state)["stragglers"] if one["id"] == late]
    assert one["version"] == "3.1.4"
    assert one["last_seen"] == "2026-11-20T08:00:00Z"
    assert "The CA" in one["last_error"]
    assert "12" in one["last_error"]
    assert "\n" not in one["last_error"]


@pytest.mark.parametrize(("options", "overdue"), [({"overdue_after": 86400}, 4), ({"waves": ["3"]}, 0), ({}, 0)])
def test_overdue_is_judged_by_the_clock(
    cli: Cli, command: Command, state: dict[str, Any], options: dict[str, Any], overdue: int
) -> None:
    command.world(reenroll=sorted(command.ids())[:2])
    recorded = requested(state, timedelta(days=2), **options)
    assert live(cli, recorded)["counts"]["overdue"] == overdue


def test_members_of_a_roll_out_are_overdue_after_seven_days_by_default(
    cli: Cli, command: Command, state: dict[str, Any]
) -> None:
    recorded = requested(state, timedelta(days=8), waves=["3"])
    assert live(cli, recorded)["counts"]["overdue"] == len(command.ids())


def test_a_new_certificate_that_is_not_used_yet_is_not_done(cli: Cli, command: Command, state: dict[str, Any]) -> None:
    first = sorted(command.ids())[0]
    command.world(change={first: {"thumbprint": "AB" * 20, "last_thumbprint_used": "CD" * 20, "flag": 0}})
    edge = live(cli, state)
    assert (edge["counts"]["re_enrolled"], edge["counts"]["in_use"]) == (1, 0)
    assert first in {one["id"] for one in edge["stragglers"]}


@pytest.mark.parametrize(
    ("change", "reasons", "code"),
    [
        ({}, "drift", 0),
        ({}, "failed,drift", 3),
        ({"flag": 0}, "drift", 5),
        ({"flag": 2}, "drift", 5),
        ({"flag": 0}, "overdue", 0),
    ],
)
def test_drift_and_failure_have_exit_codes(
    cli: Cli, command: Command, state: dict[str, Any], change: dict[str, Any], reasons: str, code: int
) -> None:
    if change:
        command.world(change={sorted(command.ids())[0]: change})
    ran = cli("status", "-", "--live", "--fail-on", reasons, stdin=pulumi_export(edge=state))
    assert ran.code == code


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"act": "status", "status": 503}, 6),
        ({"act": "drop"}, 6),
        ({"act": "status", "status": 401}, 1),
        ({"act": "status", "status": 403}, 1),
    ],
)
def test_an_outage_is_neither_drift_nor_a_rejection(
    cli: Cli,
    command: Command,
    state: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    code: int,
) -> None:
    monkeypatch.setenv("KEYFACTOR_CLIENT_TIMEOUT", "1")
    command.faults(faults=[{"on": "GET", **fault}])
    ran = cli("status", "-", "--live", "--fail-on", "failed,overdue,drift", stdin=pulumi_export(edge=state))
    assert (ran.code, ran.out) == (code, "")


def test_status_live_fails_without_settings(cli: Cli) -> None:
    ran = cli("status", "-", "--live", stdin=pulumi_export(edge=fleet({guid(1): {"phase": "pending"}})))
    assert ran.code == 1
    assert "KEYFACTOR_HOSTNAME" in ran.err


def test_a_stack_without_fleets_needs_no_settings(cli: Cli) -> None:
    assert cli("status", "-", "--live", "--fail-on", "drift", stdin=pulumi_export()).code == 0
