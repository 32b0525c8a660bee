"""Requests for many members: batches, rejected batches, and servers that reject every request."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keyfactor_provider.command import wire
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
    assert sorted(agent_id for _, ids in command.posts() for agent_id in ids) == command.ids()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("auto", [1, 2, 0]),
        ("integer", [1, 2, 0]),
        ("string", ["Requested", "Required", "None"]),
        ("digits", ["1", "2", "0"]),
    ],
)
def test_a_status_goes_out_in_the_encoding_that_was_set(
    command: Command, lab: Labs, encoding: str, sent: list[Any]
) -> None:
    fleet = lab(statusEncoding=encoding).fleet()
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
        # Adjacent ones, and nearly all of them.
        ([3, 4, 5], 16),
        ([0, 1, 2], 16),
        ([0, 1, 2, 3, 4, 5], 22),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 23),
    ],
)
@pytest.mark.parametrize("encoding", ["integer", "auto"])
def test_bad_members_of_a_rejected_batch_are_found_and_the_others_requested(
    command: Command, lab: Labs, rejected: list[int], most: int, encoding: str
) -> None:
    ids = command.ids()
    command.faults(rejected=[ids[place] for place in rejected])
    fleet = lab(statusEncoding=encoding).fleet()
    # Until a call is accepted, each rejected one is sent in two more encodings.
    most += 4 if encoding == "auto" else 0
    phases = fleet.up(ids)
    assert [place for place, agent_id in enumerate(ids) if phases[agent_id] == "rejected"] == rejected
    assert fleet.counts() == {"pending": 12 - len(rejected), "rejected": len(rejected)}
    reason = fleet.state["members"][ids[rejected[0]]]["reason"]
    assert reason == f"400, 0xA0110001: Agent {ids[rejected[0]]} can't be changed."
    assert len(command.posts()) <= most
    accepted = [agent_id for entry in command.journal() if entry["status"] == 200 for agent_id in _requested(entry)]
    assert len(accepted) == len(set(accepted)) == 12 - len(rejected)


def _requested(entry: dict[str, Any]) -> list[str]:
    body = entry.get("body") or {}
    return list(body.get("OrchestratorIds", ()))


def test_the_next_run_retries_only_the_rejected_members(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(refused=ids[:2], rejected=ids[2:3])
    fleet = lab().fleet()
    assert list(fleet.up(ids).values()).count("rejected") == 3
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
    fleet = lab(statusEncoding="integer").fleet()
    ids = command.ids()[:members]
    fleet.up(ids)
    assert fleet.counts() == {"unreached": members}
    assert len(command.posts()) == calls
    assert "rejected every request with status Requested" in fleet.trouble
    assert "set keyfactor:statusEncoding to auto" in fleet.trouble
    # With auto, the next run succeeds.
    again = lab(statusEncoding="auto").fleet(state=fleet.state)
    again.up(ids)
    assert again.counts() == {"pending": members}


def test_a_server_that_refuses_every_integer_is_found_out_with_many_batches_to_send(
    command: Command, lab: Labs
) -> None:
    command.faults(status_contract="string")
    fleet = lab(batchSize="3", statusEncoding="integer").fleet()
    fleet.up(command.ids())
    # The first batch and its three members, then the second batch and two of its members.
    assert len(command.posts()) == 7
    assert fleet.counts() == {"unreached": 12}


def test_auto_sends_a_refused_integer_as_a_name_and_stays_with_it_in_this_process(command: Command, lab: Labs) -> None:
    command.faults(status_contract="string")
    made = lab(batchSize="6")
    ids = command.ids()
    assert set(made.fleet().up(ids[:10]).values()) == {"pending"}
    assert set(made.fleet("core").up(ids[10:]).values()) == {"pending"}
    assert [status for status, _ in command.posts()] == [1, "Requested", "Requested", "Requested"]


def test_auto_ends_with_digits(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": SET, "act": "status", "status": 400, "times": 2}])
    fleet = lab().fleet()
    ids = command.ids()
    assert set(fleet.up(ids).values()) == {"pending"}
    assert command.posts() == [(status, tuple(ids)) for status in (1, "Requested", "1")]


def test_auto_finds_the_one_bad_member_of_a_server_that_takes_names_alone(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(status_contract="string", rejected=ids[:1])
    fleet = lab().fleet()
    assert [member for member, phase in fleet.up(ids).items() if phase == "rejected"] == ids[:1]
    # The reason is that of the encoding that the server accepts.
    assert fleet.state["members"][ids[0]]["reason"] == f"400, 0xA0110001: Agent {ids[0]} can't be changed."


def test_a_request_that_fails_in_every_encoding_rejects_no_member(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": SET, "act": "status", "status": 400}])
    fleet = lab().fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"unreached": 12}
    assert len(command.posts()) == 3 * 6
    assert "integer, string, digits (keyfactor:statusEncoding)" in fleet.trouble


@pytest.mark.parametrize("echoed", [2, "2", "Required", 0, "None"])
def test_auto_goes_on_with_the_next_encoding_where_another_status_is_echoed(
    command: Command, lab: Labs, echoed: int | str
) -> None:
    answer = f'{{"FailedOrchestratorIds": [], "Status": {json.dumps(echoed)}}}'
    command.faults(faults=[{"on": SET, "act": "body", "body": answer, "times": 1}])
    fleet = lab().fleet()
    ids = command.ids()
    assert set(fleet.up(ids).values()) == {"pending"}
    assert [status for status, _ in command.posts()] == [1, "Requested"]
    # The members were read before the second request.
    calls = [entry["method"] for entry in command.journal()]
    assert calls[calls.index("POST") + 1] == "GET"


@pytest.mark.parametrize(("encoding", "calls"), [("integer", 1), ("auto", 3)])
def test_a_server_that_takes_every_status_for_another_one_accepts_nothing(
    command: Command, lab: Labs, encoding: str, calls: int
) -> None:
    command.faults(faults=[{"on": SET, "act": "body", "body": '{"FailedOrchestratorIds": [], "Status": 0}'}])
    made = lab(statusEncoding=encoding)
    fleet = made.fleet()
    fleet.up(command.ids()[:6])
    assert fleet.counts() == {"unreached": 6}
    assert "Status is None, and Requested was requested" in fleet.trouble
    # The next fleet of this process sends nothing.
    other = made.fleet("core")
    other.up(command.ids()[6:])
    assert other.counts() == {"unreached": 6}
    assert len(command.posts()) == calls


def test_members_refused_for_different_reasons_do_not_put_the_request_at_fault(command: Command, lab: Labs) -> None:
    ids = command.ids()[:3]
    answers = [{"on": SET, "act": "status", "status": 400, "times": 1, "body": '{"Message": "No such batch"}'}]
    for number in range(3):
        text = f'{{"Message": "Reason {number} for {ids[0].upper()}"}}'
        answers.append({"on": SET, "act": "status", "status": 400, "times": 1, "body": text})
    command.faults(faults=answers)
    fleet = lab(statusEncoding="integer").fleet()
    fleet.up(ids)
    assert fleet.counts() == {"rejected": 3}


def test_the_same_reason_with_each_ones_guid_in_it_puts_the_request_at_fault(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(rejected=ids)
    fleet = lab(statusEncoding="integer").fleet()
    fleet.up(ids)
    assert fleet.counts() == {"unreached": 12}
    assert len(command.posts()) == 6


def test_one_accepted_call_makes_refused_singles_refused(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(rejected=ids[4:])
    fleet = lab(batchSize="4").fleet()
    phases = fleet.up(ids)
    assert [phases[agent_id] for agent_id in ids] == ["pending"] * 4 + ["rejected"] * 8


def test_an_outage_while_a_batch_is_taken_apart_is_what_is_reported(command: Command, lab: Labs) -> None:
    ids = command.ids()
    refused = {"on": SET, "act": "status", "status": 400, "body": '{"Message": "No"}', "times": 2}
    command.faults(faults=[refused, {"on": SET, "act": "status", "status": 429}])
    made = lab(statusEncoding="integer")
    fleet = made.fleet()
    fleet.up(ids[:11])
    assert fleet.counts() == {"unreached": 11}
    assert "429" in fleet.trouble
    # The next fleet shares the outage and sends nothing.
    command.forget()
    other = made.fleet("core")
    other.up(ids[11:])
    assert command.journal() == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"ErrorCode": "0xA0110001", "Message": "Bad"}', "400, 0xA0110001: Bad"),
        ('{"ErrorCode": 7, "Message": "Bad"}', "400, 7: Bad"),
        ('{"Message": "Two\\r\\nlines\\u001b[31m"}', "400, Two lines"),
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
    rejection = {"on": SET, "act": "status", "status": 400, "body": text}
    command.faults(faults=[{**rejection, "times": 1}, {"on": SET, "act": "pass", "times": 1}, rejection])
    fleet = lab(statusEncoding="integer").fleet()
    fleet.up(ids)
    assert fleet.counts() == {"pending": 1, "rejected": 1}
    assert fleet.state["members"][ids[1]]["reason"].startswith(shown)


def test_escalation_and_clearing_take_one_call_for_each_status(command: Command, lab: Labs) -> None:
    ids = command.ids()
    fleet = lab().fleet()
    fleet.up(ids[:8])
    command.forget()
    fleet.up(ids[2:10], "Required")
    assert sorted(command.posts()) == [(0, tuple(ids[:2])), (2, tuple(ids[2:10]))]


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        # Command's contract, in each of its published types.
        ('{"FailedOrchestratorIds": null, "Status": "Requested"}', "pending"),
        ('{"FailedOrchestratorIds": [], "Status": null}', "pending"),
        ('{"FailedOrchestratorIds": []}', "pending"),
        ('{"Status": 1}', "pending"),
        ('{"Status": "1"}', "pending"),
        ('{"status": "requested", "New": {"a": [1]}}', "pending"),
        ('{"failedOrchestratorIds": ["{ID}"], "status": "Requested"}', "rejected"),
        ('{"FailedOrchestratorIds": ["{ID}", "{ID}"], "Status": "Requested", "New": {"a": [1]}}', "rejected"),
        # No status was set, whatever the response says.
        ('{"FailedOrchestratorIds": ["{ID}"], "Status": 0}', "rejected"),
        # Anything else, above all another server's object, must not count as success.
        ("{}", "unreached"),
        ("null", "unreached"),
        ("true", "unreached"),
        ('"Requested"', "unreached"),
        ("[]", "unreached"),
        ('[{"FailedOrchestratorIds": [], "Status": 1}]', "unreached"),
        ('{"FailedOrchestratorIds": null}', "unreached"),
        ('{"Status": null}', "unreached"),
        ('{"status": "error"}', "unreached"),
        ('{"status": 404}', "unreached"),
        ('{"status": true}', "unreached"),
        ('{"Status": [1]}', "unreached"),
        ('{"Status": 1, "status": "error"}', "unreached"),
        ('{"ErrorCode": "0xA0140002", "Message": "No", "Status": 1}', "unreached"),
        ('{"type": "about:blank", "title": "Not found", "status": 404, "FailedOrchestratorIds": []}', "unreached"),
        ('{"message": "Service is starting"}', "unreached"),
        ('{"FailedOrchestratorIds": ["all of them"]}', "unreached"),
        ('{"FailedOrchestratorIds": ["00000000-0000-4000-8000-000000000000"], "Status": 1}', "unreached"),
        ('{"FailedOrchestratorIds": [7]}', "unreached"),
        ('{"FailedOrchestratorIds": "none"}', "unreached"),
        ('{"FailedOrchestratorIds": {}, "Status": 1}', "unreached"),
    ],
)
def test_an_answer_is_read_tolerantly_but_never_as_more_than_it_says(
    command: Command, lab: Labs, text: str, phase: str
) -> None:
    agent_id = command.ids()[0]
    shown = text.replace("{ID}", f"{{{agent_id.upper()}}}")
    command.faults(faults=[{"on": SET, "act": "body", "body": shown}])
    assert lab().fleet().up([agent_id]) == {agent_id: phase}


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, '{"status": "error"}'), (200, ""), (204, ""), (202, '{"Status": 1}'), (200, "<html>signing in</html>")],
)
@pytest.mark.parametrize("applied", [True, False])
def test_an_answer_that_is_not_commands_is_followed_by_a_reading(
    command: Command, lab: Labs, status: int, text: str, applied: bool
) -> None:
    fault = {"on": SET, "act": "status", "status": status, "body": text, "times": 1, "applied": applied}
    command.faults(faults=[fault])
    fleet = lab().fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"pending": 12}
    assert [entry["method"] for entry in command.journal()][1:] == ["POST", "GET", *([] if applied else ["POST"])]


def test_an_answer_that_is_never_commands_is_tried_twice_and_stays_open(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": SET, "act": "body", "body": '{"status": "error"}'}])
    fleet = lab(batchSize="6").fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"unreached": 12}
    assert len(command.posts()) == 2
    ours = [member.get("owned_flags", []) for member in fleet.state["members"].values()]
    assert sorted(ours) == [[]] * 6 + [["Requested"]] * 6


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ZeroDivisionError, KeyError])
def test_whatever_happens_to_an_answer_leaves_a_record_with_the_outcome_open(
    command: Command, lab: Labs, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("canary")

    monkeypatch.setattr(wire, "decode_outcome", fail)
    ids = command.ids()
    command.faults(faults=[{"on": SET, "act": "body", "body": "[]"}])
    fleet = lab().fleet()
    fleet.up(ids)
    assert fleet.counts() == {"unreached": 12}
    assert all(member["owned_flags"] == ["Requested"] for member in fleet.state["members"].values())
    assert error.__name__ in fleet.trouble
    assert "canary" not in fleet.trouble
