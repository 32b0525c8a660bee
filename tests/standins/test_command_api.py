"""The Keyfactor API: requests for re-enrollment, approvals, resets, deletions and errors."""

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from keyfactor_standins.command.process import Command, running

UNKNOWN = "00000000-0000-0000-0000-000000000000"
SET = "/Agents/SetAuthCertificateReenrollment"
NAMES = ["None", "Requested", "Required"]
STATES = {"New": 1, "Approved": 2, "Disapproved": 3}


def flag(api: httpx.Client, agent_id: str) -> Any:
    return api.get(f"/Agents/{agent_id}").json()["AuthCertificateReenrollment"]


def status(api: httpx.Client, agent_id: str) -> Any:
    return api.get(f"/Agents/{agent_id}").json()["Status"]


def is_an_error(answer: httpx.Response, code: int) -> bool:
    """Check an error in Command's format: a code of eight hex digits as text, and a message."""
    if answer.status_code != code:
        return False
    error = answer.json()
    return re.fullmatch(r"0x[0-9A-F]{8}", error["ErrorCode"]) is not None and bool(error["Message"])


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        *((spelling, "Requested") for spelling in (1, "1", "Requested", "requested", "REQUESTED", " Requested ")),
        *((spelling, "Required") for spelling in (2, "2", "Required")),
        *((spelling, "None") for spelling in (0, "0", "None")),
    ],
)
def test_a_status_is_taken_as_integer_digits_and_name(
    api: httpx.Client, command: Command, agent: str, asked: Any, name: str
) -> None:
    command.world(change={agent: {"flag": 2 if name == "Requested" else 1}})
    answer = api.post(SET, json={"OrchestratorIds": [agent], "Status": asked})
    assert answer.json() == {"FailedOrchestratorIds": [], "Status": name}
    assert flag(api, agent) == name


@pytest.mark.parametrize(
    "body",
    [
        {"orchestratorIds": [], "status": "Requested"},
        {"ORCHESTRATORIDS": [], "STATUS": 1},
        {"orchestratorIds": [], "statusEnum": 1},
        {"orchestratorIds": [], "status": None, "statusEnum": 1},
        {"orchestratorIds": [], "status": "Requested", "statusEnum": 1, "extra": {}},
    ],
)
def test_the_names_in_a_body_count_in_any_case_and_a_later_client_may_send_status_enum(
    api: httpx.Client, agent: str, body: dict[str, Any]
) -> None:
    filled = {name: [agent] if value == [] else value for name, value in body.items()}
    assert api.post(SET, json=filled).status_code == 200
    assert flag(api, agent) == "Requested"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "text/json", "application/json-patch+json", None],
)
def test_a_body_is_taken_under_every_json_content_type(api: httpx.Client, agent: str, content_type: str | None) -> None:
    text = f'{{"OrchestratorIds": ["{agent}"], "Status": 1}}'
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert api.post(SET, content=text, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"OrchestratorIds": [UNKNOWN], "Status": 3}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": -1}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": "Wanted"}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": ""}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": True}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": 1.0}, 400),
        ({"OrchestratorIds": [UNKNOWN], "Status": [1]}, 400),
        ({"OrchestratorIds": [UNKNOWN]}, 400),
        ({"OrchestratorIds": [], "Status": 1}, 400),
        ({"OrchestratorIds": None, "Status": 1}, 400),
        ({"OrchestratorIds": UNKNOWN, "Status": 1}, 400),
        ({"Status": 1}, 400),
        ({"OrchestratorIds": ["edge-001"], "Status": 1}, 400),
        ({"OrchestratorIds": [7], "Status": 1}, 400),
        ([UNKNOWN], 400),
        (None, 400),
        ("{half", 400),
        ("OrchestratorIds=1", 415),
    ],
)
def test_a_bad_request_is_refused_whole_with_an_error_body(
    api: httpx.Client, command: Command, agent: str, body: Any, code: int
) -> None:
    if isinstance(body, dict) and isinstance(body.get("OrchestratorIds"), list) and body["OrchestratorIds"]:
        body = {**body, "OrchestratorIds": [agent, *body["OrchestratorIds"]]}
    if code == 415:
        answer = api.post(SET, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    elif isinstance(body, str):
        answer = api.post(SET, content=body, headers={"Content-Type": "application/json"})
    else:
        answer = api.post(SET, json=body)
    assert is_an_error(answer, code)
    assert command.flags()[agent] == "None"


@pytest.mark.parametrize(
    ("state", "asked", "fails"),
    [
        ("Approved", "Requested", False),
        ("Approved", "None", False),
        ("New", "Requested", True),
        ("New", "Required", True),
        ("Disapproved", "Requested", True),
        ("New", "None", False),
        ("Disapproved", "None", False),
    ],
)
def test_an_orchestrator_that_is_not_approved_can_only_be_cleared(
    api: httpx.Client, command: Command, agent: str, state: str, asked: str, fails: bool
) -> None:
    command.world(change={agent: {"status": STATES[state], "flag": 1 if asked == "None" else 0}})
    before = flag(api, agent)
    answer = api.post(SET, json={"OrchestratorIds": [agent], "Status": asked})
    assert (answer.status_code, answer.json()["FailedOrchestratorIds"]) == (200, [agent] if fails else [])
    assert flag(api, agent) == (before if fails else asked)


def test_what_fails_is_listed_as_it_was_written_and_the_others_succeed(api: httpx.Client, command: Command) -> None:
    good, also_good, refused = command.world(populate=3)
    command.faults(refused=[refused.upper()])
    asked = [good, UNKNOWN, f"{{{refused.upper()}}}", also_good.upper(), UNKNOWN]
    answer = api.post(SET, json={"OrchestratorIds": asked, "Status": 1})
    assert answer.json()["FailedOrchestratorIds"] == [UNKNOWN, f"{{{refused.upper()}}}", UNKNOWN]
    flags = command.flags()
    assert (flags[good], flags[also_good], flags[refused]) == ("Requested", "Requested", "None")


def test_the_same_status_twice_and_the_same_guid_twice_succeed(api: httpx.Client, agent: str) -> None:
    for _ in range(2):
        answer = api.post(SET, json={"OrchestratorIds": [agent, agent], "Status": 2})
        assert answer.json() == {"FailedOrchestratorIds": [], "Status": "Required"}


@pytest.fixture(scope="module", params=[("names", str, str), ("mixed", int, str), ("integers", int, int)])
def spelling(request: pytest.FixtureRequest) -> Iterator[tuple[Command, type, type]]:
    """A Command for each --statuses, with the types of a response's status and of an orchestrator's flag."""
    mode, response, field = request.param
    with running("--orchestrators", "1", "--statuses", mode) as command:
        yield command, response, field


@pytest.mark.parametrize("number", [0, 1, 2])
def test_answers_write_a_status_as_they_were_told_to(spelling: tuple[Command, type, type], number: int) -> None:
    command, response, field = spelling
    with httpx.Client(
        base_url=f"{command.url}/KeyfactorAPI",
        headers={"Authorization": f"Bearer {command.said['access_token']}", "x-keyfactor-requested-with": "APIClient"},
        trust_env=False,
        verify=False,
    ) as api:
        answer = api.post(SET, json={"OrchestratorIds": command.ids(), "Status": NAMES[number]}).json()
        listed, single = api.get("/Agents").json()[0], api.get(f"/Agents/{command.ids()[0]}").json()
    assert answer["Status"] == (number if response is int else NAMES[number])
    assert listed["AuthCertificateReenrollment"] == (number if field is int else NAMES[number])
    assert single == listed


def test_an_orchestrator_has_exactly_the_documented_fields(api: httpx.Client, agent: str) -> None:
    shown = api.get(f"/Agents/{agent}").json()
    assert {name: type(value) for name, value in shown.items()} == {
        "AgentId": str,
        "ClientMachine": str,
        "Username": str,
        "AgentPlatform": int,
        "Version": str,
        "Status": int,
        "LastSeen": str,
        "Capabilities": list,
        "Blueprint": type(None),
        "Thumbprint": str,
        "LegacyThumbprint": type(None),
        "AuthCertificateReenrollment": str,
        "LastThumbprintUsed": str,
        "LastErrorCode": type(None),
        "LastErrorMessage": type(None),
        "JobTypes": list,
    }
    assert re.fullmatch(r"[0-9A-F]{40}", shown["Thumbprint"])
    assert datetime.fromisoformat(shown["LastSeen"].replace("Z", "+00:00")).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("call", "before", "after"),
    [
        ("/Agents/Approve", "New", 2),
        ("/Agents/Approve", "Disapproved", 2),
        ("/Agents/Disapprove", "Approved", 3),
        ("/Agents/Reset", "Approved", 1),
    ],
)
def test_a_bare_list_of_guids_approves_disapproves_and_resets(
    api: httpx.Client, command: Command, call: str, before: str, after: int
) -> None:
    ids = command.world(populate=2)
    command.world(change={agent_id: {"status": STATES[before]} for agent_id in ids})
    answer = api.post(call, json=[ids[0], ids[1].upper()])
    assert (answer.status_code, answer.content) == (204, b"")
    assert [status(api, agent_id) for agent_id in ids] == [after, after]


@pytest.mark.parametrize("call", ["/Agents/Approve", "/Agents/Disapprove", "/Agents/Reset"])
@pytest.mark.parametrize("body", [[UNKNOWN], ["edge-001"], {"AgentIds": []}, None])
def test_a_list_with_one_wrong_entry_is_refused_and_changes_nobody(
    api: httpx.Client, agent: str, call: str, body: Any
) -> None:
    assert is_an_error(api.post(call, json=[agent, *body] if isinstance(body, list) else body), 400)
    assert status(api, agent) == 2


@pytest.mark.parametrize("body", [b"", b"null"], ids=["none", "null"])
def test_a_reset_of_one_makes_it_new_without_certificates_or_flag(
    api: httpx.Client, command: Command, agent: str, body: bytes
) -> None:
    command.world(change={agent: {"flag": 2, "legacy_thumbprint": "AB"}})
    assert api.post(f"/Agents/{agent}/Reset", content=body).status_code == 204
    shown = api.get(f"/Agents/{agent}").json()
    certificates = [shown[name] for name in ("Thumbprint", "LegacyThumbprint", "LastThumbprintUsed")]
    assert (shown["Status"], shown["AuthCertificateReenrollment"], certificates) == (1, "None", [None] * 3)


@pytest.mark.parametrize(
    ("capabilities", "code"), [(["LOGS"], 204), (["Custom.FetchLogs"], 204), (["CertStores.PEM.Inventory"], 400)]
)
def test_logs_are_fetched_where_the_orchestrator_can(
    api: httpx.Client, command: Command, agent: str, capabilities: list[str], code: int
) -> None:
    command.world(change={agent: {"capabilities": capabilities}})
    assert api.post(f"/Agents/{agent}/FetchLogs", content="null").status_code == code


@pytest.mark.parametrize("query", ["", "?force=true", "?force=false"])
@pytest.mark.parametrize(("state", "code"), [("New", 400), ("Approved", 400), ("Disapproved", 204)])
def test_only_a_disapproved_orchestrator_is_deleted(
    api: httpx.Client, command: Command, agent: str, query: str, state: str, code: int
) -> None:
    command.world(change={agent: {"status": STATES[state]}})
    assert api.delete(f"/Agents/{agent}{query}").status_code == code
    assert api.get(f"/Agents/{agent}").status_code == (404 if code == 204 else 200)
    assert (agent in command.ids()) is (code != 204)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/Agents/{}", 404),
        ("DELETE", "/Agents/{}", 404),
        ("POST", "/Agents/{}/FetchLogs", 404),
        ("POST", "/Agents/{}/Reset", 400),
    ],
)
def test_an_unknown_orchestrator_and_one_that_is_no_guid_get_an_error(
    api: httpx.Client, method: str, path: str, code: int
) -> None:
    unknown = api.request(method, path.format(UNKNOWN))
    assert is_an_error(unknown, code)
    assert UNKNOWN in unknown.json()["Message"]
    assert is_an_error(api.request(method, path.format("edge-001")), 400)


@pytest.mark.parametrize("written", [str, str.upper, "{{{}}}".format, "%7B{}%7D".format])
def test_a_guid_in_a_path_may_be_in_upper_case_and_in_braces(api: httpx.Client, agent: str, written: Any) -> None:
    assert api.get(f"/Agents/{written(agent)}").json()["AgentId"] == agent


@pytest.mark.parametrize("base", ["/KeyfactorAPI", "/keyfactorapi", "/KEYFACTORAPI/", "//KeyfactorAPI"])
@pytest.mark.parametrize("path", ["/Agents/{}", "/agents/{}", "//AGENTS//{}/"])
def test_a_path_counts_in_any_case_and_with_careless_slashes(
    api: httpx.Client, command: Command, agent: str, base: str, path: str
) -> None:
    answer = api.get(httpx.URL(command.url).copy_with(raw_path=(base + path.format(agent)).encode()))
    assert answer.json()["AgentId"] == agent


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/Nothing", 404), ("GET", "/Agents/Approve/x", 404), ("PUT", "/Agents", 405)]
)
def test_what_is_not_there_has_no_body(api: httpx.Client, method: str, path: str, code: int) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.content) == (code, b"")
    assert answer.headers.get("Allow", "") == ("GET,HEAD" if code == 405 else "")


def test_head_answers_as_get_without_a_body(api: httpx.Client, agent: str) -> None:
    head, get = api.head(f"/Agents/{agent}"), api.get(f"/Agents/{agent}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 200),
        ({"x-keyfactor-requested-with": "XMLHttpRequest"}, 200),
        ({"x-keyfactor-requested-with": ""}, 400),
        ({"x-keyfactor-requested-with": "curl"}, 400),
        ({"x-keyfactor-api-version": "1"}, 200),
        ({"x-keyfactor-api-version": "1.0"}, 200),
        ({"x-keyfactor-api-version": "2"}, 400),
    ],
)
def test_the_keyfactor_headers_are_checked(api: httpx.Client, changed: dict[str, str], code: int) -> None:
    answer = api.get("/Agents", headers=changed)
    assert answer.status_code == code
    assert code == 200 or is_an_error(answer, 400)


def test_the_login_probe_of_the_published_clients_gets_a_list_of_strings(api: httpx.Client) -> None:
    answer = api.get("/Status/Endpoints")
    assert "POST /Agents/SetAuthCertificateReenrollment" in answer.json()
    assert all(isinstance(each, str) for each in answer.json())


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/Agents", 200),
        ("GET", "/Status/Endpoints", 200),
        ("POST", "/Agents/Approve", 400),
        ("GET", f"/Agents/{UNKNOWN}", 404),
        ("GET", "/nothing", 404),
    ],
)
def test_every_answer_has_the_headers_of_the_recorded_server(
    api: httpx.Client, method: str, path: str, code: int
) -> None:
    answers = [api.request(method, path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [code, code]
    assert len({uuid.UUID(answer.headers["X-Keyfactor-Correlation-Id"]) for answer in answers}) == 2
    assert re.fullmatch(r"25\.4\.1\+[0-9a-f]{40}", answers[0].headers["X-Keyfactor-Product-Version"])
    assert answers[0].headers["Api-Supported-Versions"] == "1.0"


def test_only_the_api_has_those_headers(api: httpx.Client, command: Command) -> None:
    for answer in (api.post(command.said["token_url"]), api.get(f"{command.said['control_url']}/journal")):
        assert "X-Keyfactor-Correlation-Id" not in answer.headers


@pytest.mark.parametrize(
    ("contract", "taken"),
    [
        ("lenient", [1, "1", "Requested"]),
        ("string", ["1", "Requested"]),
        ("integer", [1]),
        ("name", ["Requested"]),
        ("digits", ["1"]),
    ],
)
def test_a_status_contract_takes_its_encodings_and_answers_400_to_others(
    api: httpx.Client, command: Command, agent: str, contract: str, taken: list[Any]
) -> None:
    command.faults(status_contract=contract)
    for status in (1, "1", "Requested"):
        command.world(change={agent: {"flag": 0}})
        answer = api.post(SET, json={"OrchestratorIds": [agent], "Status": status})
        assert answer.status_code == 200 if status in taken else is_an_error(answer, 400)
        assert flag(api, agent) == ("Requested" if status in taken else "None")


def test_a_server_that_misreads_an_encoding_does_and_echoes_another_status(
    api: httpx.Client, command: Command, agent: str
) -> None:
    command.faults(misreads={"integer": 2, "digits": 0})
    for status, echoed in ((1, "Required"), ("1", "None"), ("Requested", "Requested")):
        answer = api.post(SET, json={"OrchestratorIds": [agent], "Status": status}).json()
        assert (answer["Status"], flag(api, agent)) == (echoed, echoed)
