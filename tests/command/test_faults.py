"""Faults of Command and the network, over real HTTP, and what readings and requests make of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyfactor_provider.command import exchange
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, CommandError, Forbidden, NotFound, Rejected, Unauthorized, Unreachable
from keyfactor_standins.command.process import Command
from tests.support.clients import LIST, SET, Clock, Lab, settings_for
from tests.support.servers import closed_port, listening

Labs = Callable[..., Lab]

HTML = "<!DOCTYPE html><html><body>Bad gateway</body></html>"
REQUEST = "SetAuthCertificateReenrollment"


def status(number: int, body: str = "", **headers: str) -> dict[str, Any]:
    return {"act": "status", "status": number, "body": body, "headers": headers}


def body(text: str, content_type: str = "application/json") -> dict[str, Any]:
    return {"act": "body", "body": text, "content_type": content_type}


DENIED = '{"ErrorCode": "0xA0140002", "Message": "User lacks /agents/management/read/"}'

# The fault; the error; whether it is retried; whether a POST may have been carried out; its message.
TROUBLE: list[tuple[dict[str, Any], type[CommandError], bool, bool, str]] = [
    ({"act": "drop"}, Unreachable, True, True, "incomplete response (RemoteProtocolError"),
    ({"act": "reset"}, Unreachable, True, True, "incomplete response (ReadError"),
    ({"act": "truncate"}, Unreachable, True, True, "incomplete response (RemoteProtocolError"),
    (status(429), Unreachable, True, False, "429 without a message"),
    (
        status(429, **{"Retry-After": "2"}),
        Unreachable,
        True,
        False,
        "429 without a message, to be tried again after 2 s",
    ),
    (status(500, HTML), Unreachable, True, True, "500 with an HTML page"),
    (status(502, HTML), Unreachable, True, True, "502 with an HTML page"),
    (status(503, HTML), Unreachable, True, True, "503 with an HTML page"),
    (status(500, '{"Message": "Deadlock"}'), Unreachable, True, True, "500, Deadlock"),
    (status(408), Unreachable, True, True, "408 without a message"),
    (status(401), Unauthorized, False, False, "401 without a message: Command does not accept user"),
    (status(401, HTML), Unauthorized, False, False, "401 with an HTML page"),
    (status(403, DENIED), Forbidden, False, False, "403, 0xA0140002: User lacks /agents/management/read/"),
    (status(404), NotFound, False, False, "404 without a message"),
    (status(407), BadAnswer, False, False, "a proxy requires credentials"),
    (status(409, '{"Message": "Locked"}'), Rejected, False, False, "409, Locked"),
    (body(HTML, "text/html"), BadAnswer, False, True, "200 with an HTML page instead of JSON"),
    (body(HTML), BadAnswer, False, True, "200 with an HTML page instead of JSON"),
    (body("not JSON", "text/plain"), BadAnswer, False, True, "its response is not what Command's API gives"),
    (body('[{"AgentId": "3f2504'), BadAnswer, False, True, "its response is not what Command's API gives"),
    (body(""), BadAnswer, False, True, "its response is not what Command's API gives"),
    (body("17"), BadAnswer, False, True, "its response is not what Command's API gives"),
    (body('["text"]'), BadAnswer, False, True, "its response is not what Command's API gives"),
    (body('[{"New":' + "[" * 100_000), BadAnswer, False, True, "it is nested too deeply"),
    (status(204), BadAnswer, False, True, "204, which is not what Command's API gives"),
    (status(206, "[]"), BadAnswer, False, True, "206, which is not what Command's API gives"),
    ({"act": "huge"}, BadAnswer, False, True, "the response is larger than 64 MiB"),
    ({"act": "redirect", "to": "https://sso.example.com/x"}, BadAnswer, False, False, "a redirect to sso.example.com"),
    (status(300, Location="https://sso:port"), BadAnswer, False, False, "300, a redirect to an unreadable address"),
    ({"act": "redirect", "to": "https://sso.example.com:port"}, Unreachable, True, True, "Invalid URL in location"),
]


@pytest.mark.parametrize(("fault", "kind", "again", "_open", "says"), TROUBLE)
def test_a_reading_that_meets_trouble_ends_with_its_own_error(
    command: Command, lab: Labs, fault: dict[str, Any], kind: type[CommandError], again: bool, _open: bool, says: str
) -> None:
    command.faults(faults=[{"on": LIST, **fault}])
    made = lab()
    with pytest.raises(kind) as raised:
        made.client.agents_page(1, 50)
    assert type(raised.value) is kind
    assert says in str(raised.value)
    assert f"Reading page 1 of the orchestrators (GET {command.url}/KeyfactorAPI/Agents)" in str(raised.value)
    assert not raised.value.outcome_open
    assert (len(command.journal()) > 1) is again
    assert bool(made.clock.slept) is again


@pytest.mark.parametrize(
    ("fault", "kind", "again", "may_be_done", "says"),
    # A rejected batch is split; a call with a truncated response was carried out, as the next reading shows.
    [row for row in TROUBLE if row[1] is not Rejected and row[0]["act"] != "truncate"],
)
def test_a_failed_request_fails_all_members_and_records_whether_it_may_have_been_carried_out(
    command: Command,
    lab: Labs,
    fault: dict[str, Any],
    kind: type[CommandError],  # noqa: ARG001  # the row is shared
    again: bool,
    may_be_done: bool,
    says: str,
) -> None:
    command.faults(faults=[{"on": SET, **fault}])
    fleet = lab().fleet()
    fleet.up(command.ids()[:4])
    assert fleet.counts() == {"unreached": 4}
    assert says in fleet.trouble
    ours = [member.get("owned_flags", []) for member in fleet.state["members"].values()]
    assert ours == ([["Requested"]] if may_be_done else [[]]) * 4
    # After a response that is not Command's, the call is sent once more, after a reading.
    assert (sum(REQUEST in entry["path"] for entry in command.journal()) > 1) is (again or may_be_done)


@pytest.mark.parametrize("fault", [row[0] for row in TROUBLE if row[2]])
def test_trouble_that_passes_is_not_seen_in_the_result(command: Command, lab: Labs, fault: dict[str, Any]) -> None:
    command.faults(faults=[{"on": on, "times": 1, **fault} for on in (LIST, SET)])
    fleet = lab().fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"pending": 12}
    assert fleet.trouble == ""
    assert set(command.flags().values()) == {"Requested"}


@pytest.mark.parametrize("fault", [row[0] for row in TROUBLE if row[2] and row[3]])
@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_response_is_followed_by_a_reading_before_a_retry(
    command: Command, lab: Labs, fault: dict[str, Any], applied: bool
) -> None:
    command.faults(faults=[{"on": SET, "times": 1, **fault, "applied": applied}])
    fleet = lab().fleet()
    fleet.up(command.ids())
    calls = [entry["method"] for entry in command.journal()]
    lost = calls.index("POST")
    assert calls[lost + 1] == "GET"
    # A call with a truncated response was carried out in any case.
    assert calls.count("POST") == (1 if applied or fault["act"] == "truncate" else 2)
    assert fleet.counts() == {"pending": 12}


def test_members_that_re_enroll_while_a_response_is_lost_are_not_requested_again(command: Command, lab: Labs) -> None:
    ids = command.ids()
    lost = {"on": SET, "act": "drop", "times": 1}
    meanwhile = {"on": LIST, "act": "pass", "times": 1, "skip": 1, "world": {"reenroll": ids[:3], "remove": ids[3:4]}}
    command.faults(faults=[lost, meanwhile])
    fleet = lab().fleet()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["re-enrolled"] * 3 + ["missing"] + ["pending"] * 8
    assert command.posts() == [(1, tuple(ids)), (1, tuple(ids[4:]))]


def test_an_open_request_stays_owned_when_the_reading_after_it_fails(command: Command, lab: Labs) -> None:
    lost = {"on": SET, "act": "drop", "times": 1, "applied": True}
    command.faults(faults=[lost, {"on": "GET", "act": "status", "status": 503, "skip": 1}])
    fleet = lab().fleet()
    ids = command.ids()
    fleet.up(ids)
    assert fleet.counts() == {"unreached": 12}
    assert all(member["owned_flags"] == ["Requested"] for member in fleet.state["members"].values())
    command.faults(faults=[])
    # The flag is recorded as owned by this fleet, so that it can be cleared.
    lab().operations.delete(fleet.state)
    assert set(command.flags().values()) == {"None"}


def test_members_settled_by_the_reading_keep_their_phase_when_the_next_request_fails(
    command: Command, lab: Labs
) -> None:
    ids = command.ids()
    drops = {"on": SET, "act": "drop", "times": 1}
    seen = {"on": LIST, "act": "pass", "times": 1, "skip": 1, "world": {"reenroll": ids[:5]}}
    command.faults(faults=[drops, seen, {"on": SET, "act": "status", "status": 403}])
    fleet = lab().fleet()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["re-enrolled"] * 5 + ["unreached"] * 7


def test_a_connection_that_is_refused_is_tried_for_the_time_there_is(lab: Labs) -> None:
    made = lab(hostname=f"http://127.0.0.1:{closed_port()}", timeout="30")
    with pytest.raises(Unreachable, match=r"no connection to .*keyfactor:hostname.*\(\d+ tries\)") as raised:
        made.client.agents_page(1, 50)
    assert not raised.value.outcome_open
    assert 15 < sum(made.clock.slept) < 30


@pytest.mark.parametrize(
    "fault",
    [
        {"act": "delay", "seconds": 30},
        {"act": "drip", "seconds": 0.2},
        {"act": "drip", "seconds": 30},
    ],
)
@pytest.mark.parametrize("method", ["basic", "oauth"])
def test_a_server_that_is_too_slow_is_given_up_when_the_time_is_over(
    command: Command, lab: Labs, fault: dict[str, Any], method: str
) -> None:
    slow = "POST /identity" if method == "oauth" else LIST
    command.faults(faults=[{"on": slow, **fault}])
    made = lab(method, timeout="1")
    began = made.clock()
    with pytest.raises(Unreachable, match=r"incomplete response \(ReadTimeout"):
        made.client.agents_page(1, 50)
    assert 0.9 < made.clock() - began < 2


def test_an_answer_that_stops_half_way_is_given_up_sooner_than_one_that_has_not_begun(
    command: Command, monkeypatch: pytest.MonkeyPatch, lab: Labs
) -> None:
    monkeypatch.setattr(exchange, "_PAUSE", 0.2)
    command.faults(faults=[{"on": LIST, "act": "drip", "seconds": 20}])
    made = lab()
    began = made.clock()
    with pytest.raises(Unreachable, match="ReadTimeout"):
        made.client.agents_page(1, 50, deadline=Deadline(made.clock() + 60, retries=False))
    assert made.clock() - began < 2
    command.faults(faults=[{"on": LIST, "act": "delay", "seconds": 0.4}])
    assert len(made.client.agents_page(1, 50).agents) == 12


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7.5),
        (lambda: date(20), 18, 20.5),
        # Invalid values: normal backoff, never a loop without a pause.
        ("0", 0.5, 1),
        (lambda: date(-60), 0.5, 1),
        ("soon", 0.5, 1),
        ("²", 0.5, 1),
        ("Mon, 32 Foo 2027 99:99:99 GMT", 0.5, 1),
    ],
)
@pytest.mark.parametrize("number", [429, 503])
def test_a_server_that_asks_for_a_pause_gets_it(
    command: Command, lab: Labs, header: Any, least: float, most: float, number: int
) -> None:
    text = header if isinstance(header, str) else header()
    command.faults(faults=[{"on": LIST, "times": 1, **status(number, **{"Retry-After": text})}])
    made = lab()
    assert len(made.client.agents_page(1, 50).agents) == 12
    assert len(made.clock.slept) == 1
    assert least <= made.clock.slept[0] <= most


@pytest.mark.parametrize("header", ["3600", "9" * 400, lambda: date(3600)])
def test_a_server_that_asks_for_more_time_than_there_is_fails_at_once(command: Command, lab: Labs, header: Any) -> None:
    text = header if isinstance(header, str) else header()
    command.faults(faults=[{"on": LIST, **status(429, **{"Retry-After": text})}])
    made = lab()
    with pytest.raises(Unreachable, match=r"429 .*to be tried again after \d+ s \(1 try\)"):
        made.client.agents_page(1, 50)
    assert made.clock.slept == []
    assert len(command.journal()) == 1


@pytest.mark.parametrize("method", ["basic", "token", "oauth"])
@pytest.mark.parametrize("on", ["GET /Agents", "POST /identity"])
def test_credentials_do_not_follow_a_redirect_to_another_host(
    command: Command, lab: Labs, method: str, on: str
) -> None:
    with listening() as other:
        command.faults(faults=[{"on": on, "act": "redirect", "to": f"http://{other.host}/Agents"}])
        made = lab(method)
        if on == "POST /identity" and method != "oauth":
            assert made.client.agents_page(1, 50).agents
        else:
            with pytest.raises(BadAnswer):
                made.client.agents_page(1, 50)
        assert other.seen == []


@pytest.mark.parametrize(
    ("text", "content_type", "agents"),
    [
        ("[]", "text/plain", 0),
        ("[]", "text/html", 0),
        (' [{"AgentId": "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"}]', "application/octet-stream", 1),
    ],
)
def test_a_wrong_content_type_does_not_hide_a_right_answer(
    command: Command, lab: Labs, text: str, content_type: str, agents: int
) -> None:
    command.faults(faults=[{"on": LIST, **body(text, content_type)}])
    assert len(lab().client.agents_page(1, 50).agents) == agents


def test_a_permission_revoked_half_way_keeps_what_was_requested_and_is_named(command: Command, lab: Labs) -> None:
    denied = {"on": SET, "act": "pass", "skip": 1, "settings": {"denied": ["/agents/management/modify/"]}}
    command.faults(faults=[denied])
    fleet = lab(batchSize="4").fleet()
    ids = command.ids()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["pending"] * 4 + ["unreached"] * 8
    assert len(command.posts()) == 2
    assert "lacks a permission" in fleet.trouble
    assert "/agents/management/modify/" in fleet.trouble
    command.faults(faults=[], denied=[])
    command.forget()
    fleet = lab(batchSize="8").fleet(state=fleet.state)
    fleet.up(ids)
    assert command.posts() == [(1, tuple(ids[4:]))]


def test_a_401_between_batches_keeps_what_was_requested_and_sends_no_more(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": SET, "act": "status", "status": 401, "skip": 1}])
    fleet = lab(batchSize="4").fleet()
    ids = command.ids()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["pending"] * 4 + ["unreached"] * 8
    assert len(command.posts()) == 2
    assert "does not accept user" in fleet.trouble


def test_agents_that_disappear_after_the_reading_are_rejected_then_missing(command: Command, lab: Labs) -> None:
    ids = command.ids()
    command.faults(faults=[{"on": SET, "act": "pass", "times": 1, "world": {"remove": ids[:2]}}])
    fleet = lab().fleet()
    phases = fleet.up(ids)
    assert [phases[each] for each in ids] == ["rejected"] * 2 + ["pending"] * 10
    assert list(fleet.up(ids).values()).count("missing") == 2


def test_a_cookie_is_neither_kept_nor_able_to_break_the_next_request(command: Command, lab: Labs) -> None:
    for number, cookie in enumerate(("session=1; Path=/", "bücher=¼")):
        command.faults(faults=[{"on": LIST, "times": 1, **status(503, **{"Set-Cookie": cookie})}])
        made = lab()
        sent: list[str] = []

        async def watch(request: httpx.Request, sent: list[str] = sent) -> None:
            sent.append(str(request.headers))

        made.client._http.event_hooks = {"request": [watch]}
        assert len(made.client.agents_page(1, 50).agents) == 12, number
        assert len(sent) == 2
        assert "cookie" not in sent[1].lower()


def test_with_the_preview_only_one_try_is_made_and_three_seconds_are_spent(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": "GET", "act": "delay", "seconds": 30}])
    made = lab()
    began = made.clock()
    for name in ("edge", "core", "spare"):
        raw = {"fleet": name, "status": "Requested", "orchestrator_ids": [command.ids()[len(name)]]}
        made.operations.check(raw, {}, preview=True)
    assert 2.9 < made.clock() - began < 4
    assert len(command.journal()) == 1
    assert [message.kind for message in made.said].count("preflight-skipped") == 1


def test_a_client_of_its_own_waits_on_the_real_clock(command: Command) -> None:
    command.faults(faults=[{"on": LIST, "times": 1, **status(503)}])
    clock = Clock()
    client = CommandClient(settings_for(command), clock=clock)
    began = clock()
    assert len(client.agents_page(1, 50).agents) == 12
    assert 0.4 < clock() - began < 3
    client.close()


TRACED = {
    "X-Keyfactor-Correlation-Id": "5f3c-77",
    "X-Keyfactor-Product-Version": "25.4.1+" + "a" * 500,
}


@pytest.mark.parametrize("number", [200, 401, 403, 404, 400, 500])
def test_an_error_says_how_to_find_it_in_commands_logs(command: Command, lab: Labs, number: int) -> None:
    command.faults(faults=[{"on": LIST, **status(number, "{}", **TRACED)}])
    with pytest.raises(CommandError) as raised:
        lab().client.agents_page(1, 50)
    assert "correlation id 5f3c" in str(raised.value)
    assert "product version 25.4.1+aaa" in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize(
    ("path", "other"),
    [("KeyfactorAPI", "Keyfactor/API"), ("keyfactor/api", "KeyfactorAPI"), ("kf", "KeyfactorAPI or Keyfactor/API")],
)
def test_an_address_without_an_answer_names_the_other_usual_path(path: str, other: str) -> None:
    with listening() as server:
        server.answer = (404, "text/plain", b"")
        environment = {
            "KEYFACTOR_HOSTNAME": f"http://{server.host}",
            "KEYFACTOR_API_PATH": path,
            "KEYFACTOR_USERNAME": "u",
            "KEYFACTOR_PASSWORD": "p",
        }
        client = CommandClient(load(lambda _: None, environment, Path("/nonexistent")))
        with pytest.raises(NotFound, match="keyfactor:apiPath") as raised:
            client.agents_page(1, 50)
        client.close()
    assert f"besides '{path}': {other}." in str(raised.value)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 32 Foo 2027 99:99:99 GMT", "", "0"])
def test_a_date_that_nothing_can_be_made_of_is_no_time(command: Command, lab: Labs, date: str) -> None:
    command.faults(faults=[{"on": LIST, **status(200, "[]", Date=date)}])
    made = lab()
    made.client.agents_page(1, 50)
    made.clock.sleep(3600)
    assert abs(made.client.now() - datetime.now(UTC)) < timedelta(days=1)
