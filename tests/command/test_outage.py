"""Outages: the fleets of a process share them, and Command is tried again a minute later."""

from collections.abc import Callable
from typing import Any

import pytest

from keyfactor_provider.command.session import SHARED_FOR, Outage
from keyfactor_provider.errors import Forbidden, ReenrollmentFailed, Unauthorized, Unreachable
from keyfactor_standins.command.process import Command
from tests.support.clients import LIST, ONE, SET, Lab

Labs = Callable[..., Lab]

DOWN = {"on": "", "act": "status", "status": 503}


def fleets_of_one(command: Command, made: Lab, count: int) -> list[dict[str, str]]:
    return [made.fleet(f"fleet-{number}").up([agent_id]) for number, agent_id in enumerate(command.ids()[:count])]


def test_an_up_with_command_down_ends_within_90_seconds_however_many_fleets_it_has(command: Command, lab: Labs) -> None:
    command.faults(faults=[DOWN])
    made = lab()
    began = made.clock()
    phases = [phase for fleet in fleets_of_one(command, made, 12) for phase in fleet.values()]
    assert phases == ["due"] * 12
    assert 45 < made.clock() - began < 90


@pytest.mark.parametrize(("on", "second"), [(ONE, "due"), (SET, "unreached")])
def test_an_up_in_which_command_goes_down_half_way_ends_as_soon(
    command: Command, lab: Labs, on: str, second: str
) -> None:
    command.faults(faults=[{**DOWN, "on": on, "skip": 1}])
    made = lab()
    began = made.clock()
    phases = [phase for fleet in fleets_of_one(command, made, 12) for phase in fleet.values()]
    assert phases == ["pending", second] + ["due"] * 10
    assert 45 < made.clock() - began < 90


def test_a_look_up_that_finds_command_down_spares_the_fleets_after_it_the_same(command: Command, lab: Labs) -> None:
    command.faults(faults=[DOWN])
    made = lab()
    with pytest.raises(Unreachable):
        made.operations.operations.lookups.everyone()
    command.forget()
    assert list(made.fleet().up(command.ids()[:1]).values()) == ["due"]
    with pytest.raises(Unreachable):
        made.operations.operations.lookups.everyone()
    assert command.journal() == []


def test_a_later_fleet_tries_again_and_finds_command_well(command: Command, lab: Labs) -> None:
    command.faults(faults=[DOWN])
    made = lab()
    ids = command.ids()
    assert list(made.fleet("first").up(ids[:1]).values()) == ["due"]
    command.faults(faults=[])
    command.forget()
    assert list(made.fleet("at once").up(ids[1:2]).values()) == ["due"]
    assert command.journal() == []
    made.clock.sleep(SHARED_FOR)
    assert list(made.fleet("behind a wait").up(ids[2:3]).values()) == ["pending"]


def test_a_later_fleet_that_finds_command_down_waits_its_own_time_once(command: Command, lab: Labs) -> None:
    command.faults(faults=[DOWN])
    made = lab()
    ids = command.ids()
    made.fleet("first").up(ids[:1])
    made.clock.sleep(3600)
    began = made.clock()
    for number in range(1, 6):
        made.fleet(f"later-{number}").up(ids[number : number + 1])
    assert 45 < made.clock() - began < 90


def test_a_wrong_password_is_tried_once_in_a_process_whatever_the_time(command: Command, lab: Labs) -> None:
    made = lab(password="wrong-canary")
    for fleet in fleets_of_one(command, made, 12):
        assert list(fleet.values()) == ["due"]
        made.clock.sleep(3600)
    assert len(command.journal()) == 1
    assert "wrong-canary" not in str(made.said)


@pytest.mark.parametrize(
    "trouble",
    [
        {"act": "status", "status": 403},
        {"act": "body", "body": "<html>sign in</html>"},
    ],
)
def test_trouble_of_one_call_is_not_shared(command: Command, lab: Labs, trouble: dict[str, Any]) -> None:
    command.faults(faults=[{"on": ONE, "times": 1, **trouble}])
    made = lab()
    assert [list(phases.values()) for phases in fleets_of_one(command, made, 2)] == [["due"], ["pending"]]


def test_nothing_was_sent_to_a_status_after_the_one_that_failed(command: Command, lab: Labs) -> None:
    made = lab()
    fleet = made.fleet()
    ids = command.ids()
    fleet.up(ids[:8])
    command.faults(faults=[{**DOWN, "on": SET}])
    command.forget()
    fleet.up(ids[4:], "Required")
    sent = {entry["body"]["Status"] for entry in command.journal() if entry["method"] == "POST"}
    assert len(sent) == 1
    assert fleet.counts() == {"leaving": 4, "unreached": 8}


def test_a_refresh_that_cannot_read_raises_and_says_how_often_it_tried(command: Command, lab: Labs) -> None:
    made = lab()
    fleet = made.fleet()
    fleet.up(command.ids())
    command.faults(faults=[DOWN])
    with pytest.raises(Unreachable, match=r"503 .*\(\d+ tries\)"):
        made.operations.read(fleet.state)
    with pytest.raises(ReenrollmentFailed, match=r"12 orchestrators removed.*503"):
        lab().operations.delete(fleet.state)


def test_watching_goes_on_through_an_outage(command: Command, lab: Labs) -> None:
    made = lab()
    fleet = made.fleet()
    ids = command.ids()
    fleet.up(ids)
    command.faults(faults=[{**DOWN, "on": LIST}])
    with pytest.raises(Unreachable):
        made.operations.progress(fleet.state["members"], 60)
    command.faults(faults=[])
    assert len(made.operations.progress(fleet.state["members"], 60).waiting) == 12
    # The outage is over for the other fleets too.
    assert list(made.fleet("core").up(command.world(populate=1)).values()) == ["pending"]


def test_a_poll_that_finds_command_down_spares_the_fleets_after_it_the_same(command: Command, lab: Labs) -> None:
    made = lab()
    fleet = made.fleet()
    ids = command.ids()
    fleet.up(ids[:6])
    command.faults(faults=[DOWN])
    with pytest.raises(Unreachable):
        made.operations.progress(fleet.state["members"], 60)
    command.forget()
    assert set(made.fleet("core").up(ids[6:]).values()) == {"due"}
    assert command.journal() == []


def test_refused_credentials_are_tried_once_however_many_completions_wait(command: Command, lab: Labs) -> None:
    made = lab()
    fleets = [made.fleet(f"fleet-{number}") for number in range(4)]
    for fleet, agent_id in zip(fleets, command.ids(), strict=False):
        fleet.up([agent_id])
    command.faults(faults=[{"on": "GET", "act": "status", "status": 401}])
    command.forget()
    for _ in range(3):
        for fleet in fleets:
            with pytest.raises(Unauthorized):
                made.operations.progress(fleet.state["members"], 60)
        made.clock.sleep(3600)
    assert len(command.journal()) == 1


def test_a_preview_that_is_refused_spares_the_others_the_same(command: Command, lab: Labs) -> None:
    made = lab(password="wrong-canary")
    raw = {"fleet": "edge", "status": "Requested", "orchestrator_ids": command.ids()[:1]}
    made.operations.check(raw, {}, preview=True)
    with pytest.raises(Unauthorized):
        made.operations.operations.lookups.everyone()
    assert len(command.journal()) == 1


def test_an_outage_is_given_out_as_copies() -> None:
    outage = Outage()
    outage.note(Unreachable("Asking", "no answer", "Wait.", status=503, transient=True), 100.0)
    first, second = outage.standing(100.0), outage.standing(159.9)
    assert first is not None
    assert second is not None
    first.next_step += " More."
    assert str(second) == "Asking: no answer. Wait."
    assert (second.status, second.transient, type(second)) == (503, True, Unreachable)
    assert outage.standing(160.0) is None


def test_an_outage_is_what_concerns_every_call() -> None:
    outage = Outage()
    outage.note(Forbidden("Asking", "403", "Ask."), 0.0)
    assert outage.standing(0.0) is None
    outage.note(Unauthorized("Asking", "401", "Correct."), 0.0)
    assert isinstance(outage.standing(1e9), Unauthorized)
    # Neither a response nor another failure ends it.
    outage.passed()
    outage.note(Unreachable("Asking", "no answer", "Wait."), 0.0)
    assert isinstance(outage.standing(1e9), Unauthorized)


def test_an_answer_ends_an_outage() -> None:
    outage = Outage()
    outage.note(Unreachable("Asking", "no answer", "Wait."), 0.0)
    outage.passed()
    assert outage.standing(0.0) is None
