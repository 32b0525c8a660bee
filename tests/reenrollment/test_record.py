"""The record through an engine's state and back, in every version of its format."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.desired import Rollout
from keyfactor_provider.reenrollment.record import UNSEEN, Member, Phase, Record
from keyfactor_provider.reenrollment.state import VERSION, from_state, to_state
from keyfactor_provider.status import ReenrollmentStatus

STATUSES = st.sampled_from(list(ReenrollmentStatus))
MEMBERS = st.builds(
    Member,
    STATUSES,
    st.sampled_from(list(Phase)),
    st.one_of(st.just(UNSEEN), st.just(""), st.text("0123456789ABCDEF", min_size=40, max_size=40)),
    st.text(max_size=20),
    st.one_of(st.none(), STATUSES),
    st.frozensets(STATUSES),
    st.text(max_size=10),
    *[st.sampled_from(["", "2026-11-26T12:00:00Z"])] * 3,
    st.booleans(),
    st.booleans(),
)
ROLLOUTS = st.builds(
    Rollout,
    st.lists(st.sampled_from(["5", "10%", "100%"]), max_size=3).map(tuple),
    st.frozensets(st.uuids().map(str), max_size=2),
    st.sampled_from(["0", "2", "5%"]),
    st.one_of(st.none(), st.integers(1, 10**8)),
    st.booleans(),
)


@given(
    st.dictionaries(st.uuids().map(str), MEMBERS, max_size=4),
    st.dictionaries(st.text(), st.text(), max_size=2),
    ROLLOUTS,
)
def test_a_record_survives_an_engines_state(
    members: dict[str, Member], triggers: dict[str, str], rollout: Rollout
) -> None:
    record = Record("edge", ReenrollmentStatus.REQUIRED, members, triggers, "retain", "warn", rollout, "trouble")
    assert from_state(json.loads(json.dumps(to_state(record)))) == record


@pytest.mark.parametrize("version", [None, 0, VERSION + 1, "1", 1.5])
def test_a_state_of_another_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(RecordError, match=f"its version is {version!r}"):
        from_state(to_state(Record("edge")) | {"version": version})


ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def damaged(**changes: Any) -> dict[str, Any]:
    return to_state(Record("edge", members={ONE: Member(ReenrollmentStatus.NONE, Phase.DUE)})) | changes


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (damaged(members={ONE: {"status": "None", "phase": "dew"}}), "'dew'"),
        (damaged(members={ONE: {"status": "None"}}), "phase"),
        (damaged(members={ONE: {"status": "Wanted", "phase": "due"}}), "'Wanted'"),
        (damaged(members={ONE: 7}), "int"),
        (damaged(members={"edge-001": {"status": "None", "phase": "due"}}), "'edge-001'"),
        (damaged(members={ONE.upper(): {"status": "None", "phase": "due"}}), ONE.upper()),
        (damaged(members=None), "members"),
        (damaged(triggers=7), "triggers"),
        (damaged(triggers={"a": [1]}), "triggers"),
        (damaged(status="Wanted"), "'Wanted'"),
        (damaged(on_removal="keep"), "'keep'"),
        (damaged(fleet=None), "fleet"),
        (damaged(waves=["many"]), "waves"),
        (damaged(canary_ids=["edge"]), "canary_ids"),
        (damaged(overdue_after="soon"), "overdue_after"),
        ({key: value for key, value in damaged().items() if key != "members"}, "members"),
        ({"version": 1}, "fleet"),
    ],
)
def test_a_damaged_state_is_refused_and_the_damage_named(state: dict[str, Any], named: str) -> None:
    with pytest.raises(RecordError, match=re.escape(named)):
        from_state(state)


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("state-v*.json")), ids=lambda file: file.stem)
def test_state_written_by_every_version_so_far_is_read(file: Path) -> None:
    record = from_state(json.loads(file.read_text()))
    assert record.fleet == "edge"
    assert {member.phase for member in record.members.values()} == set(Phase)


def test_there_is_a_state_of_every_version_so_far() -> None:
    kept = {file.stem for file in Path(__file__).parent.glob("state-v*.json")}
    assert kept == {f"state-v{version}" for version in range(1, VERSION + 1)}


def test_a_member_takes_less_than_420_bytes_of_state() -> None:
    at, status = "2026-11-26T12:00:00Z", ReenrollmentStatus.REQUESTED
    one = Member(status, Phase.REENROLLED, "A" * 40, "", status, frozenset({status}), "edge-001.plant.example")
    full = replace(one, requested_at=at, accepted_at=at, reenrolled_at=at, in_use=True, overdue=True)
    ids = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(1000)]
    written = json.dumps(to_state(Record("edge", status, dict.fromkeys(ids, full))), separators=(",", ":"))
    assert len(written) / len(ids) < 420
