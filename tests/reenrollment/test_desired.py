"""What a program wrote, to one canonical desired or every reason why not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyfactor_provider.reenrollment.desired import UNKNOWN, Desired, check
from keyfactor_provider.status import ReenrollmentStatus

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TWO = "3f2504e0-4f89-11d3-9a0c-0305e82c3302"


def raw(**changes: Any) -> dict[str, Any]:
    return {"fleet": "edge", "orchestrator_ids": [ONE], "status": "Requested"} | changes


@pytest.mark.parametrize("spelling", [ONE.upper(), f"{{{ONE}}}", f"{{{ONE.upper()}}}"], ids=["upper", "braces", "both"])
def test_other_spellings_and_duplicates_are_one_member(spelling: str) -> None:
    assert check(raw(orchestrator_ids=[spelling, ONE])).known_members == {ONE}


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
def test_a_status_is_a_member_a_number_or_a_name(value: Any, status: str) -> None:
    desired = check(raw(status=value)).desired
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
        ({"on_failure": "ignore"}, "on_failure", "'ignore'"),
        ({"triggers": ["a"]}, "triggers", "['a']"),
        ({"triggers": {"a": ["b"]}}, "triggers.a", "['b']"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(changes: dict[str, Any], property_: str, named: str) -> None:
    checked = check(raw(**changes))
    assert checked.desired is None
    assert [problem.property for problem in checked.problems] == [property_]
    assert named in checked.problems[0].reason


def test_every_problem_is_found_at_once() -> None:
    checked = check({"fleet": "edge", "orchestrator_ids": ["x", "y"], "status": 9, "on_removal": "z"})
    assert len(checked.problems) == 4


def test_unknown_values_are_left_out_and_not_guessed() -> None:
    checked = check(raw(orchestrator_ids=[ONE, UNKNOWN], status=UNKNOWN, triggers={"a": UNKNOWN}))
    assert (checked.desired, checked.problems) == (None, ())
    assert checked.unknown == {"orchestrator_ids", "status", "triggers"}
    assert checked.known_members == {ONE}


def test_no_triggers_and_empty_triggers_are_equal() -> None:
    assert check(raw(triggers=None)).desired == check(raw(triggers={})).desired == check(raw()).desired


def test_numbers_and_truth_values_in_triggers_are_texts() -> None:
    desired = check(raw(triggers={"a": 2027.0, "b": True, "c": 1.5})).desired
    assert desired is not None
    assert desired.triggers == {"a": "2027", "b": "true", "c": "1.5"}


@given(
    st.sets(st.uuids(), min_size=1, max_size=5),
    st.sampled_from(list(ReenrollmentStatus)),
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.sampled_from(["unset", "retain"]),
    st.sampled_from(["error", "warn"]),
)
def test_a_wish_survives_its_way_through_an_engine(
    ids: set[Any], status: ReenrollmentStatus, triggers: dict[str, str], on_removal: Any, on_failure: Any
) -> None:
    desired = Desired("edge", frozenset(map(str, ids)), status, triggers, on_removal, on_failure)
    assert Desired.from_inputs(desired.to_inputs()) == desired


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
def test_what_is_not_known_yet_is_no_problem_and_no_wish(
    changes: dict[str, Any], unknown: str, known_members: set[str]
) -> None:
    checked = check(raw(**changes))
    assert (checked.desired, checked.problems) == (None, ())
    assert (set(checked.unknown), set(checked.known_members)) == ({unknown}, known_members)


def test_a_problem_names_what_is_not_known_yet_as_an_engine_does() -> None:
    (problem,) = check(raw(triggers=[UNKNOWN])).problems
    assert problem.reason == "[(known after up)] is not a map of names to texts"
