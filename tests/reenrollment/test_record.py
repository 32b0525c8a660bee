"""What is remembered, through an engine's state and back, for as long as a stack lives."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyfactor_provider.errors import RecordError
from keyfactor_provider.reenrollment.record import UNSEEN, VERSION, Member, Phase, Record
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
)


@given(
    st.dictionaries(st.uuids().map(str), MEMBERS, max_size=4),
    st.dictionaries(st.text(), st.text(), max_size=2),
)
def test_a_record_survives_an_engines_state(members: dict[str, Member], triggers: dict[str, str]) -> None:
    record = Record("edge", ReenrollmentStatus.REQUIRED, members, triggers, "retain", "warn", "trouble")
    assert Record.from_state(json.loads(json.dumps(record.to_state()))) == record


@pytest.mark.parametrize("version", [None, 0, VERSION + 1, "1"])
def test_a_state_of_another_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(RecordError, match=f"its version is {version!r}"):
        Record.from_state(Record("edge").to_state() | {"version": version})


def test_a_state_with_a_phase_that_nobody_knows_is_refused_with_its_place() -> None:
    state = Record("edge", members={"a": Member(ReenrollmentStatus.NONE, Phase.DUE)}).to_state()
    state["members"]["a"]["phase"] = "dew"
    with pytest.raises(RecordError, match=r"Invalid enum value 'dew' - at `\$\[\.\.\.\]\.phase`"):
        Record.from_state(state)


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("state-v*.json")), ids=lambda file: file.stem)
def test_state_written_by_every_version_so_far_is_read(file: Path) -> None:
    record = Record.from_state(json.loads(file.read_text()))
    assert record.fleet == "edge"
    assert {member.phase for member in record.members.values()} == set(Phase)


def test_there_is_a_state_of_every_version_so_far() -> None:
    kept = {file.stem for file in Path(__file__).parent.glob("state-v*.json")}
    assert kept == {f"state-v{version}" for version in range(1, VERSION + 1)}


def test_a_member_takes_less_than_400_bytes_of_inputs_and_outputs() -> None:
    ids = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(1000)]
    desired = ReenrollmentStatus.REQUESTED
    one = Member(desired, Phase.PENDING, "A" * 40, "", desired, frozenset({desired}), "edge-001.plant.example")
    record = Record("edge", desired, dict.fromkeys(ids, one))
    written = json.dumps([record.to_state(), record.desired().to_inputs()], separators=(",", ":"))
    assert len(written) / len(ids) < 400
