"""One orchestrator in one round: every rule, from record and observation to what is done."""

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
    """A member whose certificate was OLD at the baseline, unless given otherwise."""
    fields: dict[str, object] = {"baseline_thumbprint": OLD}
    if phase is Phase.PENDING:
        fields |= {"requested_status": desired, "owned_flags": frozenset({desired})}
    return Member(desired, phase, **(fields | more))  # type: ignore[arg-type]


def shown(flag: str = "None", thumbprint: str | None = OLD, **more: str | None) -> Observation:
    return Observation(flag, thumbprint, **more)  # type: ignore[arg-type]


PENDING = member(Phase.PENDING)
DONE = member(Phase.REENROLLED, requested_status=REQUESTED)
WITHOUT = member(Phase.PENDING, baseline_thumbprint="")


@pytest.mark.parametrize(
    ("recorded", "observed", "phase", "posts"),
    [
        # 1. the desired status None
        (member(Phase.PENDING, NONE), None, Phase.SETTLED, None),
        (member(Phase.DUE, NONE), shown(), Phase.SETTLED, None),
        (member(Phase.DUE, NONE), shown("Requested"), Phase.DUE, NONE),
        (member(Phase.SETTLED, NONE), shown("Required"), Phase.CHANGED, NONE),
        (member(Phase.DUE, NONE), shown("Postponed"), Phase.DUE, NONE),
        # 2. re-enrolled in this round: it stays re-enrolled
        (DONE, None, Phase.REENROLLED, None),
        (DONE, shown(thumbprint=OLD), Phase.REENROLLED, None),
        (DONE, shown("Requested", NEW), Phase.REENROLLED, None),
        (DONE, shown("Required", None), Phase.REENROLLED, None),
        # 3. not found in Command
        (PENDING, None, Phase.MISSING, None),
        (member(Phase.REJECTED), None, Phase.MISSING, None),
        # 4. the certificate differs from the baseline, with any flag
        (PENDING, shown(thumbprint=NEW), Phase.REENROLLED, None),
        (PENDING, shown("Required", NEW), Phase.REENROLLED, None),
        (WITHOUT, shown(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.UNREACHED), shown(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.REJECTED), shown(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.MISSING), shown(thumbprint=NEW), Phase.REENROLLED, None),
        # 5. the flag is set as desired, owned or adopted
        (PENDING, shown("Requested"), Phase.PENDING, None),
        (Member(REQUESTED, Phase.DUE), shown("Requested"), Phase.PENDING, None),
        (member(Phase.REJECTED), shown("Requested"), Phase.PENDING, None),
        (member(Phase.PENDING), shown("Requested", None), Phase.PENDING, None),
        # 6. another flag
        (PENDING, shown("Required"), Phase.CHANGED, REQUESTED),
        (PENDING, shown("Postponed"), Phase.CHANGED, REQUESTED),
        (Member(REQUESTED, Phase.DUE), shown("Required"), Phase.DUE, REQUESTED),
        (member(Phase.REJECTED), shown("Required"), Phase.REJECTED, REQUESTED),
        # 7. no certificate before or after the request
        (WITHOUT, shown(thumbprint=None), Phase.UNVERIFIED, None),
        (
            member(Phase.UNVERIFIED, baseline_thumbprint="", requested_status=REQUESTED),
            shown(thumbprint=None),
            Phase.UNVERIFIED,
            None,
        ),
        (
            member(Phase.DUE, REQUIRED, baseline_thumbprint="", requested_status=REQUESTED),
            shown(thumbprint=None),
            Phase.DUE,
            REQUIRED,
        ),
        # 8. otherwise
        (Member(REQUESTED, Phase.DUE), shown(), Phase.DUE, REQUESTED),
        (Member(REQUESTED, Phase.DUE), shown(thumbprint=None), Phase.DUE, REQUESTED),
        (PENDING, shown(), Phase.CLEARED, REQUESTED),
        (PENDING, shown(thumbprint=None), Phase.CLEARED, REQUESTED),
        (member(Phase.CLEARED, requested_status=REQUESTED), shown(), Phase.CLEARED, REQUESTED),
        (member(Phase.REJECTED), shown(), Phase.REJECTED, REQUESTED),
        (member(Phase.UNREACHED), shown(), Phase.UNREACHED, REQUESTED),
        (member(Phase.MISSING), shown(), Phase.MISSING, REQUESTED),
    ],
)
def test_an_observation_gives_a_phase_and_a_request(
    recorded: Member, observed: Observation | None, phase: Phase, posts: ReenrollmentStatus | None
) -> None:
    judged = judge(recorded, observed, AT)
    assert (judged.member.phase, judged.request) == (phase, posts)


def test_the_first_observation_of_an_agent_is_the_baseline_even_without_a_certificate() -> None:
    assert judge(Member(REQUESTED, Phase.DUE), shown(thumbprint=None), AT).member.baseline_thumbprint == ""
    assert judge(Member(REQUESTED, Phase.DUE), shown(), AT).member.baseline_thumbprint == OLD
    assert judge(Member(REQUESTED, Phase.DUE), None, AT).member.baseline_thumbprint is UNSEEN


def test_later_requests_keep_the_baseline() -> None:
    renewed = accepted(judge(PENDING, shown(), AT).member, REQUESTED, AT)
    assert (renewed.baseline_thumbprint, renewed.phase) == (OLD, Phase.PENDING)


def test_an_adopted_flag_is_owned() -> None:
    adopted = judge(Member(REQUESTED, Phase.DUE), shown("Requested"), AT).member
    assert adopted.owned_flags == {REQUESTED}
    assert depart(adopted, shown("Requested"), AT).clear


def test_a_flag_observed_as_gone_is_no_longer_owned() -> None:
    done = judge(PENDING, shown(thumbprint=NEW), AT).member
    assert done.owned_flags == frozenset()
    assert not depart(done, shown("Requested", NEW), AT).clear


def test_a_flag_still_set_after_re_enrollment_stays_owned_and_is_a_warning() -> None:
    judged = judge(PENDING, shown("Requested", NEW), AT)
    assert judged.member.owned_flags == {REQUESTED}
    assert "still stands at Requested" in judged.warning
    assert depart(judged.member, shown("Requested", NEW), AT).clear


def test_an_agent_gone_after_its_re_enrollment_is_a_warning() -> None:
    assert "gone from Command" in judge(DONE, None, AT).warning


def test_a_flag_not_owned_after_re_enrollment_is_no_warning() -> None:
    assert judge(DONE, shown("Required", NEW), AT).warning == ""


@pytest.mark.parametrize(
    ("observed", "owned", "clear", "warns"),
    [
        (None, {REQUESTED}, False, True),
        (None, set(), False, False),
        (shown(), {REQUESTED}, False, False),
        (shown("Requested"), {REQUESTED}, True, False),
        (shown("Required"), {REQUESTED, REQUIRED}, True, False),
        (shown("Required"), {REQUESTED}, False, True),
        (shown("Requested"), set(), False, True),
    ],
)
@pytest.mark.parametrize("phase", list(Phase))
def test_removal_clears_owned_flags_in_any_phase(
    phase: Phase, observed: Observation | None, owned: set[ReenrollmentStatus], clear: bool, warns: bool
) -> None:
    departed = depart(member(phase, owned_flags=frozenset(owned)), observed, AT)
    assert (departed.clear, bool(departed.warning)) == (clear, warns)


@pytest.mark.parametrize(
    ("recorded", "desired", "triggered", "phase", "baseline"),
    [
        # the same status: the round continues
        (PENDING, REQUESTED, False, Phase.PENDING, OLD),
        # another status: members that have re-enrolled stay unchanged
        (PENDING, REQUIRED, False, Phase.DUE, OLD),
        (DONE, REQUIRED, False, Phase.REENROLLED, OLD),
        (member(Phase.REJECTED), REQUIRED, False, Phase.REJECTED, OLD),
        (member(Phase.UNVERIFIED), REQUIRED, False, Phase.DUE, OLD),
        # triggers begin a round, and so do leaving the status None and returning to the fleet
        (PENDING, REQUESTED, True, Phase.DUE, UNSEEN),
        (DONE, REQUESTED, True, Phase.DUE, UNSEEN),
        (member(Phase.SETTLED, NONE), REQUESTED, False, Phase.DUE, UNSEEN),
        (member(Phase.LEAVING), REQUESTED, False, Phase.DUE, UNSEEN),
        # the status None ends the round
        (DONE, NONE, False, Phase.DUE, UNSEEN),
    ],
)
def test_a_desired_status_continues_begins_or_ends_a_round(
    recorded: Member, desired: ReenrollmentStatus, triggered: bool, phase: Phase, baseline: object
) -> None:
    entered = enter(recorded, desired, triggered=triggered)
    assert (entered.desired, entered.phase, entered.baseline_thumbprint) == (desired, phase, baseline)


def test_a_new_round_keeps_owned_flags() -> None:
    assert enter(PENDING, REQUESTED, triggered=True).owned_flags == {REQUESTED}
    assert enter(PENDING, NONE, triggered=False).owned_flags == {REQUESTED}


def test_a_new_round_takes_the_current_certificate_as_its_baseline() -> None:
    begun = judge(enter(DONE, REQUESTED, triggered=True), shown(thumbprint=NEW), AT)
    assert (begun.member.phase, begun.member.baseline_thumbprint, begun.request) == (Phase.DUE, NEW, REQUESTED)


def test_an_unreached_call_that_may_have_arrived_leaves_an_owned_flag() -> None:
    assert unreached(Member(REQUESTED, Phase.DUE), "lost", outcome_open=True).owned_flags == {REQUESTED}
    assert unreached(Member(REQUESTED, Phase.DUE), "not sent", outcome_open=False).owned_flags == frozenset()


def test_a_rejection_and_a_failed_clearing_keep_owned_flags() -> None:
    assert rejected(PENDING, "no").owned_flags == leaving(PENDING, "no").owned_flags == {REQUESTED}


def test_a_flag_cleared_as_desired_is_settled() -> None:
    closed = accepted(enter(PENDING, NONE, triggered=False), NONE, AT)
    assert closed == replace(Member(NONE, Phase.SETTLED), machine=closed.machine)


def test_judging_the_same_observation_twice_changes_nothing() -> None:
    for recorded in (PENDING, DONE, WITHOUT, member(Phase.REJECTED), member(Phase.CHANGED, requested_status=REQUESTED)):
        for observed in (None, shown(), shown("Requested"), shown("Required", NEW), shown(thumbprint=None)):
            once = judge(recorded, observed, AT)
            again: Judged = judge(once.member, observed, AT)
            assert again.request == once.request
            assert again.member.phase in (once.member.phase, Phase.UNVERIFIED)


def test_an_accepted_request_replaces_any_earlier_flag() -> None:
    pressed = judge(enter(PENDING, REQUIRED, triggered=False), shown("Requested"), AT).member
    assert pressed.owned_flags == {REQUESTED}
    assert accepted(pressed, REQUIRED, AT).owned_flags == {REQUIRED}


@pytest.mark.parametrize("phase", [Phase.UNVERIFIED, Phase.DUE])
def test_a_flag_requested_in_this_round_and_changed_is_drift(phase: Phase) -> None:
    assert judge(member(phase, requested_status=REQUESTED), shown("Required"), AT).member.phase is Phase.CHANGED
    assert judge(member(phase, requested_status=REQUESTED), shown(), AT).member.phase is Phase.CLEARED


def test_a_missing_member_stays_missing_under_another_status() -> None:
    assert enter(member(Phase.MISSING), REQUIRED, triggered=False).phase is Phase.MISSING


def test_a_removed_member_owns_only_the_observed_flag() -> None:
    both = member(Phase.PENDING, owned_flags=frozenset({REQUESTED, REQUIRED}))
    assert depart(both, shown("Requested"), AT).member.owned_flags == {REQUESTED}
    assert depart(both, None, AT).member.owned_flags == {REQUESTED, REQUIRED}


def minutes(number: float) -> Moment:
    return moment(NOW + timedelta(minutes=number), overdue_after=3600)


ACCEPTED = accepted(Member(REQUESTED, Phase.DUE, OLD), REQUESTED, AT)


@pytest.mark.parametrize(
    ("later", "observed", "phase"),
    [
        (0.5, shown(), Phase.PENDING),
        (0.5, shown("Required"), Phase.PENDING),
        (0.5, shown(thumbprint=NEW), Phase.REENROLLED),
        (2, shown(), Phase.CLEARED),
        (2, shown("Required"), Phase.CHANGED),
        # The clock of the earlier run was ahead: its time counts as past.
        (-5, shown(), Phase.CLEARED),
    ],
)
def test_for_a_minute_after_an_acceptance_the_old_state_is_a_stale_observation(
    later: float, observed: Observation, phase: Phase
) -> None:
    assert judge(ACCEPTED, observed, minutes(later)).member.phase is phase


def test_a_stale_observation_keeps_the_flag_owned_and_still_clears_it() -> None:
    assert depart(ACCEPTED, shown(), minutes(0.5)).clear
    closing = enter(ACCEPTED, NONE, triggered=False)
    assert judge(closing, shown(), minutes(0.5)).request is NONE
    assert judge(closing, shown(), minutes(2)).member.phase is Phase.SETTLED


def test_the_time_of_a_request_is_its_first_acceptance_in_the_round() -> None:
    assert ACCEPTED.requested_at == "2026-11-26T12:00:00Z"
    again = accepted(judge(ACCEPTED, shown(), minutes(5)).member, REQUESTED, minutes(5))
    assert (again.requested_at, again.accepted_at) == ("2026-11-26T12:00:00Z", "2026-11-26T12:05:00Z")
    pressed = accepted(enter(again, REQUIRED, triggered=False), REQUIRED, minutes(9))
    assert pressed.requested_at == "2026-11-26T12:09:00Z"
    assert enter(pressed, REQUIRED, triggered=True).requested_at == ""


def test_a_recorded_time_is_never_in_the_future() -> None:
    assert judge(ACCEPTED, shown("Requested"), minutes(-10)).member.requested_at == "2026-11-26T11:50:00Z"


def test_a_member_of_older_state_gets_its_time_at_the_next_observation() -> None:
    assert judge(member(Phase.PENDING), shown("Requested"), AT).member.requested_at == AT.now


@pytest.mark.parametrize(
    ("recorded", "observed", "overdue"),
    [
        (ACCEPTED, shown("Requested"), True),
        (ACCEPTED, None, True),
        (replace(ACCEPTED, baseline_thumbprint=""), shown(thumbprint=None), True),
        (ACCEPTED, shown(thumbprint=NEW, last_used=OLD), True),
        (ACCEPTED, shown(thumbprint=NEW, last_used=NEW), False),
        (Member(REQUESTED, Phase.DUE, OLD), shown(), False),
        (Member(REQUESTED, Phase.REJECTED, OLD), shown(), False),
    ],
)
def test_a_member_requested_too_long_ago_is_overdue_in_any_phase(
    recorded: Member, observed: Observation | None, overdue: bool
) -> None:
    assert judge(recorded, observed, minutes(61)).member.overdue is overdue
    assert not judge(recorded, observed, minutes(59)).member.overdue


def test_a_certificate_observed_in_use_stays_in_use() -> None:
    used = judge(ACCEPTED, shown(thumbprint=NEW, last_used=NEW), minutes(5)).member
    assert (used.in_use, used.reenrolled_at) == (True, "2026-11-26T12:05:00Z")
    assert judge(used, shown(thumbprint=NEW, last_used=OLD), minutes(6)).member.in_use


def test_a_missing_member_that_has_appeared_stays_missing_until_its_request() -> None:
    back = judge(member(Phase.MISSING), shown(), AT)
    assert (back.member.phase, back.member.reason, back.request) == (Phase.MISSING, "has appeared", REQUESTED)


def test_a_queued_member_that_is_not_found_stays_queued() -> None:
    assert judge(Member(REQUESTED, Phase.DUE), None, AT).member.queued
