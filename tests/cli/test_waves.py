"""The waves that people see agree with those that the core carries out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyfactor_provider.cli.waves import progress
from keyfactor_provider.reenrollment.desired import Rollout
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.reenrollment.rollout import select
from keyfactor_provider.status import ReenrollmentStatus
from tests.cli.states import guid

REQUESTED = ReenrollmentStatus.REQUESTED
DUE = Member(REQUESTED, Phase.DUE)
DONE = Member(REQUESTED, Phase.REENROLLED, requested_status=REQUESTED, requested_at="2026-11-20T00:00:00Z", in_use=True)
PENDING = Member(REQUESTED, Phase.PENDING, requested_status=REQUESTED, requested_at="2026-11-20T00:00:00Z")


def record(members: list[Member], **rollout: Any) -> Record:
    return Record("edge", REQUESTED, {guid(n): member for n, member in enumerate(members)}, rollout=Rollout(**rollout))


@pytest.mark.parametrize(
    ("members", "canaries", "sizes", "ends"),
    [
        (100, 0, ("5", "10%", "100%"), [5, 15, 100]),
        (100, 3, ("5", "25%"), [3, 8, 33, 58, 83, 100]),
        (10, 2, (), [2, 10]),
        (3, 0, ("10%",), [1, 2, 3]),
        (3, 3, ("1",), [3]),
        (3, 0, (), []),
    ],
)
def test_waves_end_where_their_sizes_say(members: int, canaries: int, sizes: tuple[str, ...], ends: list[int]) -> None:
    fleet = record([DUE] * members, waves=sizes, canary_ids=frozenset(guid(n) for n in range(canaries)))
    assert [wave.ends for wave in progress(fleet).waves] == ends


sizes = st.lists(st.one_of(st.integers(1, 30).map(str), st.integers(1, 100).map("{}%".format)), min_size=1, max_size=4)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 3), sizes)
def test_the_open_wave_is_the_one_that_the_core_fills(total: int, done: int, canaries: int, waves: list[str]) -> None:
    done, canaries = min(done, total), min(canaries, total)
    fleet = record(
        [DONE] * done + [DUE] * (total - done),
        waves=tuple(waves),
        canary_ids=frozenset(guid(n) for n in range(canaries)),
    )
    found = progress(fleet)
    selected = select(found.counted, fleet.rollout)
    if found.place is None:
        assert done == total
        assert not selected
    else:
        assert done + len(selected) == found.waves[found.place].ends
        assert (found.waves[found.place].name == "canaries") is (found.counted.wave == 0)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 40), sizes)
def test_no_run_starts_more_than_the_next_room(total: int, pending: int, done: int, waves: list[str]) -> None:
    done = min(done, total)
    pending = min(pending, total - done)
    before = [DONE] * done + [PENDING] * pending + [DUE] * (total - done - pending)
    most = progress(record(before, waves=tuple(waves))).next_room
    for found in range(pending + 1):
        after = record([DONE] * (done + found) + before[done + found :], waves=tuple(waves))
        assert len(select(progress(after).counted, after.rollout)) <= most
