"""Moving from the dynamic resources: the plugin takes over their state without a call to Command."""

import json
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.pluginhost import COMPLETION, Plugin, Resource, plugin

STATES = Path(__file__).resolve().parents[1] / "reenrollment"


def moved(version: int) -> Resource:
    """The fleet of a recorded state, as the engine passes it, including the serialised provider."""
    outputs = json.loads((STATES / f"state-v{version}.json").read_text())
    inputs = {
        name: value for name, value in outputs.items() if name not in ("version", "members", "trouble", "canary_ids")
    }
    inputs["orchestrators"] = {one: member["status"] for one, member in outputs["members"].items()}
    return Resource(id="edge", inputs=inputs, outputs={**outputs, "__provider": "pickled"})


def declared(outputs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a program that matches a recorded state."""
    names = {
        "status": "status",
        "triggers": "triggers",
        "on_removal": "onRemoval",
        "on_failure": "onFailure",
        "waves": "waves",
        "canary_ids": "canaryIds",
        "max_failed": "maxFailed",
        "overdue_after": "overdueAfter",
        "paused": "paused",
    }
    staying = [one for one, member in outputs["members"].items() if member["phase"] != "leaving"]
    arguments = {theirs: outputs[name] for name, theirs in names.items() if outputs.get(name) is not None}
    return {"orchestratorIds": staying, **arguments}


def quiet(version: int) -> Resource:
    """The same fleet without the members that a run would act on."""
    fleet = moved(version)
    assert fleet.outputs is not None
    still = ("pending", "re-enrolled", "unverified")
    kept = {one: member for one, member in fleet.outputs["members"].items() if member["phase"] in still}
    for member in kept.values():
        member.pop("overdue", None)
    assert kept
    fleet.outputs |= {"members": kept, "trouble": ""}
    fleet.outputs["canary_ids"] = [one for one in fleet.outputs.get("canary_ids") or () if one in kept] or None
    return fleet


@pytest.mark.parametrize("version", [1, 2])
def test_a_record_that_is_up_to_date_is_rewritten_without_a_call(host: Plugin, command: Command, version: int) -> None:
    fleet = quiet(version)
    assert fleet.outputs is not None
    given, before = declared(fleet.outputs), fleet.outputs["members"]
    change = fleet.preview(host, **given)
    assert (change.changes, change.paths["__provider"]) == (True, ("DELETE", False))
    fleet.up(host, **given)
    assert command.journal() == []
    assert fleet.outputs["recordVersion"] == 2
    assert fleet.phases() == {one: member["phase"] for one, member in before.items()}
    assert fleet.reads_first
    fleet.reads_first = False
    assert not fleet.preview(host, **given).changes


@pytest.mark.parametrize("version", [1, 2])
def test_every_recorded_phase_is_taken_over(host: Plugin, version: int) -> None:
    fleet = moved(version)
    assert fleet.outputs is not None
    assert fleet.preview(host, **declared(fleet.outputs)).changes


def test_recorded_failures_are_retried(host: Plugin, command: Command) -> None:
    ids = command.ids()
    member = {"status": "Requested", "phase": "rejected", "reason": "listed", "baseline_thumbprint": "AB" * 20}
    fleet = Resource(
        id="edge",
        inputs={"orchestrators": {ids[0]: "Requested"}},
        outputs={"version": 2, "fleet": "edge", "status": "Requested", "members": {ids[0]: member}},
    )
    command.world(change={ids[0]: {"thumbprint": "AB" * 20}})
    fleet.up(host, orchestratorIds=ids[:1], status="Requested")
    assert command.posts() == [(1, (ids[0],))]


def test_a_completion_that_is_complete_does_not_wait(command: Command) -> None:
    ids = command.ids()
    fleet = Resource()
    with plugin(command.environment()) as host:
        fleet.up(host, orchestratorIds=ids, status="Requested")
        assert fleet.outputs is not None
        awaited = {
            one: f"{member['status']} since {member['baselineThumbprint']}"
            for one, member in fleet.outputs["members"].items()
        }
        command.forget()
        done = Resource(
            COMPLETION,
            "done",
            id="edge",
            inputs={"fleet": "edge", "awaited": awaited, "timeout": 60},
            outputs={"fleet": "edge", "awaited": awaited, "timeout": 60, "__provider": "pickled"},
        )
        assert done.up(host, round=fleet.outputs["round"], timeout=60).changes
        assert command.journal() == []
        assert done.outputs == {"awaited": awaited}
        assert not done.up(host, round=fleet.outputs["round"], timeout=60).changes
