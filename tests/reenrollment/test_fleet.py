"""A whole fleet: the forecast of a run, its messages, and the progress of a completion."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.completion import progress
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.fleet import forecast, members_of, observe, recorded, removed_from, unread
from keyfactor_provider.reenrollment.life import Observation, moment
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
OLD, NEW = "AA" * 20, "BB" * 20
IDS = [f"3f2504e0-4f89-11d3-9a0c-{number:012}" for number in range(60)]
AT = moment(datetime(2026, 11, 26, 12, 0, tzinfo=UTC))


def desired(count: int = 3, status: ReenrollmentStatus = REQUESTED, **more: Any) -> Desired:
    return Desired(**({"fleet": "edge", "members": frozenset(IDS[:count]), "status": status} | more))


def record(*phases: Phase, status: ReenrollmentStatus = REQUESTED, **more: Any) -> Record:
    members = {
        IDS[number]: Member(
            status,
            phase,
            OLD,
            requested_status=None if phase is Phase.DUE else status,
            owned_flags=frozenset({status}),
            machine=f"edge-{number:03}",
        )
        for number, phase in enumerate(phases)
    }
    return Record("edge", status, members, **more)


P, R, F, M, U, D = (
    Phase.PENDING,
    Phase.REENROLLED,
    Phase.REJECTED,
    Phase.MISSING,
    Phase.UNREACHED,
    Phase.DUE,
)


@pytest.mark.parametrize(
    ("before", "after", "acts"),
    [
        (Record("edge"), desired(), {"first": 3}),
        (record(P, R, F), desired(), {"again": 1, "unchanged": 2, "reenrolled": 1}),
        (record(P, P), desired(), {"first": 1, "unchanged": 2}),
        (record(P, P, P), desired(1), {"removed": 2, "unchanged": 1}),
        (record(P, P, P), desired(1, on_removal="retain"), {"forgotten": 2, "unchanged": 1}),
        (record(P, R, P), desired(3, REQUIRED), {"again": 2, "unchanged": 1, "reenrolled": 1}),
        (record(P, R, P), desired(triggers={"a": "b"}), {"first": 3}),
        (record(P, P, P), desired(3, NONE), {"cleared": 3}),
        (record(Phase.SETTLED, status=NONE), desired(1), {"first": 1}),
        (record(P, P, P), desired(on_failure="warn"), {"unchanged": 3}),
        (record(P, Phase.CLEARED, Phase.CHANGED), desired(), {"again": 2, "unchanged": 1}),
        (record(P, Phase.LEAVING), desired(1), {"removed": 1, "unchanged": 1}),
        (record(P, Phase.LEAVING), desired(2), {"first": 1, "unchanged": 1}),
    ],
)
def test_a_forecast_follows_from_record_and_desired_state(
    before: Record, after: Desired, acts: Mapping[str, int]
) -> None:
    ahead = forecast(before, after)
    assert ahead.changes
    counted = {
        name: len(ids)
        for name in ("first", "again", "cleared", "removed", "forgotten", "unchanged", "reenrolled")
        if (ids := getattr(ahead, name))
    }
    assert counted == acts
    message = report.forecast(after, ahead, before.name)
    assert len(message.summary) <= 80
    for name in ("first", "again", "cleared", "removed"):
        assert all(member_id in message.detail for member_id in getattr(ahead, name))


def test_a_forecast_says_why_members_stay_unchanged_under_another_status() -> None:
    before, after = record(P, R, P), desired(3, REQUIRED)
    assert "triggers" in report.forecast(after, forecast(before, after), before.name).detail


def test_only_recorded_flags_are_counted_as_cleared() -> None:
    known = record(P, P, D)
    closing = desired(3, NONE)
    unowned = Record("edge", REQUESTED, {**known.members, IDS[2]: Member(REQUESTED, D)})
    message = report.forecast(closing, forecast(unowned, closing), unowned.name)
    assert "the flag of 2 orchestrators" in message.text()
    assert "any flag that stands on 1 orchestrator" in message.text()
    assert set(message.members) == set(IDS[:3])
    new = Record("edge")
    message = report.forecast(closing, forecast(new, closing), new.name)
    assert "any flag that stands on 3 orchestrators" in message.text()
    assert forecast(new, closing).changes


@pytest.mark.parametrize("phases", [(P,), (R,), (Phase.UNVERIFIED,), (P, R, Phase.UNVERIFIED)])
def test_members_at_rest_are_no_change(phases: tuple[Phase, ...]) -> None:
    assert not forecast(record(*phases), desired(len(phases))).changes


@pytest.mark.parametrize("phase", [F, M, U, D, Phase.CHANGED, Phase.CLEARED, Phase.LEAVING])
def test_members_not_at_rest_are_a_change(phase: Phase) -> None:
    assert forecast(record(P, phase), desired(2)).changes


def test_a_run_that_failed_for_an_outage_is_a_change() -> None:
    assert forecast(record(P, P, trouble="down"), desired(2)).changes


def test_only_flags_that_no_other_fleet_owns_are_observed_for_clearing() -> None:
    held = {IDS[1]: frozenset({REQUESTED}), IDS[2]: frozenset({REQUIRED})}
    assert set(removed_from(record(P, P, P), desired(1), held)) == {IDS[2]}


def test_a_member_that_returns_begins_a_round() -> None:
    assert members_of(record(P, Phase.LEAVING), desired(2))[IDS[1]].queued


def test_a_run_that_could_not_read_command_keeps_phases_and_members() -> None:
    before = record(P, R, F, P, D)
    members = members_of(before, desired(5))
    del members[IDS[3]]
    plan = unread(members, removed_from(before, desired(3), {}), "down")
    after = recorded(desired(3), plan.members, "trouble")
    phases = [after.members[member_id].phase for member_id in IDS[:3]]
    assert phases == [P, R, F]
    assert after.members[IDS[3]].phase is Phase.LEAVING
    assert plan.requests == {}


def test_a_refresh_gives_the_observed_flag_only_for_drift() -> None:
    before = record(P, P, P, R, F)
    shown = [
        Observation("None", OLD),
        Observation("Required", OLD),
        Observation("Requested", OLD),
        Observation("None", NEW),
        Observation("None", OLD),
    ]
    plan = observe(dict(before.members), {}, dict(zip(IDS, shown, strict=False)), AT)
    assert plan.drift == {IDS[0]: "None", IDS[1]: "Required"}


def test_a_failure_names_the_failed_by_reason_and_counts_the_rest() -> None:
    text = str(report.failure(record(F, M, U, P, R)))
    for fact in (
        "edge: ",
        "3 of 5",
        f"edge-000 ({IDS[0]})",
        "1 not found",
        "1 not reached",
        "1 pending, 1 re-enrolled",
    ):
        assert fact in text


def test_a_run_without_failed_members_succeeds() -> None:
    assert report.failure(record(P, R, Phase.UNVERIFIED, Phase.SETTLED)) is None


@pytest.mark.parametrize("more", [{"trouble": "down"}, {}])
def test_an_outage_or_a_flag_not_cleared_fails_a_run(more: dict[str, Any]) -> None:
    assert report.failure(record(P, P if more else Phase.LEAVING, **more)) is not None


@pytest.mark.parametrize("phases", [(F,) * 50, (F,) * 15 + (M,) * 15, (F,) * 25 + (U,) * 25])
def test_no_message_names_more_than_twenty(phases: tuple[Phase, ...]) -> None:
    failed = record(*phases)
    retries = report.retry(failed, forecast(failed, failed.desired()))
    for text in (str(report.failure(failed)), *(message.text() for message in retries)):
        assert sum(member_id in text for member_id in IDS) == 20


def test_an_unknown_fleet_names_its_sources_and_counts_flags_that_it_may_clear() -> None:
    message = report.unknown("edge", record(P, P, R), [IDS[0]], ["orchestrator_ids"], ["wave-1"])
    assert "wave-1" in message.summary
    assert "up to 2" in message.summary


@pytest.mark.parametrize(
    ("member", "observed", "state", "warns"),
    [
        (Member(REQUESTED, P, OLD), Observation("Requested", OLD), "waiting", False),
        (Member(REQUESTED, P, OLD), None, "bad", False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=OLD, legacy=OLD), "waiting", False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=NEW, legacy=OLD), "waiting", False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=OLD), "waiting", False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW, last_used=NEW), "complete", False),
        (Member(REQUESTED, P, OLD), Observation("None", NEW), "complete", True),
        (Member(REQUESTED, R, OLD), None, "complete", True),
        (Member(NONE, Phase.SETTLED), Observation("None", OLD), "complete", True),
        (Member(REQUESTED, P, "", requested_status=REQUESTED), Observation("None", None), "waiting", False),
        (Member(REQUESTED, F, OLD), Observation("None", OLD), "bad", False),
        (Member(REQUESTED, D, OLD), Observation("None", OLD), "queued", False),
        (Member(REQUESTED, P, OLD, overdue=True), Observation("Requested", OLD), "bad", False),
    ],
)
def test_a_member_is_complete_when_its_new_certificate_is_in_use(
    member: Member, observed: Observation | None, state: str, warns: bool
) -> None:
    result = progress({IDS[0]: member}, {IDS[0]: observed}, AT)
    assert [name for name in ("complete", "queued", "bad", "waiting") if getattr(result, name)] == [state]
    assert bool(result.warnings) == warns
