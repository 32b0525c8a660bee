"""Asking for many: batches, a refused batch taken apart, and a server that refuses the request itself."""

from collections.abc import Callable
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.clients import SET, Lab

Labs = Callable[..., Lab]


@pytest.mark.parametrize(("size", "batches"), [(5, [5, 5, 2]), (4, [4, 4, 4]), (12, [12]), (500, [12]), (1, [1] * 12)])
def test_members_go_out_in_batches_of_the_size_that_was_set(
    command: Command, lab: Labs, size: int, batches: list[int]
) -> None:
    fleet = lab(batchSize=str(size)).fleet()
    fleet.up(command.ids())
    assert [len(ids) for _, ids in command.posts()] == batches
    assert sorted(each for _, ids in command.posts() for each in ids) == command.ids()


@pytest.mark.parametrize(("encoding", "sent"), [("integer", [1, 2, 0]), ("string", ["Requested", "Required", "None"])])
def test_a_status_goes_out_as_integer_or_as_string(command: Command, lab: Labs, encoding: str, sent: list[Any]) -> None:
    made = lab(statusEncoding=encoding)
    fleet = made.fleet()
    ids = command.ids()[:1]
    fleet.up(ids, "Requested")
    fleet.up(ids, "Required")
    lab(statusEncoding=encoding).operations.delete(fleet.state)
    assert [status for status, _ in command.posts()] == sent


@pytest.mark.parametrize(
    ("rejected", "most"),
    [
        ([0], 8),
        ([11], 8),
        ([5], 12),
        ([0, 6], 12),
        ([0, 11], 12),
        # Side by side, and nearly all of them.
        ([3, 4, 5], 16),
        ([0, 1, 2], 16),
        ([0, 1, 2, 3, 4, 5], 22),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 23),
    ],
)
def test_bad_members_of_a_refused_batch_are_found_and_the_others_asked(
    command: Command, lab: Labs, rejected: list[int], most: int
) -> None:
    ids = command.ids()
    command.faults(rejected=[ids[place] for place in rejected])
    fleet = lab().fleet()
    phases = fleet.up(ids)
    assert [place for place, each in enumerate(ids) if phases[each] == "refused"] == rejected
    assert fleet.counts() == {"pending": 12 - len(rejected), "refused": len(rejected)}
    reason = fleet.state["members"][ids[rejected[0]]]["reason"]
    assert reason == f"400, 0xA0110001: Agent {ids[rejected[0]]} can't be changed."
    assert len(command.posts()) <= most
    accepted = [each for entry in command.journal() if entry["status"] == 200 for each in _asked(entry)]
    assert len(accepted) == len(set(accepted)) == 12 - len(rejected)


def _asked(entry: dict[str, Any]) -> list[str]:
    body = entry.get("body") or {}
    return list(body.get("OrchestratorIds", ()))


def test_the_next_run_asks_the_refused_ones_alone(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(refused=ids[:2], rejected=ids[2:3])
    made = lab()
    fleet = made.fleet()
    assert list(fleet.up(ids).values()).count("refused") == 3
    command.faults(refused=[], rejected=[])
    command.forget()
    fleet.up(ids)
    assert command.posts() == [(1, tuple(ids[:3]))]
    assert fleet.counts() == {"pending": 12}


@pytest.mark.parametrize(("members", "calls"), [(1, 1), (2, 3), (5, 6), (12, 6)])
def test_a_server_that_refuses_every_integer_is_found_out_after_a_few_calls(
    command: Command, lab: Labs, members: int, calls: int
) -> None:
    command.faults(status_contract="string")
    fleet = lab().fleet()
    ids = command.ids()[:members]
    fleet.up(ids)
    assert fleet.counts() == {"unreached": members}
    assert len(command.posts()) == calls
    assert "Every request for status Requested was refused, whoever it named" in fleet.trouble
    assert "set keyfactor:statusEncoding to string" in fleet.trouble
    # As soon as it is set, the next run succeeds.
    again = lab(statusEncoding="string").fleet(state=fleet.state)
    again.up(ids)
    assert again.counts() == {"pending": members}


def test_a_server_that_refuses_every_integer_is_found_out_with_many_batches_to_send(
    command: Command, lab: Labs
) -> None:
    command.faults(status_contract="string")
    fleet = lab(batchSize="3").fleet()
    fleet.up(command.ids())
    # The three of the first batch, and the second with two of its own.
    assert len(command.posts()) == 7
    assert fleet.counts() == {"unreached": 12}


def test_members_refused_for_different_reasons_do_not_put_the_request_at_fault(command: Command, lab: Labs) -> None:
    ids = command.ids()[:3]
    answers = [{"on": SET, "act": "status", "status": 400, "times": 1, "body": '{"Message": "No such batch"}'}]
    for number in range(3):
        text = f'{{"Message": "Reason {number} for {ids[0].upper()}"}}'
        answers.append({"on": SET, "act": "status", "status": 400, "times": 1, "body": text})
    command.faults(faults=answers)
    fleet = lab().fleet()
    fleet.up(ids)
    assert fleet.counts() == {"refused": 3}


def test_the_same_reason_with_each_ones_guid_in_it_puts_the_request_at_fault(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(rejected=ids)
    fleet = lab().fleet()
    fleet.up(ids)
    assert fleet.counts() == {"unreached": 12}
    assert len(command.posts()) == 6


def test_one_accepted_call_makes_refused_singles_refused(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(rejected=ids[4:])
    fleet = lab(batchSize="4").fleet()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["pending"] * 4 + ["refused"] * 8


def test_an_outage_while_a_batch_is_taken_apart_is_what_is_reported(command: Command, lab: Labs) -> None:
    ids = command.ids()
    refused = {"on": SET, "act": "status", "status": 400, "body": '{"Message": "No"}', "times": 2}
    command.faults(faults=[refused, {"on": SET, "act": "status", "status": 429}])
    made = lab()
    fleet = made.fleet()
    fleet.up(ids[:11])
    assert fleet.counts() == {"unreached": 11}
    assert "429" in fleet.trouble
    # And it is shared: the next fleet does not try.
    command.forget()
    other = made.fleet("core")
    other.up(ids[11:])
    assert command.journal() == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"ErrorCode": "0xA0110001", "Message": "Bad"}', "400, 0xA0110001: Bad"),
        ('{"ErrorCode": 7, "Message": "Bad"}', "400, 7: Bad"),
        ('{"Message": "Two\\r\\nlines\\u001b[31m"}', "400, Two lines [31m"),
        (
            '{"title": "Invalid.", "errors": {"Status": ["Not a string"]}, "traceId": "00-1"}',
            "400, Invalid. {'Status':",
        ),
        ('{"Message": null}', "400 without a message"),
        ("<html>no</html>", "400 with an HTML page"),
        ("plain", "400 without a message"),
        ("", "400 without a message"),
        ('"text"', "400 without a message"),
    ],
)
def test_a_refusal_is_told_in_commands_own_words(command: Command, lab: Labs, text: str, shown: str) -> None:
    ids = command.ids()[:2]
    one = {"on": SET, "act": "status", "status": 400, "body": text}
    command.faults(faults=[{**one, "times": 1}, {"on": SET, "act": "pass", "times": 1}, one])
    fleet = lab().fleet()
    fleet.up(ids)
    assert fleet.counts() == {"pending": 1, "refused": 1}
    assert fleet.state["members"][ids[1]]["reason"].startswith(shown)


def test_escalation_and_taking_back_go_out_as_one_call_for_each_status(command: Command, lab: Labs) -> None:
    ids = command.ids()
    fleet = lab().fleet()
    fleet.up(ids[:8])
    command.forget()
    fleet.up(ids[2:10], "Required")
    assert sorted(command.posts()) == [(0, tuple(ids[:2])), (2, tuple(ids[2:10]))]


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ('{"FailedOrchestratorIds": null, "Status": "Requested"}', "pending"),
        ('{"Status": 1}', "pending"),
        ("{}", "pending"),
        ("null", "pending"),
        ('{"failedOrchestratorIds": ["{ID}"], "status": "Requested"}', "refused"),
        ('{"FailedOrchestratorIds": ["{ID}"], "Status": "Requested", "New": {"a": [1]}}', "refused"),
        # Somebody else's object, or one that can't be read, must not count as "nothing failed".
        ('{"message": "Service is starting"}', "unreached"),
        ('{"FailedOrchestratorIds": ["all of them"]}', "unreached"),
        ('{"FailedOrchestratorIds": [7]}', "unreached"),
        ('{"FailedOrchestratorIds": "none"}', "unreached"),
        ("[]", "unreached"),
    ],
)
def test_an_answer_is_read_tolerantly_but_never_as_more_than_it_says(
    command: Command, lab: Labs, text: str, phase: str
) -> None:
    agent_id = command.ids()[0]
    shown = text.replace("{ID}", f"{{{agent_id.upper()}}}")
    command.faults(faults=[{"on": SET, "act": "body", "body": shown}])
    assert lab().fleet().up([agent_id]) == {agent_id: phase}
