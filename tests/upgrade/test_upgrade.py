"""States that the previous release recorded with the real engines stay usable.

The fixtures are those of the tests of the CLI.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.reenrollment.state import from_state
from keyfactor_standins.command.process import Command
from tests.support.commands import fresh
from tests.support.stacks import ENGINES, Stack

DATA = Path(__file__).resolve().parents[1] / "cli" / "data"

needs_tf = pytest.mark.skipif(find_spec("tf") is None, reason="the library of the Terraform plugin is not installed")


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(0) as started:
        yield started


def populate(command: Command, members: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the orchestrators of a state as they are recorded."""
    there = {one: member for one, member in members.items() if member["phase"] != "missing"}
    command.world(
        add=[
            {
                "agent_id": one,
                "client_machine": member.get("machine") or one,
                "status": 2,
                "thumbprint": "AB" * 20 if member["phase"] == "re-enrolled" else member["baseline"],
            }
            for one, member in there.items()
        ],
    )
    command.world(change={one: {"flag": int(member["phase"] == "pending")} for one, member in there.items()})
    command.forget()


def terraform_state(name: str) -> dict[str, Any]:
    """The attributes of a fleet of version 1, as real Terraform showed them."""
    resources = json.loads((DATA / "terraform-state-v1.json").read_text())["values"]["root_module"]["resources"]
    (values,) = [each["values"] for each in resources if each["name"] == name]
    return dict(values)


def pulumi_outputs(name: str) -> dict[str, Any]:
    """The outputs of a fleet of version 1, as the real CLI exported them."""
    resources = json.loads((DATA / "pulumi-export-v1.json").read_text())["deployment"]["resources"]
    (outputs,) = [each["outputs"] for each in resources if each.get("id") == name and "outputs" in each]
    return {key: value for key, value in outputs.items() if key != "__provider"}


@needs_tf
def test_terraform_plans_no_change_for_a_healthy_fleet_and_clears_it_on_destruction(command: Command) -> None:
    from tests.support.plugin import FLEET, plugin

    state = terraform_state("lab")
    populate(command, state["members"])
    with plugin(command.environment()) as started:
        started.schema.resource_schemas[FLEET].version = 1
        upgraded = started.read(FLEET, state)
        given = {"orchestrator_ids": state["orchestrator_ids"], "status": state["status"]}
        given |= {name: state[name] for name in ("triggers", "on_removal", "on_failure")}
        assert not started.plan(FLEET, upgraded, given).changes
        assert upgraded["failure"] == ""
        assert upgraded["pending_orchestrator_ids"] == sorted(
            one for one, member in state["members"].items() if member["phase"] == "pending"
        )
        assert started.apply(started.plan(FLEET, upgraded, None)) is None


@needs_tf
def test_terraform_retries_the_refused_members_of_the_previous_release_alone(command: Command) -> None:
    from tests.support.plugin import FLEET, plugin

    state = terraform_state("edge")
    populate(command, state["members"])
    refused = sorted(one for one, member in state["members"].items() if member["phase"] == "refused")
    assert refused
    with plugin(command.environment()) as started:
        started.schema.resource_schemas[FLEET].version = 1
        upgraded = started.read(FLEET, state)
        assert [upgraded["members"][one]["phase"] for one in refused] == ["rejected"] * len(refused)
        given = {"orchestrator_ids": state["orchestrator_ids"], "status": state["status"]}
        given |= {name: state[name] for name in ("triggers", "on_removal", "on_failure")}
        plan = started.plan(FLEET, upgraded, given)
        assert plan.changes
        after = started.apply(plan)
    assert after is not None
    assert set(refused) <= set(after["pending_orchestrator_ids"])
    posted = {one for _, members in command.posts() for one in members}
    assert posted == {
        one for one, member in state["members"].items() if member["phase"] not in ("pending", "re-enrolled")
    }


@needs_tf
def test_terraform_does_not_wait_again_for_a_completion_of_the_previous_release(command: Command) -> None:
    from tests.support.plugin import COMPLETION, FLEET, plugin

    state = terraform_state("lab")
    populate(command, state["members"])
    completion = {"id": "done", "members": state["members"], "timeout": 1}
    with plugin(command.environment()) as started:
        for kind in (FLEET, COMPLETION):
            started.schema.resource_schemas[kind].version = 1
        fleet, done = started.read(FLEET, state), started.read(COMPLETION, completion)
        assert not started.plan(COMPLETION, done, {"members": fleet["members"], "timeout": 1}).changes


@pytest.mark.parametrize("name", ["lab", "edge"])
def test_pulumis_state_of_the_previous_release_is_read_whole(name: str) -> None:
    outputs = pulumi_outputs(name)
    assert outputs["version"] == 1
    record = from_state(outputs)
    assert record.pending_ids() == outputs["pending_orchestrator_ids"]
    assert record.reenrolled_ids() == outputs["reenrolled_orchestrator_ids"]
    assert record.failed_ids() == outputs["failed_orchestrator_ids"]


def recorded_stack(engine: str, folder: Path, command: Command, *names: str) -> Stack:
    """A stack with the previous release's state of these fleets, and with a program that declares them as before."""
    stack = Stack(engine, folder, command)
    state = json.loads((DATA / "pulumi-export-v1.json").read_text())
    gone = [name for name in ("lab", "edge") if name not in names]
    resources = [one for one in state["deployment"]["resources"] if one.get("id") not in gone]
    state["deployment"]["resources"] = resources
    declared = []
    for name in names:
        outputs = pulumi_outputs(name)
        populate(command, outputs["members"])
        given = {argument: outputs[argument] for argument in ("status", "on_removal", "on_failure")}
        declared.append({"name": name, "orchestrator_ids": list(outputs["members"]), **given})
    stack.fleets(*declared)
    stack.import_(state)
    return stack


@pytest.mark.engine
@pytest.mark.parametrize("engine", ENGINES)
def test_pulumi_previews_no_change_for_a_healthy_fleet_of_the_previous_release(
    command: Command, tmp_path: Path, engine: str
) -> None:
    stack = recorded_stack(engine, tmp_path, command, "lab")
    for arguments in ((), ("--refresh",)):
        ran = stack.run("preview", "--expect-no-changes", "--diff", *arguments)
        assert ran.exit_code == 0, ran.text
    assert stack.run("up").posts == []
    assert stack.resources()["lab"]["outputs"]["version"] == 1


@pytest.mark.engine
@pytest.mark.parametrize("engine", ENGINES)
def test_pulumi_retries_the_rejected_members_of_the_previous_release_alone(
    command: Command, tmp_path: Path, engine: str
) -> None:
    stack, members = recorded_stack(engine, tmp_path, command, "edge"), pulumi_outputs("edge")["members"]
    ran = stack.run("up")
    assert {one for _, ids in ran.posts for one in ids} == {
        one for one, member in members.items() if member["phase"] not in ("pending", "re-enrolled")
    }
    assert stack.resources()["edge"]["outputs"]["version"] == 2
