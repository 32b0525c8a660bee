"""keyfactorcommand_orchestrator_reenrollment over the plugin's protocol."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, GHOST, UNKNOWN, Plugin, PluginError, Resource, plugin, time_passes


def test_another_spelling_of_the_same_value_is_not_a_change(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested", triggers={})
    for spelling in (
        {"orchestrator_ids": [f"{{{member.upper()}}}" for member in ids], "status": "1"},
        {"orchestrator_ids": ids[::-1], "status": "requested"},
    ):
        assert not fleet.plan(started, **spelling, triggers={}).changes


def test_rejected_members_are_a_warning_on_creation_and_only_they_are_retried(
    command: Command, started: Plugin
) -> None:
    ids, fleet = command.ids()[:5], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    command.faults(refused=ids[:2])
    fleet.up(started, **desired)
    assert {diagnostic.severity for diagnostic in fleet.said} == {"warning"}
    assert "2 of 5 orchestrators failed" in fleet.heard()
    assert ids[0] in fleet.heard()
    assert "postcondition" in fleet.heard()
    assert fleet.state is not None
    assert fleet.state["failed_orchestrator_ids"] == ids[:2]
    assert fleet.state["failure"] == "2 of 5 orchestrators failed"
    command.faults(refused=[])
    plan = fleet.up(started, **desired)
    (warning,) = plan.said
    assert warning.severity == "warning"
    assert ids[0] in str(warning)
    assert ids[1] in str(warning)
    assert plan.state is not None
    assert plan.state["failed_orchestrator_ids"] == UNKNOWN
    assert plan.state["failure"] == UNKNOWN
    assert plan.state["members"][ids[0]]["phase"] == UNKNOWN
    assert plan.state["members"][ids[2]] == plan.prior["members"][ids[2]]  # type: ignore[index]
    assert fleet.state["pending_orchestrator_ids"] == ids
    assert fleet.state["failure"] == ""
    assert command.posts() == [(1, tuple(ids)), (1, tuple(ids[:2]))]
    assert not fleet.plan(started, **desired).changes


def test_members_that_fail_in_an_update_are_an_error_and_the_state_is_kept(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:4], Resource()
    fleet.up(started, orchestrator_ids=ids[:3], status="Requested")
    command.faults(refused=ids[3:])
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    (error,) = [diagnostic for diagnostic in fleet.said if diagnostic.severity == "error"]
    assert "1 of 4 orchestrators failed" in error.summary
    assert fleet.phases() == dict.fromkeys(ids[:3], "pending") | {ids[3]: "rejected"}


@pytest.mark.parametrize("first", ["creation", "update"])
def test_with_on_failure_warn_failed_members_are_a_warning(command: Command, started: Plugin, first: str) -> None:
    ids, fleet = command.ids()[:3], Resource()
    if first == "update":
        fleet.up(started, orchestrator_ids=ids[:2], status="Requested", on_failure="warn")
    command.faults(refused=ids[1:])
    fleet.up(started, orchestrator_ids=ids, status="Requested", on_failure="warn")
    assert {diagnostic.severity for diagnostic in fleet.said} == {"warning"}
    assert "postcondition" not in fleet.heard()
    assert fleet.phases()[ids[2]] == "rejected"


def test_a_member_that_changes_after_the_plan_does_not_contradict_it(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:5], Resource()
    fleet.up(started, orchestrator_ids=ids[:4], status="Requested")
    time_passes(command)
    plan = fleet.plan(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=[ids[0]], change={ids[1]: {"flag": 0}})
    with plugin(command.environment()) as another:
        again = another.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"})
        again.state, again.private = plan.state, plan.private
        fleet.state = another.apply(again)
    assert command.posts()[1:] == [(1, (ids[1], ids[4]))]
    with plugin(command.environment()) as later:
        fleet.refresh(later)
    assert fleet.phases() == {ids[0]: "re-enrolled"} | dict.fromkeys(ids[1:], "pending")


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("None", {"act": "reset"}),
        ("Requested", {"act": "status", "status": 400}),
        ("Requested", {"act": "status", "status": 403}),
    ],
)
def test_a_creation_that_sent_a_call_keeps_its_state_even_if_no_member_was_reached(
    command: Command, status: str, fault: dict[str, Any]
) -> None:
    ids, fleet = command.ids()[:2], Resource()
    command.world(change={member: {"flag": 2} for member in ids})
    command.faults(faults=[{"on": "POST /Agents/Set", **fault}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "1"}) as started:
        fleet.up(started, orchestrator_ids=ids, status=status)
    assert fleet.phases() == dict.fromkeys(ids, "unreached")


def test_a_creation_with_one_pending_and_one_missing_member_keeps_its_state(command: Command, started: Plugin) -> None:
    one, fleet = command.ids()[0], Resource()
    command.world(change={one: {"flag": 1}})
    fleet.up(started, orchestrator_ids=[one, GHOST], status="Requested")
    assert fleet.phases() == {one: "pending", GHOST: "missing"}
    assert command.posts() == []


def test_a_creation_with_only_missing_members_keeps_its_state(started: Plugin) -> None:
    fleet = Resource()
    fleet.up(started, orchestrator_ids=[GHOST], status="Requested")
    assert fleet.phases() == {GHOST: "missing"}
    assert {diagnostic.severity for diagnostic in fleet.said} == {"warning"}


@pytest.mark.parametrize("act", [{"act": "status", "status": 503}, {"act": "reset"}])
def test_with_command_down_a_creation_is_an_error_without_state(command: Command, act: dict[str, Any]) -> None:
    ids, fleet = command.ids()[:6], Resource()
    command.faults(faults=[{"on": "", **act}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "1"}) as started:
        fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert fleet.state is None
    assert [diagnostic.severity for diagnostic in fleet.said] == ["error"]
    assert "nothing is recorded" in fleet.heard()
    assert command.posts() == []


def test_a_creation_whose_outcome_is_unknown_keeps_its_state(command: Command) -> None:
    ids, fleet = command.ids()[:3], Resource()
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "reset", "applied": True}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "2"}) as started:
        fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert set(fleet.phases()) == set(ids)


def test_if_command_cant_be_read_a_refresh_fails_and_an_update_keeps_every_phase(command: Command) -> None:
    ids, fleet = command.ids()[:3], Resource()
    with plugin(command.environment()) as started:
        fleet.up(started, orchestrator_ids=ids[:2], status="Requested")
    command.faults(denied=["/agents/management/read/"])
    with plugin(command.environment()) as started:
        before = fleet.state
        with pytest.raises(PluginError, match="403"):
            fleet.refresh(started)
        assert fleet.state == before
        plan = started.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"})
        with pytest.raises(PluginError, match="403") as caught:
            started.apply(plan)
        state = caught.value.state  # type: ignore[attr-defined]
    assert {each: member["phase"] for each, member in state["members"].items()} == {
        ids[0]: "pending",
        ids[1]: "pending",
        ids[2]: "due",
    }


def test_a_changed_flag_is_drift_that_names_its_orchestrator_but_a_reenrollment_is_not(
    command: Command, started: Plugin
) -> None:
    ids, fleet = command.ids()[:4], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    fleet.up(started, **desired)
    command.world(reenroll=ids[:2])
    with plugin(command.environment()) as later:
        assert not fleet.plan(later, **desired).changes
    time_passes(command)
    command.world(change={ids[2]: {"flag": 0}, ids[3]: {"flag": 2}})
    with plugin(command.environment()) as later:
        plan = fleet.plan(later, **desired)
        assert {diagnostic.severity for diagnostic in plan.said} == {"warning"}
        (cleared,) = [diagnostic for diagnostic in plan.said if ids[2] in diagnostic.detail]
        (changed,) = [diagnostic for diagnostic in plan.said if ids[3] in diagnostic.detail]
        assert "cleared" in cleared.summary
        assert "changed" in changed.summary
        assert "Required" in changed.detail
        assert fleet.state is not None
        assert [fleet.phases()[member] for member in ids[2:]] == ["cleared", "changed"]
        fleet.state = later.apply(plan)
    assert command.posts()[1:] == [(1, tuple(ids[2:]))]


def test_a_warning_of_the_plan_is_not_repeated_by_the_apply(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:2], Resource()
    command.faults(refused=ids[:1])
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    with plugin(command.environment()) as applying:
        assert applying.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"}).said == []


@pytest.mark.parametrize(("on_removal", "posts"), [(None, 1), ("unset", 1), ("retain", 0)])
def test_a_destruction_clears_the_flags_that_are_set(
    command: Command, started: Plugin, on_removal: str | None, posts: int
) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested", on_removal=on_removal)
    command.world(reenroll=[ids[0]])
    command.forget()
    with plugin(command.environment()) as later:
        fleet.destroy(later)
    assert fleet.state is None
    assert command.posts() == [(0, tuple(ids[1:]))] * posts


def test_a_flag_that_cant_be_cleared_keeps_the_state_and_is_named(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.faults(refused=ids[:1])
    fleet.up(started, orchestrator_ids=ids[1:], status="Requested")
    assert ids[0] in fleet.heard()
    assert (fleet.state or {})["failure"]
    assert fleet.phases()[ids[0]] == "leaving"
    with pytest.raises(PluginError, match=ids[0]) as caught:
        fleet.destroy(started)
    assert caught.value.state == fleet.state  # type: ignore[attr-defined]
    command.faults(refused=[])
    fleet.up(started, orchestrator_ids=ids[1:], status="Requested")
    assert set(fleet.phases()) == set(ids[1:])
    assert command.flags()[ids[0]] == "None"


@pytest.mark.parametrize(
    ("flags", "status", "phases"),
    [
        ((0, 0, 0), "None", ["settled", "settled", "settled"]),
        ((1, 1, 1), "Requested", ["pending", "pending", "pending"]),
        ((0, 1, 1), "Requested", ["due", "pending", "pending"]),
        ((0, 1, 2), "Required", ["due", "due", "pending"]),
    ],
)
def test_an_import_adopts_orchestrators_in_their_current_state(
    command: Command, started: Plugin, flags: tuple[int, ...], status: str, phases: list[str]
) -> None:
    ids, fleet = command.ids()[:3], Resource()
    command.world(change={each: {"flag": flag} for each, flag in zip(ids, flags, strict=True)})
    fleet.state = started.take(FLEET, f"{ids[0].upper()}, {{{ids[1]}}},{ids[2]}")
    assert fleet.state["status"] == status
    assert fleet.state["orchestrator_ids"] == ids
    assert [fleet.phases()[member] for member in ids] == phases
    assert command.posts() == []
    changes = fleet.plan(started, orchestrator_ids=ids, status=status).changes
    assert changes == ("due" in phases)


@pytest.mark.parametrize(
    ("import_id", "says"),
    [
        ("edge-001,x", "'edge-001', 'x'"),
        ("", "''"),
        (GHOST, GHOST),
    ],
)
def test_an_import_of_an_unknown_orchestrator_is_refused(reader: Plugin, import_id: str, says: str) -> None:
    reader.configure()
    with pytest.raises(PluginError) as caught:
        reader.take(FLEET, import_id)
    assert says in str(caught.value)
