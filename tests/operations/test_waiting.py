"""Waiting for a completion, step by step, on a clock that the test moves."""

from collections.abc import Mapping
from typing import Any

import pytest

from keyfactor_provider.errors import CompletionFailed, CompletionTimeout, Forbidden, Unreachable
from keyfactor_provider.operations.waiting import Wait
from keyfactor_provider.reenrollment.completion import Progress
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.status import ReenrollmentStatus

MEMBERS = {
    "a": Member(ReenrollmentStatus.REQUESTED, Phase.PENDING, machine="edge-001"),
    "b": Member(ReenrollmentStatus.REQUESTED, Phase.PENDING),
}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Command:
    """Returns or raises the given answers in order; the last one repeats."""

    def __init__(self, *answers: Progress | Exception) -> None:
        self.answers = list(answers)
        self.within: list[float] = []

    def __call__(self, _members: Mapping[str, Any], within: float) -> Progress:
        assert within >= 1
        self.within.append(within)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def waiting(*members: str) -> Progress:
    return Progress(waiting=dict.fromkeys(members, "pending"))


AWAY = Unreachable("Reading", "no connection", "Check the network.")


def test_when_all_are_complete_there_is_no_next_step_and_the_warnings_name_the_members() -> None:
    step = Wait(Command(Progress(warnings={"a": "is odd", "b": "too"})), "It", MEMBERS, 10, Clock()).step()
    assert step.pause is None
    assert [message.members for message in step.messages] == [("a",), ("b",)]
    assert "edge-001 (a)" in step.messages[0].detail


def test_progress_is_told_only_where_it_has_changed() -> None:
    half = Progress(complete=["a"], waiting={"b": "pending"})
    wait = Wait(Command(Progress(waiting={"a": "pending", "b": "pending"}), half, half), "It", MEMBERS, 100, Clock())
    assert [len(wait.step().messages) for _ in range(3)] == [1, 1, 0]


def test_queued_members_fail_a_completion_at_once() -> None:
    with pytest.raises(CompletionFailed, match="1 of 2 orchestrators queued"):
        Wait(Command(Progress(queued=["a"])), "It", MEMBERS, 100, Clock()).step()


@pytest.mark.parametrize(
    ("progress", "max_failed", "timeout", "ends"),
    [
        (Progress(complete=["a"], bad={"b": "overdue"}), "1", 100, "well"),
        (Progress(complete=["a"], bad={"b": "overdue"}), "50%", 100, "well"),
        (Progress(complete=["a"], bad={"b": "overdue"}), "49%", 100, "not yet"),
        (Progress(complete=["a"], waiting={"b": "pending"}), "1", 100, "not yet"),
        (Progress(complete=["a"], waiting={"b": "pending"}), "1", 0, "badly"),
        (Progress(complete=["a"], bad={"b": "overdue"}), "1", 0, "well"),
        (Progress(complete=["a", "b"]), "0", 0, "well"),
    ],
)
def test_as_many_bad_members_as_allowed_do_not_hold_a_completion_up(
    progress: Progress, max_failed: str, timeout: float, ends: str
) -> None:
    wait = Wait(Command(progress), "It", MEMBERS, timeout, Clock(), max_failed)
    if ends == "badly":
        with pytest.raises(CompletionTimeout):
            wait.step()
    else:
        assert (wait.step().pause is None) == (ends == "well")


def test_when_the_time_is_up_every_member_that_is_not_good_counts_against_the_budget() -> None:
    clock = Clock()
    wait = Wait(Command(waiting("a")), "It", MEMBERS, 10, clock, "1")
    wait.step()
    clock.now = 10
    assert [message.members for message in wait.step().messages] == [("a",)]


def test_pauses_grow_up_to_a_bound_and_never_pass_the_end() -> None:
    clock = Clock()
    command = Command(waiting("a"))
    wait, pauses = Wait(command, "It", MEMBERS, 60, clock), []
    while clock.now < 60:
        pause = wait.step().pause
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
    assert pauses == sorted(pauses[:-1]) + pauses[-1:]
    assert (pauses[0], max(pauses), sum(pauses)) == (1.0, 15.0, 60.0)
    assert command.within == [60 - sum(pauses[:number]) for number in range(len(pauses))]


def test_an_outage_is_waited_out() -> None:
    wait = Wait(Command(AWAY, Progress()), "It", MEMBERS, 10, Clock())
    assert "no connection" in wait.step().messages[0].detail
    assert wait.step().pause is None


@pytest.mark.parametrize(
    ("last", "says"),
    [(waiting("a"), "edge-001 (a): pending"), (AWAY, "no connection")],
)
def test_at_the_end_it_fails_with_what_is_missing(last: Any, says: str) -> None:
    clock = Clock()
    wait = Wait(Command(last), "It", MEMBERS, 10, clock)
    wait.step()
    clock.now = 10
    with pytest.raises(CompletionTimeout) as caught:
        wait.step()
    assert str(caught.value).startswith("It: not complete after 10 s")
    assert says in str(caught.value)


def test_members_that_are_complete_at_the_very_end_are_no_failure() -> None:
    clock = Clock()
    wait = Wait(Command(waiting("a"), Progress()), "It", MEMBERS, 10, clock)
    wait.step()
    clock.now = 11
    assert wait.step().pause is None


def test_a_refusal_ends_the_wait() -> None:
    with pytest.raises(Forbidden):
        Wait(Command(Forbidden("Reading", "403", "Give it the permission.")), "It", MEMBERS, 10, Clock()).step()
