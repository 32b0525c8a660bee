"""Roll-outs over the plugin's protocol and in Terraform: healthy, halted and paused ones."""

from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.modules import FIRST_FOUND, Module
from tests.support.plugin import COMPLETION, GHOST, UNKNOWN, Plugin, Resource, plugin, time_passes

DAY = 24 * 3600


class Rollout:
    """A fleet that is rolled out run by run, each in a separate process as in Terraform."""

    def __init__(self, command: Command, ids: list[str], **arguments: Any) -> None:
        self.command, self.fleet = command, Resource()
        self.arguments = {"orchestrator_ids": ids, "status": "Requested", **arguments}

    def run(self, **arguments: Any) -> list[tuple[Any, tuple[str, ...]]]:
        """Applies some time after the last run; returns the posts."""
        self.arguments |= arguments
        time_passes(self.command)
        self.command.forget()
        with plugin(self.command.environment()) as started:
            self.fleet.up(started, **self.arguments)
        return self.command.posts()

    def planned(self) -> bool:
        """Whether a plan has changes now."""
        with plugin(self.command.environment()) as started:
            return self.fleet.plan(started, **self.arguments).changes

    @property
    def state(self) -> dict[str, Any]:
        """The recorded state."""
        assert self.fleet.state is not None
        return self.fleet.state

    def failed(self) -> bool:
        """Whether the last apply ended with an error."""
        return any(diagnostic.severity == "error" for diagnostic in self.fleet.said)


def test_a_wave_starts_once_the_one_before_is_finished(command: Command) -> None:
    ids = command.ids()[:6]
    rollout = Rollout(command, ids, waves=["1", "2", "100%"])
    assert rollout.run() == [(1, (ids[0],))]
    assert rollout.state["queued_orchestrator_ids"] == ids[1:]
    assert rollout.state["failure"] == ""
    assert not rollout.planned()
    command.world(reenroll=ids[:1])
    assert rollout.planned()
    assert rollout.run() == [(1, tuple(ids[1:3]))]
    command.world(reenroll=ids[1:2])
    assert not rollout.planned()
    command.world(reenroll=ids[2:3])
    assert rollout.run() == [(1, tuple(ids[3:]))]
    assert rollout.state["queued_orchestrator_ids"] == []


def test_other_members_are_requested_once_every_canary_is_good(command: Command) -> None:
    ids = command.ids()[:5]
    rollout = Rollout(command, ids, canary_ids=[ids[3].upper(), ids[4]])
    assert rollout.run() == [(1, tuple(ids[3:]))]
    command.world(reenroll=ids[3:4])
    assert not rollout.planned()
    command.world(reenroll=ids[4:])
    assert rollout.run() == [(1, tuple(ids[:3]))]


def test_over_budget_a_roll_out_halts_and_fails_until_it_is_fixed(command: Command) -> None:
    ids = command.ids()[:6]
    rollout = Rollout(command, ids, waves=["2"], max_failed="0")
    rollout.run()
    command.world(reenroll=ids[:1], remove=ids[1:2])
    assert rollout.planned()
    assert rollout.run() == []
    assert rollout.failed()
    assert rollout.state["failure"]
    assert rollout.state["failed_orchestrator_ids"] == [ids[1]]
    assert rollout.planned()
    assert rollout.run(max_failed="1") == [(1, tuple(ids[2:4]))]
    assert not rollout.failed()
    assert rollout.state["failure"] == ""


def test_an_overdue_member_halts_the_roll_out(command: Command) -> None:
    ids = command.ids()[:4]
    rollout = Rollout(command, ids, waves=["1"], overdue_after="2d")
    rollout.run()
    time_passes(command, DAY)
    assert not rollout.planned()
    time_passes(command, DAY + 1)
    assert rollout.planned()
    assert rollout.run() == []
    assert rollout.failed()
    assert rollout.state["overdue_orchestrator_ids"] == ids[:1]
    command.world(reenroll=ids[:1])
    assert rollout.run() == [(1, (ids[1],))]


def test_paused_no_member_is_requested_and_nothing_fails(command: Command) -> None:
    ids = command.ids()[:3]
    rollout = Rollout(command, ids, waves=["1"], paused=True)
    assert rollout.run() == []
    assert rollout.state["queued_orchestrator_ids"] == ids
    assert not rollout.planned()
    assert rollout.run(paused=False) == [(1, (ids[0],))]


@pytest.mark.parametrize("on_failure", ["error", "warn"])
def test_rejections_within_the_budget_do_not_fail_or_contradict_the_plan(command: Command, on_failure: str) -> None:
    ids = command.ids()[:4]
    rollout = Rollout(command, ids[:2], max_failed="2", on_failure=on_failure)
    rollout.run()
    command.faults(refused=ids[2:])
    rollout.run(orchestrator_ids=ids)
    assert not rollout.failed()
    assert rollout.state["failed_orchestrator_ids"] == ids[2:]
    assert rollout.state["failure"] == ""


def test_an_apply_requests_no_member_that_its_plan_did_not_name(command: Command) -> None:
    ids = command.ids()[:4]
    rollout = Rollout(command, ids, waves=["1", "1", "100%"])
    rollout.run()
    command.world(reenroll=ids[:1])
    with plugin(command.environment()) as planning:
        plan = rollout.fleet.plan(planning, **rollout.arguments)
    assert plan.state is not None
    assert plan.state["failure"] == UNKNOWN
    assert plan.state["members"][ids[1]]["phase"] == UNKNOWN
    assert plan.state["members"][ids[2]]["phase"] == "due"
    # The planned member re-enrolls before the apply, so the next wave could already start.
    command.world(change={ids[1]: {"flag": 1}}, reenroll=ids[1:2])
    command.forget()
    with plugin(command.environment()) as applying:
        applying.apply(plan)
    assert {member for _, members in command.posts() for member in members} <= {ids[1]}


def test_a_completion_of_queued_members_fails_at_once(command: Command) -> None:
    ids, done = command.ids()[:3], Resource(COMPLETION)
    rollout = Rollout(command, ids, waves=["1"])
    rollout.run()
    with plugin(command.environment()) as started:
        done.up(started, members=rollout.state["members"], timeout=600)
    assert not done.state
    assert "2 of 3 orchestrators" in done.heard()


def test_a_completion_tolerates_bad_members_within_its_budget(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=[*ids, GHOST], status="Requested")
    members = (fleet.state or {})["members"]
    command.world(reenroll=ids)
    done.up(started, members=members, timeout=0)
    assert GHOST in done.heard()
    before = done.state
    assert before is None
    done.up(started, members=members, timeout=0, max_failed="34%")
    assert done.state is not None
    assert [diagnostic.severity for diagnostic in done.said] == ["warning"]


@pytest.fixture
def module(command: Command, tmp_path: Path) -> Module:
    """A module for Terraform if it is installed, otherwise for OpenTofu."""
    if FIRST_FOUND is None:
        pytest.skip("neither terraform nor tofu on the PATH: nothing was run with them")
    return Module(FIRST_FOUND, tmp_path / "module", command)


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_the_exit_code_of_a_plan_shows_whether_the_roll_out_has_to_act(module: Module, command: Command) -> None:
    ids = command.ids()[:6]

    def declare(**more: Any) -> None:
        module.fleets(
            {"name": "edge", "orchestrator_ids": ids, "status": "Requested", "waves": ["1", "2"], **more},
        )

    def exit_code() -> int:
        return module.run("plan", "-detailed-exitcode").exit_code

    declare()
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[0],))])
    assert exit_code() == 0
    declare(paused=True)
    assert module.run("apply").posts == []
    command.world(reenroll=ids[:1])
    assert exit_code() == 0
    declare()
    command.faults(refused=ids[1:2])
    assert exit_code() == 2
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[1:3]))])
    assert ran.says("Error: 1 of 6 orchestrators failed", ids[1])
    assert module.tainted() == []
    ran = module.run("plan", "-detailed-exitcode")
    assert ran.exit_code == 2
    assert "postcondition failed" not in ran.text
    ran = module.run("apply", "-refresh-only")
    assert (ran.exit_code, ran.posts) == (0, [])
    declare(max_failed="1")
    ran = module.run("apply")
    assert ran.exit_code == 0, ran.text
    assert "bug in the provider" not in ran.text
    assert exit_code() == 2
    assert module.resources()["edge"]["failed_orchestrator_ids"] == ids[1:2]


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_members_rejected_on_creation_fail_the_apply_only_through_the_postcondition(
    module: Module, command: Command
) -> None:
    ids = command.ids()[:2]
    module.fleets({"name": "edge", "orchestrator_ids": ids, "status": "Requested"})
    command.faults(refused=ids[:1])
    ran = module.run("apply")
    assert ran.exit_code == 1
    assert ran.says("Error: Resource postcondition failed", "1 of 2 orchestrators failed")
    assert module.tainted() == []
