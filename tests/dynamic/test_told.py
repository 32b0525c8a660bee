"""The messages about a fleet before, during and after a run, through the SDK's own provider host."""

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.lifecycle import UNKNOWN, Host, HostError, host

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
AFTER = {"run": {"preview": True, "after": ["wave-1"]}}


@pytest.fixture(scope="module")
def shared() -> Iterator[Command]:
    with running("--orchestrators", "6") as command:
        yield command


@pytest.fixture
def command(shared: Command) -> Iterator[Command]:
    """The shared Command, without flags and faults."""
    shared.calm()
    shared.world(change={member: {"flag": 0} for member in shared.ids()}, now="2031-03-01T06:00:00Z")
    yield shared
    shared.world(now=None)


def told(running_host: Host, act: Callable[[], Any]) -> list[str]:
    """The messages of the host while something is done."""
    before = len(running_host.engine.said)
    act()
    return running_host.engine.said[before:]


def machines(command: Command) -> dict[str, str]:
    return {agent["agent_id"]: agent["client_machine"] for agent in command.agents()}


# A preview has one line for every fleet.


def test_the_line_of_a_new_fleet_names_its_members_by_machine_and_guid(command: Command) -> None:
    ids, names = command.ids()[:3], machines(command)
    with host(command.environment()) as running_host:
        (line,) = told(
            running_host, lambda: running_host.check({"orchestrator_ids": ids, "status": "Requested"}, name="edge")
        )
    assert line.startswith("edge: ")
    assert "3 orchestrators" in line
    assert all(f"{names[member]} ({member})" in line for member in ids)


def test_the_line_of_a_new_fleet_with_unknown_members_names_their_source(command: Command) -> None:
    with host(command.environment()) as running_host:
        news = {"orchestrator_ids": UNKNOWN, "status": "Requested", **AFTER}
        (line,) = told(running_host, lambda: running_host.check(news))
    assert line.startswith("edge: orchestrator_ids ")
    assert "wave-1" in line


def test_the_line_of_a_fleet_with_unknown_members_names_the_flags_that_may_be_cleared(command: Command) -> None:
    ids, names = command.ids()[:3], machines(command)
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.world(reenroll=ids[:1])
        running_host.refresh()
        news = {"orchestrator_ids": [ids[1], UNKNOWN], "status": "Requested", **AFTER}
        inputs, _ = running_host.check(news)
        (line,) = told(running_host, lambda: running_host.diff(inputs))
    assert "wave-1" in line
    assert "up to 1" in line
    assert f"{names[ids[2]]} ({ids[2]})" in line
    assert [member in line for member in ids] == [False, False, True]


@pytest.mark.parametrize("more", [{"on_removal": "retain"}, {"orchestrator_ids": "all of them"}])
def test_nothing_may_be_cleared_if_flags_are_kept_or_the_members_are_known(
    command: Command, more: dict[str, Any]
) -> None:
    ids = command.ids()[:3]
    with host(command.environment()) as running_host:
        options = {key: value for key, value in more.items() if key != "orchestrator_ids"}
        running_host.up(orchestrator_ids=ids, status="Requested", **options)
        members = {"orchestrator_ids": ids, "status": UNKNOWN} if "orchestrator_ids" in more else {}
        news = {"orchestrator_ids": UNKNOWN, "status": "Requested", **options, **members, **AFTER}
        inputs, _ = running_host.check(news)
        (line,) = told(running_host, lambda: running_host.diff(inputs))
    assert "wave-1" in line
    assert "clear" not in line


def test_an_unchanged_fleet_has_its_line_and_costs_no_request(command: Command) -> None:
    ids = command.ids()[:3]
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.forget()
        inputs, _ = running_host.check({"orchestrator_ids": ids, "status": "Requested"})
        (line,) = told(running_host, lambda: running_host.diff(inputs))
        assert not running_host.diff(inputs)
    assert line.startswith("edge: ")
    assert "3 unchanged" in line
    assert command.journal() == []


WHOLE: dict[str, Any] = {
    "orchestrator_ids": [ONE],
    "status": "Requested",
    "triggers": {"ca": 2027},
    "waves": [5, "10%"],
    "canary_ids": [ONE.upper()],
    "max_failed": 2,
    "overdue_after": "2d",
    "paused": True,
}


@pytest.mark.parametrize("unknown", WHOLE)
@pytest.mark.parametrize("news", [WHOLE, {name: WHOLE[name] for name in ("orchestrator_ids", "status")}])
def test_an_unknown_value_shows_nothing_else_as_changed(shared: Command, unknown: str, news: dict[str, Any]) -> None:
    with host(shared.environment()) as running_host:
        known, _ = running_host.check(news)
        inputs, failures = running_host.check(news | {unknown: UNKNOWN})
    assert failures == []
    stored = {"orchestrator_ids": "orchestrators"}.get(unknown, unknown)
    assert inputs[stored] == UNKNOWN
    differing = {name for name in {*known, *inputs} if known.get(name) != inputs.get(name)}
    assert differing <= {stored, "orchestrators"}
    if unknown not in ("orchestrator_ids", "status"):
        assert differing == {stored}


# So do a refresh and the destruction of a fleet.


def test_a_refresh_reports_the_phases(command: Command) -> None:
    ids = command.ids()[:4]
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.world(reenroll=ids[:1])
        (line,) = told(running_host, running_host.refresh)
    assert line.startswith("edge: ")
    assert "3 pending" in line
    assert "1 re-enrolled" in line


def test_a_refresh_reports_drift_with_its_members(command: Command) -> None:
    ids, names = command.ids()[:4], machines(command)
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.world(now=(command.now() + timedelta(minutes=2)).isoformat())
        command.world(change={ids[0]: {"flag": 0}, ids[1]: {"flag": 2}})
        lines = told(running_host, running_host.refresh)
    cleared = next(line for line in lines if "1 flag cleared outside" in line)
    changed = next(line for line in lines if "1 flag changed outside" in line)
    assert f"{names[ids[0]]} ({ids[0]})" in cleared
    assert f"{names[ids[1]]} ({ids[1]})" in changed
    assert "Required" in changed
    assert not [line for line in lines if ids[2] in line or ids[3] in line]


def test_within_a_minute_of_a_request_a_flag_that_shows_as_cleared_is_no_drift(command: Command) -> None:
    ids = command.ids()[:2]
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.world(change={member: {"flag": 0} for member in ids})
        running_host.refresh()
        assert set(running_host.phases().values()) == {"pending"}
        state = running_host.outputs
    command.world(now=(command.now() + timedelta(minutes=2)).isoformat())
    with host(command.environment()) as running_host:
        running_host.outputs = state
        running_host.refresh()
        assert set(running_host.phases().values()) == {"cleared"}


def test_a_destruction_names_the_members_whose_flags_were_cleared(command: Command) -> None:
    ids, names = command.ids()[:3], machines(command)
    with host(command.environment()) as running_host:
        state = running_host.up(orchestrator_ids=ids, status="Requested")
    command.world(reenroll=ids[:1])
    with host(command.environment()) as running_host:
        running_host.outputs = state
        (line,) = told(running_host, running_host.destroy)
    assert "2 orchestrators" in line
    assert [f"{names[member]} ({member})" in line for member in ids] == [False, True, True]


# Every operation refuses a damaged state in one sentence.


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda state: state.pop(name)


def _with(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda state: state.update(values)


def _member(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda state: next(iter(state["members"].values())).update(values)


DAMAGES = {
    "no version": _without("version"),
    "a newer version": _with(version=3),
    "an invalid version": _with(version="two"),
    "no fleet": _without("fleet"),
    "no status": _without("status"),
    "no members": _without("members"),
    "an invalid status": _with(status="Wanted"),
    "a number as triggers": _with(triggers=7),
    "a list as members": _with(members=[ONE]),
    "a string as a member": _with(members={ONE: "pending"}),
    "an invalid GUID": _with(members={"edge-001": {"status": "Requested", "phase": "due"}}),
    "a GUID in another form": _with(members={ONE.upper(): {"status": "Requested", "phase": "due"}}),
    "an invalid option": _with(on_removal="keep"),
    "an invalid wave": _with(waves=["0%"]),
    "an invalid canary": _with(canary_ids=["edge-001"]),
    "an invalid phase": _member(phase="asked"),
    "an invalid status of a member": _member(status="Wanted"),
    "an invalid owned flag": _member(owned_flags=["Wanted"]),
    "unknown fields": _member(asked="Requested", wished=True),
    "a number as a time": _member(requested_at=7),
    "a string as a boolean": _member(overdue="yes"),
}


def test_a_damaged_state_is_refused_in_one_sentence_by_every_operation(command: Command) -> None:
    ids = command.ids()[:2]
    wrong = []
    with host(command.environment()) as running_host:
        whole = copy.deepcopy(running_host.up(orchestrator_ids=ids, status="Requested"))
        inputs, _ = running_host.check({"orchestrator_ids": ids, "status": "Requested"}, preview=False)
        command.forget()
        operations: dict[str, Callable[[], Any]] = {
            "diff": lambda: running_host.diff(inputs),
            "read": running_host.refresh,
            "update": lambda: running_host.update(inputs),
            "delete": running_host.destroy,
        }
        for what, damage in DAMAGES.items():
            for name, operation in operations.items():
                running_host.outputs = copy.deepcopy(whole)
                damage(running_host.outputs)
                try:
                    operation()
                except HostError as error:
                    last = str(error).strip().splitlines()[-1]
                    if "state of an orchestrator fleet can't be read" not in last:
                        wrong.append((what, name, last))
                else:
                    wrong.append((what, name, "accepted"))
        running_host.outputs = whole
        assert not running_host.diff(inputs)
    assert wrong == []
    assert command.journal() == []
