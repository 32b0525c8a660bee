"""The faults, and the journal of requests."""

import json
import time
from typing import Any

import httpx
import pytest

from keyfactor_standins.command.process import Command

SET = "/Agents/SetAuthCertificateReenrollment"


def ask(api: httpx.Client, *ids: str, status: int | str = 1) -> httpx.Response:
    return api.post(SET, json={"OrchestratorIds": ids, "Status": status})


def flag(command: Command, agent: str) -> str:
    return command.flags()[agent]


def test_a_status_is_answered_with_its_body_and_headers(api: httpx.Client, command: Command) -> None:
    fault = {"on": "GET /Agents", "act": "status", "status": 429, "body": "<p>", "content_type": "text/html"}
    command.faults(faults=[{**fault, "headers": {"Retry-After": "7"}}])
    answer = api.get("/Agents")
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "<p>", "7")
    assert answer.headers["Content-Type"] == "text/html"


@pytest.mark.parametrize(
    ("act", "raises"),
    [("drop", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("truncate", httpx.RemoteProtocolError)],
)
def test_a_connection_ends_early(api: httpx.Client, command: Command, act: str, raises: type[Exception]) -> None:
    command.faults(faults=[{"on": "GET /Agents", "act": act, "times": 1}])
    with pytest.raises(raises):
        api.get("/Agents")
    assert api.get("/Agents").status_code == 200


@pytest.mark.parametrize("fault", [{"act": "delay", "seconds": 0.2}, {"act": "drip", "seconds": 0.02}])
def test_a_slow_answer_is_whole(api: httpx.Client, command: Command, fault: dict[str, Any]) -> None:
    expected = api.get("/Agents", params={"PageReturned": 1000}).text
    command.faults(faults=[{"on": "GET /Agents", **fault}])
    began = time.monotonic()
    assert api.get("/Agents", params={"PageReturned": 1000}).text == expected
    assert time.monotonic() - began >= fault["seconds"]


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ({"act": "body", "body": '["'}, 200, '["'),
        ({"act": "huge", "mib": 2}, 200, " " * 2**21),
        ({"act": "redirect", "to": "http://other.example/"}, 302, ""),
    ],
)
def test_another_answer_is_given(
    api: httpx.Client, command: Command, fault: dict[str, Any], code: int, says: str
) -> None:
    command.faults(faults=[{"on": "GET /Agents", **fault}])
    answer = api.get("/Agents")
    assert (answer.status_code, answer.text) == (code, says)
    assert answer.headers.get("Location", "") == fault.get("to", "")


@pytest.mark.parametrize("act", ["drop", "reset", "status"])
@pytest.mark.parametrize("applied", [True, False])
def test_an_answer_is_lost_after_or_before_the_request_was_carried_out(
    api: httpx.Client, command: Command, agent: str, act: str, applied: bool
) -> None:
    command.faults(faults=[{"on": "POST /Agents", "act": act, "applied": applied}])
    if act == "status":
        assert ask(api, agent).status_code == 500
    else:
        with pytest.raises(httpx.TransportError):
            ask(api, agent)
    assert flag(command, agent) == ("Requested" if applied else "None")


def test_a_fault_skips_some_hits_some_and_lets_the_rest_go(api: httpx.Client, command: Command) -> None:
    command.faults(faults=[{"on": "get /agents", "act": "status", "skip": 1, "times": 2}])
    assert [api.get("/AGENTS").status_code for _ in range(4)] == [200, 500, 500, 200]


def test_a_fault_hits_only_what_it_is_for(api: httpx.Client, command: Command, agent: str) -> None:
    command.faults(
        faults=[
            {"on": f"GET /Agents/{agent}", "act": "status", "status": 502},
            {"on": "POST /Session/Register", "act": "status", "status": 503},
            {"on": "POST /identity/token", "act": "status", "status": 504},
        ]
    )
    assert api.get("/Agents").status_code == 200
    assert api.get(f"/Agents/{agent}").status_code == 502
    assert api.post(f"{command.said['agents_url']}/Session/Register", json={}).status_code == 503
    assert api.post(command.said["token_url"]).status_code == 504


def test_a_rejected_guid_spoils_its_whole_batch(api: httpx.Client, command: Command) -> None:
    good, bad = command.world(populate=2)
    command.faults(rejected=[bad.upper()])
    assert ask(api, good, bad).status_code == 400
    assert flag(command, good) == "None"
    assert ask(api, good).status_code == 200


def shown(api: httpx.Client, agent: str) -> list[str]:
    """The flag in the list, then in the single agent."""
    listed = api.get("/Agents", params={"QueryString": f'AgentId -eq "{agent}"'}).json()[0]
    return [each["AuthCertificateReenrollment"] for each in (listed, api.get(f"/Agents/{agent}").json())]


@pytest.mark.parametrize(("reads", "after"), [(True, ["None", "None"]), (1, ["None", "Required"])])
def test_stale_reads_show_the_flag_before_the_last_request_for_so_many_answers_or_until_switched_off(
    api: httpx.Client, command: Command, agent: str, reads: int, after: list[str]
) -> None:
    other = command.world(populate=1)[0]
    command.world(change={other: {"flag": 1}})
    ask(api, agent, status=2)
    command.faults(stale_reads=reads)
    assert shown(api, agent) == after
    assert flag(command, agent) == "Required"
    assert shown(api, other) == ["Requested", "Requested"]
    command.faults(stale_reads=False)
    assert shown(api, agent) == ["Required", "Required"]


def test_one_that_has_re_enrolled_is_never_shown_stale(api: httpx.Client, command: Command, agent: str) -> None:
    ask(api, agent)
    ask(api, agent, status=2)
    command.faults(stale_reads=True)
    assert shown(api, agent) == ["Requested", "Requested"]
    command.world(reenroll=[agent])
    assert shown(api, agent) == ["None", "None"]


def test_everything_is_switched_back_at_once(api: httpx.Client, command: Command, agent: str) -> None:
    command.faults(
        faults=[{"on": "GET", "act": "drop"}], refused=[agent], total_count=False, denied=["/agents/management/read/"]
    )
    command.calm()
    answer = api.get("/Agents")
    assert (answer.status_code, "X-Total-Count" in answer.headers) == (200, True)
    assert ask(api, agent).json()["FailedOrchestratorIds"] == []


def test_the_journal_tells_every_request_in_order_and_never_a_secret(
    api: httpx.Client, command: Command, agent: str
) -> None:
    command.forget()
    command.faults(faults=[{"on": "GET /Agents", "act": "status", "times": 1}])
    api.get("/Agents", params={"PageReturned": 2})
    api.get("/nothing")
    ask(api, agent)
    api.get(httpx.URL(f"{command.url}/keyfactorapi/agents/{agent}"))
    asked = {"OrchestratorIds": [agent], "Status": 1}
    assert command.journal() == [
        {"method": "GET", "path": "/Agents", "query": {"PageReturned": "2"}, "fault": "status", "status": 500},
        {"method": "GET", "path": "/nothing", "query": {}, "fault": None, "status": 404},
        {"method": "POST", "path": SET, "query": {}, "body": asked, "fault": None, "status": 200},
        {"method": "GET", "path": f"/agents/{agent}", "query": {}, "fault": None, "status": 200},
    ]
    assert command.posts() == [(1, (agent,))]
    command.forget()
    assert command.journal() == []


@pytest.mark.parametrize(
    ("path", "given", "says"),
    [
        ("/faults", {"page_limit": 3}, "unknown setting 'page_limit'"),
        ("/faults", {"faults": [{"on": "GET", "act": "explode"}]}, "unknown fault 'explode'; expected one of status"),
        ("/faults", {"faults": [{"on": "GET", "act": "drop", "often": 1}]}, "often"),
        ("/faults", {"status_contract": "words"}, "unknown status_contract 'words'; expected one of lenient, string"),
        ("/faults", {"misreads": {"words": 1}}, "expected integer, name or digits, each with 0, 1 or 2"),
        ("/faults", {"misreads": {"name": 3}}, "expected integer, name or digits, each with 0, 1 or 2"),
        ("/faults", {"job_types": 22}, "job_types is 22; expected 0 to 21"),
        ("/world", {"checkin": []}, "unknown change 'checkin'"),
        ("/world", {"now": "tomorrow"}, "'tomorrow'"),
        ("/world", {"check_in": [], "fail": {"AGENT": "why"}}, "AGENT is in `fail` but not in `check_in`"),
        ("/faults", ["drop"], "expected an object of settings"),
        ("/world", {"change": {"00000000-0000-0000-0000-000000000000": {}}}, "was not found"),
        ("/world", {"add": [{"name": "edge"}]}, "name"),
        ("/world", {"change": {"AGENT": {"colour": 1}}}, "no field 'colour'"),
        ("/world", {"change": {"AGENT": {"flag": "Requested"}}}, "'Requested' is not a flag; expected 0, 1 or 2"),
        ("/world", [], "'list' object"),
        ("/world", "{half", "Expecting"),
        ("/faults", "{half", "Expecting"),
    ],
)
def test_a_wrong_order_is_refused_and_says_what_is_wrong(
    command: Command, agent: str, path: str, given: Any, says: str
) -> None:
    text = (given if isinstance(given, str) else json.dumps(given)).replace("AGENT", agent)
    answer = httpx.post(command.said["control_url"] + path, content=text, trust_env=False, verify=False)
    assert answer.status_code == 400
    assert says.replace("AGENT", agent) in answer.json()["error"]


def test_somebody_else_changes_the_world(api: httpx.Client, command: Command, agent: str) -> None:
    before = api.get(f"/Agents/{agent}").json()
    command.world(change={agent: {"flag": 2, "client_machine": "moved"}})
    changed = api.get(f"/Agents/{agent}").json()
    assert (changed["AuthCertificateReenrollment"], changed["ClientMachine"]) == ("Required", "moved")
    command.world(reenroll=[agent])
    renewed = api.get(f"/Agents/{agent}").json()
    assert (renewed["AuthCertificateReenrollment"], renewed["LegacyThumbprint"]) == ("None", None)
    assert renewed["Thumbprint"] == renewed["LastThumbprintUsed"] != before["Thumbprint"]
    command.world(remove=[agent])
    assert api.get(f"/Agents/{agent}").status_code == 404
