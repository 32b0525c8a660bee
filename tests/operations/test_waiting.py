"""Waiting look by look, on a clock of the test's own."""

from collections.abc import Mapping
from typing import Any

import pytest

from keyfactor_provider.errors import CompletionTimeout, Forbidden, Unreachable
from keyfactor_provider.operations.waiting import Wait
from keyfactor_provider.reenrollment.completion import Progress

MEMBERS = {"a": {"machine": "edge-001"}, "b": {}}


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Command:
    """Answers with what a test puts there."""

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


def test_when_all_are_complete_there_is_no_next_look_and_the_warnings_name_the_members() -> None:
    look = Wait(Command(Progress(warnings={"a": "is odd", "b": "too"})), "It", MEMBERS, 10, Clock()).look()
    assert (look.pause, look.warnings) == (None, ("It: edge-001 (a) is odd.", "It: b too."))


def test_only_what_has_changed_is_news() -> None:
    wait = Wait(Command(waiting("a", "b"), waiting("b"), waiting("b")), "It", MEMBERS, 100, Clock())
    news = [wait.look().news for _ in range(3)]
    assert news == ["0 of 2 orchestrators complete", "1 of 2 orchestrators complete", ""]


def test_pauses_grow_up_to_a_bound_and_never_pass_the_end() -> None:
    clock = Clock()
    command = Command(waiting("a"))
    wait, pauses = Wait(command, "It", MEMBERS, 60, clock), []
    while clock.now < 60:
        pause = wait.look().pause
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
    assert pauses == sorted(pauses[:-1]) + pauses[-1:]
    assert (pauses[0], max(pauses), sum(pauses)) == (1.0, 15.0, 60.0)
    assert command.within == [60 - sum(pauses[:number]) for number in range(len(pauses))]


def test_an_outage_is_waited_out() -> None:
    wait = Wait(Command(AWAY, Progress()), "It", MEMBERS, 10, Clock())
    assert "no connection" in wait.look().news
    assert wait.look().pause is None


@pytest.mark.parametrize(
    ("last", "says"),
    [(waiting("a"), "1 of 2 orchestrators still to come: edge-001 (a): pending"), (AWAY, "no connection")],
)
def test_at_the_end_it_fails_with_what_is_missing(last: Any, says: str) -> None:
    clock = Clock()
    wait = Wait(Command(last), "It", MEMBERS, 10, clock)
    wait.look()
    clock.now = 10
    with pytest.raises(CompletionTimeout) as caught:
        wait.look()
    assert str(caught.value).startswith("It is not complete after 10 s")
    assert says in str(caught.value)


def test_members_that_are_complete_at_the_very_end_are_no_failure() -> None:
    clock = Clock()
    wait = Wait(Command(waiting("a"), Progress()), "It", MEMBERS, 10, clock)
    wait.look()
    clock.now = 11
    assert wait.look().pause is None


def test_a_refusal_ends_the_wait() -> None:
    with pytest.raises(Forbidden):
        Wait(Command(Forbidden("Reading", "403", "Give it the permission.")), "It", MEMBERS, 10, Clock()).look()
