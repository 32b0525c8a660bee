"""Orchestrators that are renamed, replaced or moved between resources."""

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, Plugin, PluginError, Resource, plugin


def test_after_a_replacement_that_destroys_first_every_flag_is_set(command: Command, started: Plugin) -> None:
    ids, old = command.ids()[:3], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    old.up(started, **desired)
    with plugin(command.environment()) as planning:
        old.refresh(planning)
        first = planning.plan(FLEET, old.state, desired)
        second = planning.plan(FLEET, None, desired, private=first.private)
    with plugin(command.environment()) as applying:
        gone = second.__class__(FLEET, old.state, None, second.private, [])
        assert applying.apply(gone) is None
        new = applying.apply(applying.plan(FLEET, None, desired))
    assert new is not None
    assert new["pending_orchestrator_ids"] == ids
    assert {command.flags()[member] for member in ids} == {"Requested"}


@pytest.mark.parametrize("first", ["the new one", "the old one"])
def test_after_a_rename_without_a_moved_block_every_flag_is_set(command: Command, first: str) -> None:
    ids, old, new = command.ids()[:3], Resource(), Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    with plugin(command.environment()) as started:
        old.up(started, **desired)
    with plugin(command.environment()) as applying:
        if first == "the new one":
            new.up(applying, **desired)
            command.forget()
            old.destroy(applying)
            assert command.posts() == []
        else:
            old.destroy(applying)
            new.up(applying, **desired)
    assert {command.flags()[member] for member in ids} == {"Requested"}
    assert set(new.phases().values()) == {"pending"}


def test_a_claim_alone_does_not_keep_a_flag_from_being_cleared(command: Command, started: Plugin) -> None:
    """Because the step of the resource that claims the members may never come."""
    ids, old = command.ids()[:2], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    old.up(started, **desired)
    command.forget()
    with plugin(command.environment()) as planning:
        planning.plan(FLEET, None, desired)
        gone = planning.plan(FLEET, old.state, None)
    with plugin(command.environment()) as applying:
        applying.apply(gone)
    assert command.posts() == [(0, tuple(ids))]


def test_a_member_recorded_by_two_resources_is_pending_again_after_two_runs(command: Command, started: Plugin) -> None:
    """Such a state remains after an apply that failed halfway through a move."""
    ids, one, two = command.ids()[:3], Resource(), Resource()
    one.up(started, orchestrator_ids=ids[:2], status="Requested")
    with plugin(command.environment()) as moving:
        two.up(moving, orchestrator_ids=ids[1:], status="Requested")
    for _ in range(2):
        with plugin(command.environment()) as later:
            one.up(later, orchestrator_ids=ids[:1], status="Requested")
            two.up(later, orchestrator_ids=ids[1:], status="Requested")
    assert {command.flags()[member] for member in ids} == {"Requested"}
    assert two.phases() == dict.fromkeys(ids[1:], "pending")


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_a_member_moved_between_resources_ends_with_its_flag_set(
    command: Command, started: Plugin, order: tuple[str, str]
) -> None:
    ids, fleets = command.ids()[:4], {"one": Resource(), "two": Resource()}
    fleets["one"].up(started, orchestrator_ids=ids[:2], status="Requested")
    fleets["two"].up(started, orchestrator_ids=ids[2:], status="Requested")
    desired_of = {"one": ids[:1], "two": ids[1:]}
    with plugin(command.environment()) as later:
        for name in order:
            fleets[name].up(later, orchestrator_ids=desired_of[name], status="Requested")
    assert {command.flags()[member] for member in ids} == {"Requested"}
    assert fleets["two"].phases() == dict.fromkeys(ids[1:], "pending")


def test_one_orchestrator_in_two_resources_is_refused_by_the_plan(command: Command, started: Plugin) -> None:
    ids = command.ids()[:3]
    started.plan(FLEET, None, {"orchestrator_ids": ids[:2], "status": "Requested"})
    with pytest.raises(PluginError, match=ids[1]):
        started.plan(FLEET, None, {"orchestrator_ids": [ids[1].upper()], "status": "Requested"})
    assert started.said[0].path == "orchestrator_ids"


@pytest.mark.parametrize("destruction_first", [True, False])
def test_the_flag_of_a_member_that_two_resources_remove_is_cleared_by_one_of_them(
    command: Command, started: Plugin, destruction_first: bool
) -> None:
    ids, one, two = command.ids()[:2], Resource(), Resource()
    one.up(started, orchestrator_ids=ids, status="Requested")
    with plugin(command.environment()) as moving:
        two.up(moving, orchestrator_ids=ids[1:], status="Requested")
    command.forget()
    with plugin(command.environment()) as planning:
        one.refresh(planning)
        two.refresh(planning)
        desired_of = [(two.state, None), (one.state, {"orchestrator_ids": ids[:1], "status": "Requested"})]
        plans = [planning.plan(FLEET, *change) for change in (desired_of if destruction_first else desired_of[::-1])]
    with plugin(command.environment()) as applying:
        for plan in plans:
            applying.apply(plan)
    assert set(command.posts()) == {(0, (ids[1],))}
