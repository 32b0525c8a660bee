"""examples/policy_pack: its rules, on inputs as the engine has them."""

import json
from typing import Any

import pytest

from examples.policy_pack.__main__ import FLEET, violations, wave_size
from tests.support.stacks import ROOT


def fleet(members: int, status: str = "Requested", **more: Any) -> dict[str, Any]:
    """The inputs of a fleet."""
    return {"orchestrators": {f"{place:032x}": status for place in range(members)}, "status": status, **more}


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (fleet(10), 0),
        (fleet(11), 1),
        (fleet(11, "None"), 0),
        (fleet(12, canary_ids=["a", "b"]), 0),
        (fleet(13, canary_ids=["a", "b"]), 1),
        (fleet(1000, waves=["10"]), 0),
        (fleet(1000, waves=["1%"]), 0),
        (fleet(1001, waves=["1%"]), 1),
        (fleet(1000, waves=["11"]), 1),
        (fleet(1, "Required"), 1),
        (fleet(11, "Required"), 2),
        (fleet(11, "Required", canary_ids=["a"]), 0),
        ({"status": "Required"}, 1),
        ({"status": "Requested"}, 0),
    ],
)
def test_a_fleet_is_judged_by_its_first_wave_and_its_canaries(inputs: dict[str, Any], found: int) -> None:
    assert len(list(violations(inputs, most=10))) == found


@pytest.mark.parametrize(
    ("waves", "members", "size"),
    [(["5"], 100, 5), (["500"], 100, 100), (["0.5%"], 1, 1), (["10%"], 101, 11), ([3.0], 9, 3), (["33.3%"], 1000, 333)],
)
def test_the_first_wave_is_rounded_as_the_roll_out_rounds_it(waves: list[Any], members: int, size: int) -> None:
    assert wave_size(waves, members) == size


def test_the_rules_meet_the_inputs_of_a_recorded_preview() -> None:
    steps = json.loads((ROOT / "tests" / "cli" / "data" / "pulumi-preview.json").read_text())["steps"]
    fleets = [step["newState"]["inputs"] for step in steps if step.get("newState", {}).get("type") == FLEET]
    assert fleets
    assert {len(list(violations(inputs, most=1))) for inputs in fleets} == {0, 1}
