"""Arguments become one canonical desired state, or a list of every problem."""

from typing import Any
from uuid import UUID

import pytest

from keyfactor_provider.reenrollment.desired import (
    UNKNOWN,
    Checked,
    Rollout,
    check,
    rollout_from_inputs,
    rollout_inputs,
)
from keyfactor_provider.status import ReenrollmentStatus

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TWO = "3f2504e0-4f89-11d3-9a0c-0305e82c3302"


def checked(**changes: Any) -> Checked:
    return check("edge", {"orchestrator_ids": [ONE], "status": "Requested"} | changes)


@pytest.mark.parametrize("spelling", [ONE.upper(), f"{{{ONE}}}", f"{{{ONE.upper()}}}"], ids=["upper", "braces", "both"])
def test_other_spellings_and_duplicates_are_one_member(spelling: str) -> None:
    assert checked(orchestrator_ids=[spelling, ONE]).known_members == {ONE}


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (ReenrollmentStatus.REQUIRED, "Required"),
        (0, "None"),
        (1.0, "Requested"),
        ("2", "Required"),
        ("rEQUESTED", "Requested"),
        (" none ", "None"),
    ],
)
def test_a_status_may_be_an_enum_member_a_number_or_a_name(value: Any, status: str) -> None:
    desired = checked(status=value).desired
    assert desired is not None
    assert desired.status.value == status


@pytest.mark.parametrize(
    ("changes", "property_", "named"),
    [
        ({"orchestrator_ids": ["edge-001"]}, "orchestrator_ids[0]", "'edge-001'"),
        ({"orchestrator_ids": [ONE, ONE + "0"]}, "orchestrator_ids[1]", ONE + "0"),
        ({"orchestrator_ids": [f"{{{ONE}"]}, "orchestrator_ids[0]", f"{{{ONE}"),
        ({"orchestrator_ids": [7]}, "orchestrator_ids[0]", "7"),
        ({"orchestrator_ids": [None]}, "orchestrator_ids[0]", "None"),
        ({"orchestrator_ids": []}, "orchestrator_ids", "[]"),
        ({"orchestrator_ids": ONE}, "orchestrator_ids", ONE),
        ({"orchestrator_ids": None}, "orchestrator_ids", "missing"),
        ({"status": "Wanted"}, "status", "'Wanted'"),
        ({"status": 3}, "status", "3"),
        ({"status": True}, "status", "True"),
        ({"status": 1.5}, "status", "1.5"),
        ({"status": None}, "status", "missing"),
        ({"on_removal": "keep"}, "on_removal", "'keep'"),
        ({"waves": []}, "waves", "empty"),
        ({"waves": ["0%"]}, "waves[0]", "'0%'"),
        ({"waves": [5, "101%"]}, "waves[1]", "'101%'"),
        ({"waves": ["-1"]}, "waves[0]", "'-1'"),
        ({"waves": [0]}, "waves[0]", "0"),
        ({"waves": [1.5]}, "waves[0]", "1.5"),
        ({"waves": [True]}, "waves[0]", "True"),
        ({"waves": "10%"}, "waves", "'10%'"),
        ({"canary_ids": [TWO]}, "canary_ids", TWO),
        ({"canary_ids": []}, "canary_ids", "empty"),
        ({"canary_ids": ["edge"]}, "canary_ids[0]", "'edge'"),
        ({"max_failed": "-1"}, "max_failed", "'-1'"),
        ({"max_failed": "101%"}, "max_failed", "'101%'"),
        ({"overdue_after": "soon"}, "overdue_after", "'soon'"),
        ({"overdue_after": 0}, "overdue_after", "0"),
        ({"overdue_after": "-2d"}, "overdue_after", "'-2d'"),
        ({"overdue_after": float("inf")}, "overdue_after", "inf"),
        ({"paused": "maybe"}, "paused", "'maybe'"),
        ({"on_failure": "ignore"}, "on_failure", "'ignore'"),
        ({"triggers": ["a"]}, "triggers", "['a']"),
        ({"triggers": {"a": ["b"]}}, "triggers.a", "['b']"),
    ],
)
def test_an_invalid_value_is_named(changes: dict[str, Any], property_: str, named: str) -> None:
    result = checked(**changes)
    assert result.desired is None
    assert [problem.property for problem in result.problems] == [property_]
    assert named in result.problems[0].reason


def test_every_problem_is_found_at_once() -> None:
    assert len(checked(orchestrator_ids=["x", "y"], status=9, on_removal="z").problems) == 4


def test_unknown_values_are_left_out_and_not_guessed() -> None:
    result = checked(orchestrator_ids=[ONE, UNKNOWN], status=UNKNOWN, triggers={"a": UNKNOWN})
    assert (result.desired, result.problems) == (None, ())
    assert result.unknown == {"orchestrator_ids", "status", "triggers"}
    assert result.known_members == {ONE}


def test_no_triggers_and_empty_triggers_are_equal() -> None:
    assert checked(triggers=None).desired == checked(triggers={}).desired == checked().desired


def test_numbers_and_booleans_in_triggers_become_strings() -> None:
    desired = checked(triggers={"a": 2027.0, "b": True, "c": 1.5}).desired
    assert desired is not None
    assert desired.triggers == {"a": "2027", "b": "true", "c": "1.5"}


@pytest.mark.parametrize(
    ("changes", "unknown", "known_members"),
    [
        ({"orchestrator_ids": UNKNOWN}, "orchestrator_ids", set()),
        ({"orchestrator_ids": [TWO, UNKNOWN]}, "orchestrator_ids", {TWO}),
        ({"status": UNKNOWN}, "status", {ONE}),
        ({"triggers": UNKNOWN}, "triggers", {ONE}),
        ({"triggers": {"ca": UNKNOWN}}, "triggers", {ONE}),
        ({"on_removal": UNKNOWN}, "on_removal", {ONE}),
    ],
)
def test_unknown_arguments_are_no_problem_and_not_guessed(
    changes: dict[str, Any], unknown: str, known_members: set[str]
) -> None:
    result = checked(**changes)
    assert (result.desired, result.problems) == (None, ())
    assert (set(result.unknown), set(result.known_members)) == ({unknown}, known_members)


def test_a_problem_shows_unknown_values_as_an_engine_does() -> None:
    (problem,) = checked(triggers=[UNKNOWN]).problems
    assert "[(known after up)]" in problem.reason


@pytest.mark.parametrize(
    ("written", "rollout"),
    [
        ({"waves": [5.0, "10%", " 100 % "]}, Rollout(waves=("5", "10%", "100%"))),
        ({"canary_ids": [ONE.upper()]}, Rollout(canary_ids=frozenset({ONE}))),
        ({"max_failed": 2}, Rollout(max_failed="2")),
        ({"max_failed": "0%"}, Rollout()),
        ({"overdue_after": "48h"}, Rollout(overdue_after=48 * 3600)),
        ({"overdue_after": "2D"}, Rollout(overdue_after=48 * 3600)),
        ({"overdue_after": 90.0}, Rollout(overdue_after=90)),
        ({"paused": "true"}, Rollout(paused=True)),
    ],
)
def test_a_roll_out_is_canonical_and_survives_an_engine(written: dict[str, Any], rollout: Rollout) -> None:
    desired = checked(**written).desired
    assert desired is not None
    assert desired.rollout == rollout
    assert rollout_from_inputs(rollout_inputs(rollout)) == rollout


@pytest.mark.parametrize("collection", [{ONE, TWO}, (ONE, TWO), {ONE: 1, TWO: 2}.keys(), [UUID(ONE), TWO]])
def test_members_may_be_given_as_any_collection(collection: Any) -> None:
    assert checked(orchestrator_ids=collection).known_members == {ONE, TWO}
