"""Reading documents of the real engines, and refusing anything else."""

import json
from typing import Any

import pytest

from keyfactor_provider.cli.exits import SourceError
from keyfactor_provider.cli.sources import HIDDEN, Plan, State, parse
from keyfactor_provider.reenrollment.desired import UNKNOWN
from tests.cli.states import DATA, fleet, guid, pulumi_export, terraform_state

FLEET = "keyfactorcommand_orchestrator_reenrollment"
TYPE = "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"


def recorded(name: str) -> State | Plan:
    return parse((DATA / f"{name}.json").read_bytes(), name)


@pytest.mark.parametrize(
    ("name", "engine", "fleets"),
    [
        ("pulumi-export", "pulumi", {"edge", "lab", "slow"}),
        ("terraform-state", "terraform", {f"{FLEET}.edge", f"{FLEET}.lab", f"{FLEET}.slow"}),
    ],
)
def test_a_state_has_its_fleets(name: str, engine: str, fleets: set[str]) -> None:
    state = recorded(name)
    assert isinstance(state, State)
    assert state.engine == engine
    assert {one.name for one in state.fleets} == fleets
    assert all(len(one.state["members"]) in (2, 5) for one in state.fleets)


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("pulumi-create", {"edge": "create", "lab": "create", "slow": "create"}),
        ("pulumi-preview", {"edge": "update", "lab": "delete", "slow": "update"}),
        ("pulumi-secret-preview", {"edge": "update", "lab": "same", "slow": "same"}),
        ("terraform-create", {f"{FLEET}.edge": "create", f"{FLEET}.lab": "create", f"{FLEET}.slow": "create"}),
        ("terraform-plan", {f"{FLEET}.edge": "update", f"{FLEET}.lab": "delete", f"{FLEET}.slow": "same"}),
    ],
)
def test_a_plan_has_the_action_for_each_fleet(name: str, actions: dict[str, str]) -> None:
    plan = recorded(name)
    assert isinstance(plan, Plan)
    assert {change.name: change.action for change in plan.changes} == actions


@pytest.mark.parametrize("name", ["pulumi-unknown", "terraform-unknown"])
def test_values_not_known_yet_are_unknown(name: str) -> None:
    plan = recorded(name)
    assert isinstance(plan, Plan)
    [lab] = [change for change in plan.changes if change.name.endswith("lab")]
    assert lab.after is not None
    assert UNKNOWN in (lab.after.get("orchestrators"), lab.after.get("orchestrator_ids"))


def test_a_secret_of_an_export_is_hidden() -> None:
    state = recorded("pulumi-secret")
    assert isinstance(state, State)
    [edge] = [one for one in state.fleets if one.name == "edge"]
    assert edge.state["members"] is HIDDEN
    assert not edge.shown_secrets


def test_a_secret_that_an_export_shows_is_read_and_marked() -> None:
    state = recorded("pulumi-shown")
    assert isinstance(state, State)
    assert all(len(one.state["members"]) in (2, 5) for one in state.fleets)
    assert {one.name for one in state.fleets if one.shown_secrets} == {"edge"}


def test_a_secret_of_a_preview_is_hidden() -> None:
    plan = recorded("pulumi-secret-preview")
    assert isinstance(plan, Plan)
    assert plan.refreshed
    [edge] = [change for change in plan.changes if change.name == "edge"]
    assert edge.before is not None
    assert edge.before["members"] is HIDDEN


def test_fleets_in_modules_are_named_by_their_full_address() -> None:
    state = parse(terraform_state(north=fleet({guid(1): {"phase": "due"}})), "x")
    assert [one.name for one in state.fleets] == [f"module.north.{FLEET}.north"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "content", [b'{"format_version": "1.0"}', b'{"version": 3, "deployment": {}}', b'{"version":3,"deployment":null}']
)
def test_an_empty_state_has_no_fleet(content: bytes) -> None:
    assert parse(content, "x").fleets == ()  # type: ignore[union-attr]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_of_windows_shells_are_read(encoding: str) -> None:
    text = pulumi_export(edge=fleet({guid(1): {"phase": "due", "machine": "Köln"}})).decode()
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    state = parse((mark + text).encode(encoding), "x")
    assert state.fleets[0].state["members"][guid(1)]["machine"] == "Köln"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  \n",
        b"Error: no stack selected",
        b"[]",
        b"7",
        b'{"some": "other document"}',
        b'{"deployment": {"resources": [{"no": "type"}]}}',
        b'{"deployment": 3}',
        b'{"steps": [{"op": "same"}, 4]}',
        b'{"resource_changes": [{"type": "' + FLEET.encode() + b'", "mode": "managed"}]}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_an_unreadable_document_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(SourceError, match="some file"):
        parse(content, "some file")


def _step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    step: dict[str, Any] = {"op": op, "urn": f"urn:pulumi:dev::p::{TYPE}::edge"}
    if old is not None:
        step["oldState"] = {"type": TYPE, "outputs": old, "inputs": {}, **more}
    if new is not None:
        step["newState"] = {"type": TYPE, "inputs": new}
    return step


def test_the_steps_of_a_replacement_are_one_change() -> None:
    old, new = fleet({guid(1): {"phase": "pending"}}), {"orchestrators": {guid(2): "Requested"}}
    steps = [
        _step("create-replacement", old, new),
        _step("replace", old, new),
        _step("delete-replaced", old, None),
    ]
    plan = parse(json.dumps({"steps": steps}).encode(), "x")
    assert isinstance(plan, Plan)
    [change] = plan.changes
    assert change.action == "replace"
    assert change.before is not None
    assert change.after is not None
    assert guid(1) in change.before["members"]
    assert guid(2) in change.after["orchestrators"]


def test_a_fleet_that_the_engine_only_forgets_keeps_its_flags() -> None:
    step = _step("delete", fleet({guid(1): {"phase": "pending"}}), None, retainOnDelete=True)
    plan = parse(json.dumps({"steps": [step]}).encode(), "x")
    assert [change.action for change in plan.changes] == ["forget"]  # type: ignore[union-attr]
