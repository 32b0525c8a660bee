"""A whole fleet: what a run would do, what it says of it, and when it is complete."""

from typing import Any

import pytest

from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.completion import progress
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.fleet import forecast, goers, members_of, plan, plan_unread, recorded
from keyfactor_provider.reenrollment.life import Observation
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
OLD, NEW = "AA" * 20, "BB" * 20
IDS = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(60)]


def desired(count: int = 3, status: ReenrollmentStatus = REQUESTED, **more: Any) -> Desired:
    return Desired(**({"fleet": "edge", "members": frozenset(IDS[:count]), "status": status, "triggers": {}} | more))


def record(*phases: Phase, status: ReenrollmentStatus = REQUESTED, **more: Any) -> Record:
    members = {
        IDS[number]: Member(status, phase, OLD, asked=status, ours=frozenset({status}), machine=f"edge-{number:03}")
        for number, phase in enumerate(phases)
    }
    return Record("edge", status, members, **more)


P, R, F, M, U, D = (
    Phase.PENDING,
    Phase.REENROLLED,
    Phase.REFUSED,
    Phase.MISSING,
    Phase.UNREACHED,
    Phase.DUE,
)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (Record("edge"), desired(), "asks 3 orchestrators (Requested)."),
        (
            record(P, R, F),
            desired(),
            "asks 1 again (Requested), leaves 2 alone. 1 of those left alone have re-enrolled",
        ),
        (record(P, P), desired(), "asks 1 orchestrator (Requested), leaves 2 alone."),
        (record(P, P, P), desired(1), "takes back the request of 2, leaves 1 alone."),
        (record(P, P, P), desired(1, on_removal="retain"), "forgets 2, leaves 1 alone."),
        (record(P, R, P), desired(3, REQUIRED), "asks 2 again (Required), leaves 1 alone."),
        (record(P, R, P), desired(triggers={"a": "b"}), "a new round: asks 3 orchestrators (Requested)."),
        (record(P, P, P), desired(3, NONE), "clears the flag of 3 orchestrators."),
        (record(Phase.SETTLED, status=NONE), desired(1), "a new round: asks 1 orchestrator (Requested)."),
        (record(P, P, P), desired(on_failure="warn"), "leaves 3 alone."),
        (record(R, R), desired(2, on_failure="warn"), "leaves 2 alone."),
        (
            record(R, R),
            desired(2, REQUIRED),
            "leaves 2 alone. 2 of those left alone have re-enrolled in this round; a change of triggers starts",
        ),
        (record(P, Phase.CLEARED, Phase.CHANGED), desired(), "asks 2 again (Requested), leaves 1 alone."),
    ],
)
def test_the_line_before_a_run_says_what_it_will_do(before: Record, after: Desired, line: str) -> None:
    ahead = forecast(before, after)
    assert ahead.changes
    told = report.intent(after, ahead)
    assert told.startswith(f'Fleet "edge": {line}')
    assert ("have re-enrolled in this round" in told) == ("have re-enrolled" in line or "(Required), leaves" in line)


@pytest.mark.parametrize("phases", [(P,), (R,), (Phase.UNVERIFIED,), (P, R, Phase.UNVERIFIED)])
def test_members_at_rest_are_no_change(phases: tuple[Phase, ...]) -> None:
    assert not forecast(record(*phases), desired(len(phases))).changes


@pytest.mark.parametrize("phase", [F, M, U, D, Phase.CHANGED, Phase.CLEARED, Phase.LEAVING])
def test_members_not_at_rest_are_a_change(phase: Phase) -> None:
    assert forecast(record(P, phase), desired(2)).changes


@pytest.mark.parametrize(
    ("before", "after", "claimed"),
    [
        (record(P, P), desired(1), IDS[1:2]),
        (record(P, P, on_removal="retain"), desired(1, on_removal="retain"), ()),
        (record(P, P), desired(1), ()),
    ],
)
def test_a_member_that_leaves_is_a_change_also_where_it_is_only_forgotten(
    before: Record, after: Desired, claimed: tuple[str, ...]
) -> None:
    assert forecast(before, after, claimed).changes


def test_a_member_that_another_fleet_claims_is_only_forgotten() -> None:
    ahead = forecast(record(P, P, P), desired(1), claimed=IDS[1:2])
    assert (ahead.let_go, ahead.taken_back) == ((IDS[1],), (IDS[2],))
    held = {IDS[1]: frozenset({REQUESTED})}
    assert set(goers(record(P, P, P), desired(1), held)) == {IDS[2]}


def test_a_member_stuck_in_leaving_is_tried_again_and_one_that_comes_back_begins_a_round() -> None:
    stuck = record(P, Phase.LEAVING)
    assert forecast(stuck, desired(1)).taken_back == (IDS[1],)
    assert forecast(stuck, desired(2)).first == (IDS[1],)
    assert members_of(stuck, desired(2))[IDS[1]].phase is D


def test_a_run_that_could_not_read_claims_nothing_and_forgets_nothing() -> None:
    before = record(P, R, F, P)
    made = plan_unread(members_of(before, desired(3)), goers(before, desired(3), {}), "down")
    after = recorded(desired(3), made, "trouble")
    assert {place: after.members[member].phase for place, member in enumerate(IDS[:4])} == {
        0: P,
        1: R,
        2: U,
        3: Phase.LEAVING,
    }
    assert made.asks == {}


def test_refresh_gives_the_real_flag_for_drift_alone() -> None:
    before = record(P, P, P, R, F)
    shown = [
        Observation("None", OLD),
        Observation("Required", OLD),
        Observation("Requested", OLD),
        Observation("None", NEW),
        Observation("None", OLD),
    ]
    made = plan(dict(before.members), {}, dict(zip(IDS, shown, strict=False)))
    assert made.drift == {IDS[0]: "None", IDS[1]: "Required"}


def test_a_failure_names_the_failed_by_reason_and_counts_the_rest() -> None:
    text = str(report.failure(record(F, M, U, P, R)))
    assert 'Fleet "edge": 3 of 5 orchestrators failed' in text
    assert f"1 refused by Command: edge-000 ({IDS[0]})" in text
    assert "1 missing" in text
    assert "1 not reached" in text
    assert "1 pending, 1 re-enrolled" in text


def test_nobody_failed_is_no_failure() -> None:
    assert report.failure(record(P, R, Phase.UNVERIFIED, Phase.SETTLED)) is None


def test_a_member_not_released_fails_its_update() -> None:
    assert "1 orchestrator that left could not be released" in str(report.failure(record(P, Phase.LEAVING)))


@pytest.mark.parametrize("phases", [(F,) * 50, (F,) * 15 + (M,) * 15, (F,) * 25 + (U,) * 25])
def test_no_message_names_more_than_twenty(phases: tuple[Phase, ...]) -> None:
    failed = record(*phases)
    for text in (str(report.failure(failed)), *report.retry(failed, forecast(failed, failed.desired()))):
        assert sum(member in text for member in IDS) == 20
        assert "more (the state has them all)" in text or "named in the state" in text


@pytest.mark.parametrize(
    ("member", "reading", "waits", "warns"),
    [
        (Member(REQUESTED, P, OLD), Observation("Requested", OLD), True, False),
        (Member(REQUESTED, P, OLD), None, True, False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=OLD, legacy=OLD), True, False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=NEW, legacy=OLD), True, False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=OLD), True, False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=NEW), False, False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW), False, True),
        (Member(REQUESTED, R, OLD), None, False, True),
        (Member(NONE, Phase.SETTLED), Observation("None", OLD), False, True),
        (Member(REQUESTED, P, "", asked=REQUESTED), Observation("None", None), True, False),
        (Member(REQUESTED, F, OLD), Observation("None", OLD), True, False),
    ],
)
def test_a_member_is_complete_when_its_new_certificate_is_in_use(
    member: Member, reading: Observation | None, waits: bool, warns: bool
) -> None:
    made = progress({IDS[0]: member}, {IDS[0]: reading})
    assert (bool(made.waiting), bool(made.warnings)) == (waits, warns)
