"""One orchestrator in one round: every rule of its life, from what is recorded and seen to what is done."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from keyfactor_provider.reenrollment.life import (
    Judged,
    Moment,
    Observation,
    accepted,
    depart,
    enter,
    judge,
    leaving,
    moment,
    rejected,
    unreached,
)
from keyfactor_provider.reenrollment.record import UNSEEN, Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
OLD, NEW = "AA" * 20, "BB" * 20
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
AT = moment(NOW)


def member(phase: Phase, desired: ReenrollmentStatus = REQUESTED, **more: object) -> Member:
    """A member that was asked when its certificate was OLD, unless told otherwise."""
    fields: dict[str, object] = {"baseline_thumbprint": OLD}
    if phase is Phase.PENDING:
        fields |= {"requested_status": desired, "owned_flags": frozenset({desired})}
    return Member(desired, phase, **(fields | more))  # type: ignore[arg-type]


def seen(flag: str = "None", thumbprint: str | None = OLD, **more: str | None) -> Observation:
    return Observation(flag, thumbprint, **more)  # type: ignore[arg-type]


PENDING = member(Phase.PENDING)
DONE = member(Phase.REENROLLED, requested_status=REQUESTED)
WITHOUT = member(Phase.PENDING, baseline_thumbprint="")


@pytest.mark.parametrize(
    ("recorded", "reading", "phase", "ask"),
    [
        # 1. the desired None
        (member(Phase.PENDING, NONE), None, Phase.SETTLED, None),
        (member(Phase.DUE, NONE), seen(), Phase.SETTLED, None),
        (member(Phase.DUE, NONE), seen("Requested"), Phase.DUE, NONE),
        (member(Phase.SETTLED, NONE), seen("Required"), Phase.CHANGED, NONE),
        (member(Phase.DUE, NONE), seen("Postponed"), Phase.DUE, NONE),
        # 2. re-enrolled in this round: stays so
        (DONE, None, Phase.REENROLLED, None),
        (DONE, seen(thumbprint=OLD), Phase.REENROLLED, None),
        (DONE, seen("Requested", NEW), Phase.REENROLLED, None),
        (DONE, seen("Required", None), Phase.REENROLLED, None),
        # 3. not there
        (PENDING, None, Phase.MISSING, None),
        (member(Phase.REJECTED), None, Phase.MISSING, None),
        # 4. another certificate than at the beginning, whatever the flag
        (PENDING, seen(thumbprint=NEW), Phase.REENROLLED, None),
        (PENDING, seen("Required", NEW), Phase.REENROLLED, None),
        (WITHOUT, seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.UNREACHED), seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.REJECTED), seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.MISSING), seen(thumbprint=NEW), Phase.REENROLLED, None),
        # 5. the flag stands as wanted, owned or adopted
        (PENDING, seen("Requested"), Phase.PENDING, None),
        (Member(REQUESTED, Phase.DUE), seen("Requested"), Phase.PENDING, None),
        (member(Phase.REJECTED), seen("Requested"), Phase.PENDING, None),
        (member(Phase.PENDING), seen("Requested", None), Phase.PENDING, None),
        # 6. another flag
        (PENDING, seen("Required"), Phase.CHANGED, REQUESTED),
        (PENDING, seen("Postponed"), Phase.CHANGED, REQUESTED),
        (Member(REQUESTED, Phase.DUE), seen("Required"), Phase.DUE, REQUESTED),
        (member(Phase.REJECTED), seen("Required"), Phase.REJECTED, REQUESTED),
        # 7. no certificate, before or after: nobody can tell
        (WITHOUT, seen(thumbprint=None), Phase.UNVERIFIED, None),
        (
            member(Phase.UNVERIFIED, baseline_thumbprint="", requested_status=REQUESTED),
            seen(thumbprint=None),
            Phase.UNVERIFIED,
            None,
        ),
        (
            member(Phase.DUE, REQUIRED, baseline_thumbprint="", requested_status=REQUESTED),
            seen(thumbprint=None),
            Phase.DUE,
            REQUIRED,
        ),
        # 8. otherwise
        (Member(REQUESTED, Phase.DUE), seen(), Phase.DUE, REQUESTED),
        (Member(REQUESTED, Phase.DUE), seen(thumbprint=None), Phase.DUE, REQUESTED),
        (PENDING, seen(), Phase.CLEARED, REQUESTED),
        (PENDING, seen(thumbprint=None), Phase.CLEARED, REQUESTED),
        (member(Phase.CLEARED, requested_status=REQUESTED), seen(), Phase.CLEARED, REQUESTED),
        (member(Phase.REJECTED), seen(), Phase.REJECTED, REQUESTED),
        (member(Phase.UNREACHED), seen(), Phase.UNREACHED, REQUESTED),
        (member(Phase.MISSING), seen(), Phase.MISSING, REQUESTED),
    ],
)
def test_a_reading_gives_a_phase_and_what_to_ask(
    recorded: Member, reading: Observation | None, phase: Phase, ask: ReenrollmentStatus | None
) -> None:
    judged = judge(recorded, reading, AT)
    assert (judged.member.phase, judged.request) == (phase, ask)


def test_the_first_reading_that_shows_an_agent_is_the_baseline_also_when_it_has_no_certificate() -> None:
    assert judge(Member(REQUESTED, Phase.DUE), seen(thumbprint=None), AT).member.baseline_thumbprint == ""
    assert judge(Member(REQUESTED, Phase.DUE), seen(), AT).member.baseline_thumbprint == OLD
    assert judge(Member(REQUESTED, Phase.DUE), None, AT).member.baseline_thumbprint is UNSEEN


def test_the_baseline_is_kept_by_later_asks() -> None:
    asked = accepted(judge(PENDING, seen(), AT).member, REQUESTED, AT)
    assert (asked.baseline_thumbprint, asked.phase) == (OLD, Phase.PENDING)


def test_an_adopted_flag_is_owned_from_then_on() -> None:
    adopted = judge(Member(REQUESTED, Phase.DUE), seen("Requested"), AT).member
    assert adopted.owned_flags == {REQUESTED}
    assert depart(adopted, seen("Requested"), AT).clear


def test_a_flag_seen_gone_is_no_longer_owned() -> None:
    done = judge(PENDING, seen(thumbprint=NEW), AT).member
    assert done.owned_flags == frozenset()
    assert not depart(done, seen("Requested", NEW), AT).clear


def test_a_flag_that_stands_on_after_the_reenrollment_stays_owned_and_is_warned_about() -> None:
    judged = judge(PENDING, seen("Requested", NEW), AT)
    assert judged.member.owned_flags == {REQUESTED}
    assert "still stands at Requested" in judged.warning
    assert depart(judged.member, seen("Requested", NEW), AT).clear


def test_an_agent_gone_after_its_reenrollment_is_warned_about() -> None:
    assert "gone from Command" in judge(DONE, None, AT).warning


def test_somebody_elses_flag_on_one_that_has_reenrolled_is_not_warned_about() -> None:
    assert judge(DONE, seen("Required", NEW), AT).warning == ""


@pytest.mark.parametrize(
    ("reading", "owned", "clear", "warns"),
    [
        (None, {REQUESTED}, False, True),
        (None, set(), False, False),
        (seen(), {REQUESTED}, False, False),
        (seen("Requested"), {REQUESTED}, True, False),
        (seen("Required"), {REQUESTED, REQUIRED}, True, False),
        (seen("Required"), {REQUESTED}, False, True),
        (seen("Requested"), set(), False, True),
    ],
)
@pytest.mark.parametrize("phase", list(Phase))
def test_leaving_clears_what_is_owned_whatever_the_phase(
    phase: Phase, reading: Observation | None, owned: set[ReenrollmentStatus], clear: bool, warns: bool
) -> None:
    departed = depart(member(phase, owned_flags=frozenset(owned)), reading, AT)
    assert (departed.clear, bool(departed.warning)) == (clear, warns)


@pytest.mark.parametrize(
    ("recorded", "desired", "triggered", "phase", "baseline"),
    [
        # the same desired goes on
        (PENDING, REQUESTED, False, Phase.PENDING, OLD),
        # a change of status: those that have re-enrolled are left alone
        (PENDING, REQUIRED, False, Phase.DUE, OLD),
        (DONE, REQUIRED, False, Phase.REENROLLED, OLD),
        (member(Phase.REJECTED), REQUIRED, False, Phase.REJECTED, OLD),
        (member(Phase.UNVERIFIED), REQUIRED, False, Phase.DUE, OLD),
        # triggers begin a round, and so does leaving None, and coming back
        (PENDING, REQUESTED, True, Phase.DUE, UNSEEN),
        (DONE, REQUESTED, True, Phase.DUE, UNSEEN),
        (member(Phase.SETTLED, NONE), REQUESTED, False, Phase.DUE, UNSEEN),
        (member(Phase.LEAVING), REQUESTED, False, Phase.DUE, UNSEEN),
        # None closes the round and forgets it
        (DONE, NONE, False, Phase.DUE, UNSEEN),
    ],
)
def test_a_wish_continues_begins_or_closes_a_round(
    recorded: Member, desired: ReenrollmentStatus, triggered: bool, phase: Phase, baseline: object
) -> None:
    entered = enter(recorded, desired, triggered=triggered)
    assert (entered.desired, entered.phase, entered.baseline_thumbprint) == (desired, phase, baseline)


def test_a_new_round_forgets_no_flag_that_is_owned() -> None:
    assert enter(PENDING, REQUESTED, triggered=True).owned_flags == {REQUESTED}
    assert enter(PENDING, NONE, triggered=False).owned_flags == {REQUESTED}


def test_a_round_begun_anew_takes_the_present_certificate_as_its_baseline() -> None:
    begun = judge(enter(DONE, REQUESTED, triggered=True), seen(thumbprint=NEW), AT)
    assert (begun.member.phase, begun.member.baseline_thumbprint, begun.request) == (Phase.DUE, NEW, REQUESTED)


def test_an_unreached_call_that_may_have_arrived_leaves_an_owned_flag() -> None:
    assert unreached(Member(REQUESTED, Phase.DUE), "lost", outcome_open=True).owned_flags == {REQUESTED}
    assert unreached(Member(REQUESTED, Phase.DUE), "not sent", outcome_open=False).owned_flags == frozenset()


def test_refusal_and_failed_release_keep_what_is_owned() -> None:
    assert rejected(PENDING, "no").owned_flags == leaving(PENDING, "no").owned_flags == {REQUESTED}


def test_cleared_because_wanted_is_settled() -> None:
    closed = accepted(enter(PENDING, NONE, triggered=False), NONE, AT)
    assert closed == replace(Member(NONE, Phase.SETTLED), machine=closed.machine)


def test_judging_twice_by_the_same_reading_changes_nothing() -> None:
    for recorded in (PENDING, DONE, WITHOUT, member(Phase.REJECTED), member(Phase.CHANGED, requested_status=REQUESTED)):
        for reading in (None, seen(), seen("Requested"), seen("Required", NEW), seen(thumbprint=None)):
            once = judge(recorded, reading, AT)
            again: Judged = judge(once.member, reading, AT)
            assert again.request == once.request
            assert again.member.phase in (once.member.phase, Phase.UNVERIFIED)


def test_an_accepted_request_replaces_whatever_stood_before() -> None:
    pressed = judge(enter(PENDING, REQUIRED, triggered=False), seen("Requested"), AT).member
    assert pressed.owned_flags == {REQUESTED}
    assert accepted(pressed, REQUIRED, AT).owned_flags == {REQUIRED}


@pytest.mark.parametrize("phase", [Phase.UNVERIFIED, Phase.DUE])
def test_whatever_had_been_in_place_in_this_round_is_drift_when_it_is_not(phase: Phase) -> None:
    assert judge(member(phase, requested_status=REQUESTED), seen("Required"), AT).member.phase is Phase.CHANGED
    assert judge(member(phase, requested_status=REQUESTED), seen(), AT).member.phase is Phase.CLEARED


def test_a_missing_member_stays_missing_under_another_status() -> None:
    assert enter(member(Phase.MISSING), REQUIRED, triggered=False).phase is Phase.MISSING


def test_who_leaves_takes_along_only_the_flag_that_was_seen() -> None:
    both = member(Phase.PENDING, owned_flags=frozenset({REQUESTED, REQUIRED}))
    assert depart(both, seen("Requested"), AT).member.owned_flags == {REQUESTED}
    assert depart(both, None, AT).member.owned_flags == {REQUESTED, REQUIRED}


def minutes(number: float) -> Moment:
    return moment(NOW + timedelta(minutes=number), overdue_after=3600)


ASKED = accepted(Member(REQUESTED, Phase.DUE, OLD), REQUESTED, AT)


@pytest.mark.parametrize(
    ("later", "reading", "phase"),
    [
        (0.5, seen(), Phase.PENDING),
        (0.5, seen("Required"), Phase.PENDING),
        (0.5, seen(thumbprint=NEW), Phase.REENROLLED),
        (2, seen(), Phase.CLEARED),
        (2, seen("Required"), Phase.CHANGED),
        # The clock of the run before was ahead: its time counts as past.
        (-5, seen(), Phase.CLEARED),
    ],
)
def test_for_a_minute_after_an_acceptance_what_stood_before_it_is_a_stale_reading(
    later: float, reading: Observation, phase: Phase
) -> None:
    assert judge(ASKED, reading, minutes(later)).member.phase is phase


def test_a_stale_reading_keeps_the_flag_owned_and_clears_it_all_the_same() -> None:
    assert depart(ASKED, seen(), minutes(0.5)).clear
    closing = enter(ASKED, NONE, triggered=False)
    assert judge(closing, seen(), minutes(0.5)).request is NONE
    assert judge(closing, seen(), minutes(2)).member.phase is Phase.SETTLED


def test_the_time_of_a_request_is_that_of_its_first_acceptance_in_the_round() -> None:
    assert ASKED.requested_at == "2026-11-26T12:00:00Z"
    again = accepted(judge(ASKED, seen(), minutes(5)).member, REQUESTED, minutes(5))
    assert (again.requested_at, again.accepted_at) == ("2026-11-26T12:00:00Z", "2026-11-26T12:05:00Z")
    pressed = accepted(enter(again, REQUIRED, triggered=False), REQUIRED, minutes(9))
    assert pressed.requested_at == "2026-11-26T12:09:00Z"
    assert enter(pressed, REQUIRED, triggered=True).requested_at == ""


def test_a_recorded_time_is_never_in_the_future() -> None:
    assert judge(ASKED, seen("Requested"), minutes(-10)).member.requested_at == "2026-11-26T11:50:00Z"


def test_a_member_of_older_state_gets_its_time_at_the_next_observation() -> None:
    assert judge(member(Phase.PENDING), seen("Requested"), AT).member.requested_at == AT.now


@pytest.mark.parametrize(
    ("recorded", "reading", "overdue"),
    [
        (ASKED, seen("Requested"), True),
        (ASKED, None, True),
        (replace(ASKED, baseline_thumbprint=""), seen(thumbprint=None), True),
        (ASKED, seen(thumbprint=NEW, last_used=OLD), True),
        (ASKED, seen(thumbprint=NEW, last_used=NEW), False),
        (Member(REQUESTED, Phase.DUE, OLD), seen(), False),
        (Member(REQUESTED, Phase.REJECTED, OLD), seen(), False),
    ],
)
def test_overdue_is_who_was_requested_too_long_ago_whatever_the_phase(
    recorded: Member, reading: Observation | None, overdue: bool
) -> None:
    assert judge(recorded, reading, minutes(61)).member.overdue is overdue
    assert not judge(recorded, reading, minutes(59)).member.overdue


def test_a_certificate_seen_in_use_stays_so() -> None:
    used = judge(ASKED, seen(thumbprint=NEW, last_used=NEW), minutes(5)).member
    assert (used.in_use, used.reenrolled_at) == (True, "2026-11-26T12:05:00Z")
    assert judge(used, seen(thumbprint=NEW, last_used=OLD), minutes(6)).member.in_use


def test_a_member_not_found_that_has_appeared_stays_so_until_its_request_is_posted() -> None:
    back = judge(member(Phase.MISSING), seen(), AT)
    assert (back.member.phase, back.member.reason, back.request) == (Phase.MISSING, "has appeared", REQUESTED)


def test_a_queued_member_that_is_not_there_stays_queued() -> None:
    assert judge(Member(REQUESTED, Phase.DUE), None, AT).member.queued
