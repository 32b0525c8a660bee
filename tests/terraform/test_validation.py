"""Values that the plugin refuses before any call, and values that may be unknown."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import COMPLETION, FLEET, GHOST, MANY, NOT_NULL, UNKNOWN, Plugin


@pytest.mark.parametrize(
    ("kind", "config", "path", "says"),
    [
        (FLEET, {"orchestrator_ids": ["edge-001"]}, "orchestrator_ids", "'edge-001' is not an orchestrator's GUID"),
        (FLEET, {"orchestrator_ids": []}, "orchestrator_ids", "the list [] is empty"),
        (FLEET, {"orchestrator_ids": [GHOST, None]}, "orchestrator_ids", "null"),
        (FLEET, {"triggers": {"ca": "1", "a b": None}}, "triggers['a b']", 'triggers["a b"]'),
        (COMPLETION, {"members": {GHOST: None}}, f"members['{GHOST}']", GHOST),
        (FLEET, {"status": "Wanted"}, "status", "'Wanted' is not a re-enrollment status; expected Requested (1)"),
        (FLEET, {"status": "3"}, "status", "'3' is not"),
        (FLEET, {"on_removal": "keep"}, "on_removal", "'keep' is not one of 'unset' and 'retain'"),
        (FLEET, {"waves": []}, "waves", "empty"),
        (FLEET, {"waves": ["5", "0%"]}, "waves", "'0%'"),
        (FLEET, {"waves": ["101%"]}, "waves", "'101%'"),
        (FLEET, {"waves": ["-1"]}, "waves", "'-1'"),
        (FLEET, {"canary_ids": ["7ce42c82-1807-4e8c-b5bf-992dc9e9c616"]}, "canary_ids", "7ce42c82-1807"),
        (FLEET, {"canary_ids": []}, "canary_ids", "empty"),
        (FLEET, {"max_failed": "-1"}, "max_failed", "'-1'"),
        (FLEET, {"max_failed": "101%"}, "max_failed", "'101%'"),
        (FLEET, {"overdue_after": "soon"}, "overdue_after", "'soon'"),
        (FLEET, {"overdue_after": "0"}, "overdue_after", "'0'"),
        (COMPLETION, {"members": {}, "max_failed": "-1"}, "max_failed", "'-1'"),
        (COMPLETION, {"members": {}, "max_failed": "101%"}, "max_failed", "'101%'"),
        (FLEET, {"on_failure": "stop"}, "on_failure", "'stop' is not one of 'error' and 'warn'"),
        (COMPLETION, {"members": UNKNOWN, "timeout": -1}, "timeout", "-1 is not a time to wait"),
        (COMPLETION, {"members": {}, "timeout": 700_000}, "timeout", "604800"),
        (COMPLETION, {"members": {}, "timeout": "604800.000001"}, "timeout", "604800.000001"),
        (COMPLETION, {"members": {}, "timeout": "1" + "0" * 400}, "timeout", "1e+400"),
        (COMPLETION, {"members": {}, "timeout": "-0.1"}, "timeout", "-0.1"),
        (MANY, {"machine": ["edge-*", None]}, "machine[1]", "machine[1]"),
        (MANY, {"at_least": 1.5}, "at_least", "1.5 is not a whole number"),
        (MANY, {"at_most": "1" + "0" * 400}, "at_most", "1e+400 is not a whole number"),
        (MANY, {"seen_within_hours": "1" + "0" * 400}, "seen_within_hours", "1e+400"),
        (MANY, {"platform": ["OS/2"]}, "platform", "'OS/2'"),
        (MANY, {"status": ["Gone"]}, "status", "'Gone'"),
        (MANY, {"at_least": 3, "at_most": 2}, "at_least", "expected 0 <= at_least <= at_most"),
        (MANY, {"seen_within_hours": 0}, "seen_within_hours", "0 is not a time"),
    ],
)
def test_an_invalid_value_is_refused_with_its_path_before_any_call(
    reader: Plugin, shared: Command, kind: str, config: dict[str, Any], path: str, says: str
) -> None:
    shared.forget()
    base = {"orchestrator_ids": [GHOST], "status": "Requested"} if kind == FLEET else {}
    (said,) = reader.validate(kind, **{**base, **config})
    assert (said.severity, said.path) == ("error", path)
    assert says.lower() in said.detail.lower()
    assert shared.journal() == []


@pytest.mark.parametrize("unknown", [UNKNOWN, NOT_NULL], ids=["plain", "refined"])
@pytest.mark.parametrize(
    "config",
    [
        lambda unknown: {"orchestrator_ids": unknown, "status": "Requested"},
        lambda unknown: {"orchestrator_ids": [GHOST, unknown], "status": "Requested"},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": unknown},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": 1, "triggers": {"ca": unknown}},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": "None", "on_failure": unknown},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": "None", "waves": ["1", unknown]},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": "None", "canary_ids": unknown, "paused": unknown},
    ],
)
def test_a_plan_accepts_values_known_only_after_apply(reader: Plugin, config: Any, unknown: Any) -> None:
    attributes = {name: str(value) if value == 1 else value for name, value in config(unknown).items()}
    assert reader.validate(FLEET, **attributes) == []
    reader.configure()
    plan = reader.plan(FLEET, None, attributes)
    assert plan.state is not None
    assert plan.state["members"] == UNKNOWN
