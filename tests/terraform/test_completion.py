"""keyfactorcommand_reenrollment_completion over the plugin's protocol."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import COMPLETION, GHOST, UNKNOWN, Plugin, PluginError, Resource, plugin
from tests.support.processes import wait_until


def test_a_completion_times_out_and_is_created_once_all_have_reenrolled(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert fleet.state is not None
    done.up(started, members=fleet.state["members"], timeout=1)
    assert not done.state
    assert "2 of 2 orchestrators not complete" in done.heard()
    assert all(member in done.heard() for member in ids)
    command.world(reenroll=ids)
    done.up(started, members=fleet.state["members"], timeout=1)
    assert done.state is not None
    with plugin(command.environment()) as later:
        fleet.refresh(later)
        assert not done.plan(later, members=fleet.state["members"], timeout=1).changes
        assert done.plan(later, members=fleet.state["members"], timeout=2).changes


@pytest.mark.parametrize("timeout", [-1, 604_801])
def test_an_invalid_timeout_is_refused(reader: Plugin, timeout: float) -> None:
    (said,) = reader.validate(COMPLETION, members=UNKNOWN, timeout=timeout)
    assert (said.severity, said.path) == ("error", "timeout")
    assert f"{timeout} is not a time to wait" in str(said)


def test_a_changed_timeout_does_not_wait_again(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:1], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=ids)
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    command.forget()
    done.up(started, members=(fleet.state or {})["members"], timeout=2)
    assert (done.state or {})["timeout"] == 2
    assert command.journal() == []


def test_a_completion_names_members_that_count_although_none_was_requested(command: Command, started: Plugin) -> None:
    fleet, done = Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=command.ids()[:1], status="None")
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    assert done.state is not None
    assert [diagnostic.severity for diagnostic in done.said] == ["warning"]
    assert command.ids()[0] in done.heard()


def test_a_completion_with_an_unknown_member_is_planned(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:1], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=ids)
    members = (fleet.state or {})["members"]
    done.up(started, members=members, timeout=1)
    for unknown in (UNKNOWN, {ids[0]: UNKNOWN}, {ids[0]: {**members[ids[0]], "baseline_thumbprint": UNKNOWN}}):
        assert done.plan(started, members=unknown, timeout=1).changes


def test_a_completion_waits_again_for_a_new_round(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    fleet.up(started, **desired)
    command.world(reenroll=ids)
    with plugin(command.environment()) as later:
        fleet.refresh(later)
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        plan = fleet.up(later, **desired, triggers={"round": "2"})
        assert plan.state is not None
        # Terraform plans it with the unknown values in the plan of the fleet.
        assert done.plan(later, members=plan.state["members"], timeout=1).changes
        before = done.state
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        assert "2 of 2 orchestrators not complete" in done.heard()
        assert done.state == before
        command.world(reenroll=ids)
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        assert done.state != before


@pytest.mark.parametrize("ending", [Plugin.stop, lambda started: started.process.terminate()], ids=["stop", "SIGTERM"])
def test_many_waiting_completions_block_no_other_call_and_all_end_at_once(
    command: Command, ending: Callable[[Plugin], None]
) -> None:
    ids, fleet = command.ids()[:2], Resource()
    waits = [Resource(COMPLETION) for _ in range(100)]
    with plugin({**command.environment(), "TF_LOG": "info"}) as started, ThreadPoolExecutor(len(waits)) as pool:
        fleet.up(started, orchestrator_ids=ids, status="Requested")
        members = (fleet.state or {})["members"]
        futures = [pool.submit(wait.up, started, members=members, timeout=600) for wait in waits]
        wait_until(lambda: sum("waiting. 0 of 2" in line for line in started.log) == len(waits))
        fleet.refresh(started)
        assert not any(future.done() for future in futures)
        began = time.monotonic()
        ending(started)
        for future in futures:
            future.result(10)
        assert time.monotonic() - began < 5
    assert [wait.state for wait in waits] == [None] * len(waits)
    assert all("was interrupted" in wait.heard() for wait in waits)


def test_a_wait_can_be_stopped_while_command_is_slow(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.forget()
    command.faults(faults=[{"on": "GET", "act": "delay", "seconds": 8}])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(done.up, started, members=(fleet.state or {})["members"], timeout=600)
        wait_until(lambda: bool(command.journal()))
        began = time.monotonic()
        started.stop()
        waiting.result(10)
    assert time.monotonic() - began < 5
    assert done.state is None


def test_a_timeout_with_decimals_is_kept_as_written(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:1], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    members = (fleet.state or {})["members"]
    done.up(started, members=members, timeout="1.1")
    assert "after 1.1 s" in done.heard()
    command.world(reenroll=ids)
    done.up(started, members=members, timeout="1.1")
    assert (done.state or {})["timeout"] == "1.1"
    assert not done.plan(started, members=members, timeout="1.1").changes


def test_a_completion_is_destroyed_without_a_call_to_command(command: Command, started: Plugin) -> None:
    fleet, done = Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=command.ids()[:1], status="None")
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    command.forget()
    plan = started.plan(COMPLETION, done.state, None)
    assert started.apply(plan) is None
    assert command.journal() == []


def test_a_completion_cant_be_imported(reader: Plugin) -> None:
    with pytest.raises(PluginError, match="can't be imported"):
        reader.take(COMPLETION, GHOST)
