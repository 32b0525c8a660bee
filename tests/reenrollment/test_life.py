"""One orchestrator in one round: every rule of its life, from what is recorded and seen to what is done."""

import pytest
from msgspec.structs import replace

from keyfactor_provider.reenrollment.life import (
    Judged,
    Observation,
    accepted,
    depart,
    enter,
    judge,
    leaving,
    refused,
    unreached,
)
from keyfactor_provider.reenrollment.record import UNSEEN, Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

NONE, REQUESTED, REQUIRED = ReenrollmentStatus
OLD, NEW = "AA" * 20, "BB" * 20


def member(phase: Phase, desired: ReenrollmentStatus = REQUESTED, **more: object) -> Member:
    """A member that was asked when its certificate was OLD, unless told otherwise."""
    fields: dict[str, object] = {"baseline": OLD}
    if phase is Phase.PENDING:
        fields |= {"asked": desired, "ours": frozenset({desired})}
    return Member(desired, phase, **(fields | more))  # type: ignore[arg-type]


def seen(flag: str = "None", thumbprint: str | None = OLD, **more: str | None) -> Observation:
    return Observation(flag, thumbprint, **more)  # type: ignore[arg-type]


PENDING = member(Phase.PENDING)
DONE = member(Phase.REENROLLED, asked=REQUESTED)
WITHOUT = member(Phase.PENDING, baseline="")


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
        (member(Phase.REFUSED), None, Phase.MISSING, None),
        # 4. another certificate than at the beginning, whatever the flag
        (PENDING, seen(thumbprint=NEW), Phase.REENROLLED, None),
        (PENDING, seen("Required", NEW), Phase.REENROLLED, None),
        (WITHOUT, seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.UNREACHED), seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.REFUSED), seen(thumbprint=NEW), Phase.REENROLLED, None),
        (member(Phase.MISSING), seen(thumbprint=NEW), Phase.REENROLLED, None),
        # 5. the flag stands as wanted, ours or adopted
        (PENDING, seen("Requested"), Phase.PENDING, None),
        (Member(REQUESTED, Phase.DUE), seen("Requested"), Phase.PENDING, None),
        (member(Phase.REFUSED), seen("Requested"), Phase.PENDING, None),
        (member(Phase.PENDING), seen("Requested", None), Phase.PENDING, None),
        # 6. another flag
        (PENDING, seen("Required"), Phase.CHANGED, REQUESTED),
        (PENDING, seen("Postponed"), Phase.CHANGED, REQUESTED),
        (Member(REQUESTED, Phase.DUE), seen("Required"), Phase.DUE, REQUESTED),
        (member(Phase.REFUSED), seen("Required"), Phase.REFUSED, REQUESTED),
        # 7. no certificate, before or after: nobody can tell
        (WITHOUT, seen(thumbprint=None), Phase.UNVERIFIED, None),
        (
            member(Phase.UNVERIFIED, baseline="", asked=REQUESTED),
            seen(thumbprint=None),
            Phase.UNVERIFIED,
            None,
        ),
        (
            member(Phase.DUE, REQUIRED, baseline="", asked=REQUESTED),
            seen(thumbprint=None),
            Phase.DUE,
            REQUIRED,
        ),
        # 8. otherwise
        (Member(REQUESTED, Phase.DUE), seen(), Phase.DUE, REQUESTED),
        (Member(REQUESTED, Phase.DUE), seen(thumbprint=None), Phase.DUE, REQUESTED),
        (PENDING, seen(), Phase.CLEARED, REQUESTED),
        (PENDING, seen(thumbprint=None), Phase.CLEARED, REQUESTED),
        (member(Phase.CLEARED, asked=REQUESTED), seen(), Phase.CLEARED, REQUESTED),
        (member(Phase.REFUSED), seen(), Phase.REFUSED, REQUESTED),
        (member(Phase.UNREACHED), seen(), Phase.UNREACHED, REQUESTED),
        (member(Phase.MISSING), seen(), Phase.DUE, REQUESTED),
    ],
)
def test_a_reading_gives_a_phase_and_what_to_ask(
    recorded: Member, reading: Observation | None, phase: Phase, ask: ReenrollmentStatus | None
) -> None:
    judged = judge(recorded, reading)
    assert (judged.member.phase, judged.ask) == (phase, ask)


def test_the_first_reading_that_shows_an_agent_is_the_baseline_also_when_it_has_no_certificate() -> None:
    assert judge(Member(REQUESTED, Phase.DUE), seen(thumbprint=None)).member.baseline == ""
    assert judge(Member(REQUESTED, Phase.DUE), seen()).member.baseline == OLD
    assert judge(Member(REQUESTED, Phase.DUE), None).member.baseline is UNSEEN


def test_the_baseline_is_kept_by_later_asks() -> None:
    asked = accepted(judge(PENDING, seen()).member, REQUESTED)
    assert (asked.baseline, asked.phase) == (OLD, Phase.PENDING)


def test_an_adopted_flag_is_ours_from_then_on() -> None:
    adopted = judge(Member(REQUESTED, Phase.DUE), seen("Requested")).member
    assert adopted.ours == {REQUESTED}
    assert depart(adopted, seen("Requested")).take_back


def test_a_flag_seen_gone_is_no_longer_ours() -> None:
    done = judge(PENDING, seen(thumbprint=NEW)).member
    assert done.ours == frozenset()
    assert not depart(done, seen("Requested", NEW)).take_back


def test_a_flag_that_stands_on_after_the_reenrollment_stays_ours_and_is_warned_about() -> None:
    judged = judge(PENDING, seen("Requested", NEW))
    assert judged.member.ours == {REQUESTED}
    assert "still stands at Requested" in judged.warning
    assert depart(judged.member, seen("Requested", NEW)).take_back


def test_an_agent_gone_after_its_reenrollment_is_warned_about() -> None:
    assert "gone from Command" in judge(DONE, None).warning


def test_somebody_elses_flag_on_one_that_has_reenrolled_is_not_warned_about() -> None:
    assert judge(DONE, seen("Required", NEW)).warning == ""


@pytest.mark.parametrize(
    ("reading", "ours", "take_back", "warns"),
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
def test_leaving_takes_back_what_is_ours_whatever_the_phase(
    phase: Phase, reading: Observation | None, ours: set[ReenrollmentStatus], take_back: bool, warns: bool
) -> None:
    departed = depart(member(phase, ours=frozenset(ours)), reading)
    assert (departed.take_back, bool(departed.warning)) == (take_back, warns)


@pytest.mark.parametrize(
    ("recorded", "desired", "triggered", "phase", "baseline"),
    [
        # the same desired goes on
        (PENDING, REQUESTED, False, Phase.PENDING, OLD),
        # a change of status: those that have re-enrolled are left alone
        (PENDING, REQUIRED, False, Phase.DUE, OLD),
        (DONE, REQUIRED, False, Phase.REENROLLED, OLD),
        (member(Phase.REFUSED), REQUIRED, False, Phase.REFUSED, OLD),
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
    assert (entered.desired, entered.phase, entered.baseline) == (desired, phase, baseline)


def test_a_new_round_forgets_no_flag_that_is_ours() -> None:
    assert enter(PENDING, REQUESTED, triggered=True).ours == {REQUESTED}
    assert enter(PENDING, NONE, triggered=False).ours == {REQUESTED}


def test_a_round_begun_anew_takes_the_present_certificate_as_its_baseline() -> None:
    begun = judge(enter(DONE, REQUESTED, triggered=True), seen(thumbprint=NEW))
    assert (begun.member.phase, begun.member.baseline, begun.ask) == (Phase.DUE, NEW, REQUESTED)


def test_an_unreached_call_that_may_have_arrived_leaves_a_flag_of_ours() -> None:
    assert unreached(Member(REQUESTED, Phase.DUE), "lost", outcome_open=True).ours == {REQUESTED}
    assert unreached(Member(REQUESTED, Phase.DUE), "not sent", outcome_open=False).ours == frozenset()


def test_refusal_and_failed_release_keep_what_is_ours() -> None:
    assert refused(PENDING, "no").ours == leaving(PENDING, "no").ours == {REQUESTED}


def test_cleared_because_wanted_is_settled() -> None:
    closed = accepted(enter(PENDING, NONE, triggered=False), NONE)
    assert closed == replace(Member(NONE, Phase.SETTLED), machine=closed.machine)


def test_judging_twice_by_the_same_reading_changes_nothing() -> None:
    for recorded in (PENDING, DONE, WITHOUT, member(Phase.REFUSED), member(Phase.CHANGED, asked=REQUESTED)):
        for reading in (None, seen(), seen("Requested"), seen("Required", NEW), seen(thumbprint=None)):
            once = judge(recorded, reading)
            again: Judged = judge(once.member, reading)
            assert again.ask == once.ask
            assert again.member.phase in (once.member.phase, Phase.UNVERIFIED)


def test_an_accepted_request_replaces_whatever_stood_before() -> None:
    pressed = judge(enter(PENDING, REQUIRED, triggered=False), seen("Requested")).member
    assert pressed.ours == {REQUESTED}
    assert accepted(pressed, REQUIRED).ours == {REQUIRED}


@pytest.mark.parametrize("phase", [Phase.UNVERIFIED, Phase.MISSING, Phase.DUE])
def test_whatever_had_been_in_place_in_this_round_is_drift_when_it_is_not(phase: Phase) -> None:
    assert judge(member(phase, asked=REQUESTED), seen("Required")).member.phase is Phase.CHANGED
    assert judge(member(phase, asked=REQUESTED), seen()).member.phase is Phase.CLEARED


def test_a_missing_member_stays_missing_under_another_status() -> None:
    assert enter(member(Phase.MISSING), REQUIRED, triggered=False).phase is Phase.MISSING


def test_who_leaves_takes_along_only_the_flag_that_was_seen() -> None:
    both = member(Phase.PENDING, ours=frozenset({REQUESTED, REQUIRED}))
    assert depart(both, seen("Requested")).member.ours == {REQUESTED}
    assert depart(both, None).member.ours == {REQUESTED, REQUIRED}
