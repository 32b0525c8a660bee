"""GET /Agents: pages, order, and the query language."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keyfactor_standins.command.process import Command, running

FLEET = [
    {
        "agent_id": f"0000000{digit}-0000-4000-8000-000000000000",
        "client_machine": machine,
        "username": f"PLANT\\{user}",
        "agent_platform": platform,
        "version": version,
        "status": status,
        "last_seen": seen,
        "capabilities": capabilities,
    }
    for digit, machine, user, platform, version, status, seen, capabilities in (
        ("a", "edge-1", "svc-edge", 5, "2.9", 1, "2026-01-01T00:00:00.000Z", ["CertStores.PEM.Inventory"]),
        ("b", "edge-2", "svc-edge", 5, "2.10", 2, "2026-01-02T12:00:00.500Z", ["LOGS"]),
        ("c", "core (1)", "svc-core", 1, "", 2, "2026-01-03T00:00:00.000Z", []),
        ("d", "edge-1", "svc-core", 1, "2.9", 3, "", ["LOGS", "CertStores.PEM.Inventory"]),
    )
]

JOB_TYPE = {"Name", "CertStoreTypeShortName", "CertStoreJobType", "JobTypeId"}


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        command.world(add=FLEET)
        yield command


def listed(api: httpx.Client, **parameters: Any) -> str:
    """The orchestrators in a response, each as one letter."""
    answer = api.get("/Agents", params={name.replace("_", "."): value for name, value in parameters.items()})
    assert answer.status_code == 200, answer.text
    return "".join(each["AgentId"][7] for each in answer.json())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('ClientMachine -eq "edge-1"', "ad"),
        ('ClientMachine -eq "EDGE-1"', "ad"),
        ('clientmachine -EQ "edge-1"', "ad"),
        ('ClientMachine -ne "edge-1"', "bc"),
        ('ClientMachine -contains "ge-"', "abd"),
        ('ClientMachine -notcontains "ge-"', "c"),
        ('ClientMachine -startswith "core"', "c"),
        ('ClientMachine -endswith "-2"', "b"),
        ('ClientMachine -eq "core (1)"', "c"),
        ('ClientMachine -eq "AND"', ""),
        ("ClientMachine -eq edge-2", "b"),
        ('AgentId -eq "0000000A-0000-4000-8000-000000000000"', "a"),
        ('Identity -contains "core"', "cd"),
        ('Capabilities -contains "LOGS"', "bd"),
        ('Version -eq "2.9"', "ad"),
        ("Version -eq NULL", "c"),
        ("Version -ne NULL", "abd"),
        ('Version -eq "NULL"', ""),
        ("Status -eq 2", "bc"),
        ('Status -eq "2"', "bc"),
        ("Status -ne 2", "ad"),
        ("Status -gt 1", "bcd"),
        ("Status -ge 2", "bcd"),
        ("Status -lt 2", "a"),
        ("Status -le 2", "abc"),
        ("Platform -eq 5", "ab"),
        ('LastSeen -lt "2026-01-02"', "a"),
        ('LastSeen -gt "2026-01-02T12:00:00Z"', "bc"),
        ('LastSeen -eq "2026-01-02T12:00:00.500Z"', "b"),
        ("LastSeen -eq NULL", "d"),
        ('ClientMachine -eq "edge-1" AND Status -eq 1', "a"),
        ('ClientMachine -eq "edge-1" and Status -eq 1', "a"),
        ("Status -eq 1 OR Status -eq 3", "ad"),
        ("Status -eq 3 OR Status -eq 2 AND Platform -eq 5", "bd"),
        ("(Status -eq 3 OR Status -eq 2) AND Platform -eq 1", "cd"),
        ('((Status -eq 3)) AND (Identity -contains "core")', "d"),
        ('(Status -eq "2")AND Platform -eq 5', "b"),
        ("  ", "abcd"),
    ],
)
def test_a_query_finds(api: httpx.Client, query: str, found: str) -> None:
    assert listed(api, QueryString=query) == found


@pytest.mark.parametrize(
    "query",
    [
        "ClientMachine",
        "ClientMachine -eq",
        'ClientMachine "edge-1"',
        'ClientMachine eq "edge-1"',
        'ClientMachine -like "edge-1"',
        'ClientMachine -lt "edge-1"',
        'ClientMachine -eq "edge-1',
        'ClientMachine -eq "edge"1"',
        'ClientMachine -eq "edge-1" Status -eq 1',
        'ClientMachine -eq "edge-1" AND',
        '(ClientMachine -eq "edge-1"',
        'ClientMachine -eq "edge-1")',
        'Status -contains "2"',
        'Status -eq "Approved"',
        'LastSeen -lt "yesterday"',
        "ClientMachine -contains NULL",
        'AuthCertificateReenrollment -eq "None"',
        'Thumbprint -eq "AB"',
    ],
)
def test_a_query_is_refused(api: httpx.Client, query: str) -> None:
    answer = api.get("/Agents", params={"QueryString": query})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (400, "0xA011004A")


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, "abcd"),
        ({"PageReturned": 1, "ReturnLimit": 3}, "abc"),
        ({"PageReturned": 2, "ReturnLimit": 3}, "d"),
        ({"PageReturned": 3, "ReturnLimit": 3}, ""),
        ({"pq_pageReturned": 2, "pq_returnLimit": 3}, "d"),
        ({"PQ_PAGERETURNED": 2, "returnlimit": 3}, "d"),
        ({"PageReturned": "", "ReturnLimit": ""}, "abcd"),
        ({"ReturnLimit": 2, "QueryString": "Status -eq 2", "PageReturned": 1}, "bc"),
        ({"ReturnLimit": 1, "QueryString": "Status -eq 2", "PageReturned": 2}, "c"),
        ({"SortField": "AgentId", "SortAscending": 0}, "abcd"),
        ({"SortField": "AgentId", "SortAscending": 1}, "dcba"),
        ({"pq_sortField": "clientmachine", "pq_sortAscending": 0}, "cadb"),
        ({"SortField": "ClientMachine", "SortAscending": 1}, "badc"),
        ({"SortField": "Status", "SortAscending": "Descending"}, "dbca"),
        ({"SortField": "Platform"}, "cdab"),
        ({"SortField": "Username"}, "cdab"),
        ({"SortField": "LastSeen"}, "dabc"),
        ({"SortField": "", "SortAscending": ""}, "abcd"),
        ({"Something": "else"}, "abcd"),
    ],
)
def test_a_page_holds(api: httpx.Client, parameters: dict[str, Any], found: str) -> None:
    assert listed(api, **parameters) == found


@pytest.mark.parametrize(
    "parameters",
    [
        {"PageReturned": 0},
        {"PageReturned": "x"},
        {"ReturnLimit": -1},
        {"ReturnLimit": "²"},
        {"SortField": "AuthCertificateReenrollment"},
        {"SortField": "Nothing"},
        {"SortAscending": 2},
    ],
)
def test_a_parameter_is_refused(api: httpx.Client, parameters: dict[str, Any]) -> None:
    answer = api.get("/Agents", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["Message"]


@pytest.mark.parametrize(
    ("parameters", "total"),
    [
        ({}, 4),
        ({"ReturnLimit": 1}, 4),
        ({"PageReturned": 9}, 4),
        ({"QueryString": "Status -eq 2", "ReturnLimit": 1}, 2),
        ({"QueryString": "Status -eq 4"}, 0),
    ],
)
def test_the_total_counts_what_is_left_after_filtering_whatever_the_page(
    api: httpx.Client, command: Command, parameters: dict[str, Any], total: int
) -> None:
    assert api.get("/Agents", params=parameters).headers["X-Total-Count"] == str(total)
    command.faults(total_count=False)
    assert "X-Total-Count" not in api.get("/Agents", params=parameters).headers


@pytest.mark.parametrize(("job_types", "least", "most"), [(0, 450, 550), (1, 600, 700), (17, 600, 3100)])
def test_orchestrators_are_as_large_as_their_job_types_make_them(job_types: int, least: int, most: int) -> None:
    pages = []
    for _ in range(2):
        with running("--orchestrators", "50", "--job-types", str(job_types)) as command:
            url, token = f"{command.url}/KeyfactorAPI/Agents", command.said["access_token"]
            headers = {"Authorization": f"Bearer {token}", "x-keyfactor-requested-with": "APIClient"}
            pages.append(httpx.get(url, headers=headers, trust_env=False).json())
    sizes = [len(json.dumps(agent, separators=(",", ":"))) for agent in pages[0]]
    assert least <= min(sizes)
    assert max(sizes) <= most
    assert max(sizes) >= most * 0.85
    assert [each.get("JobTypes") for each in pages[0]] == [each.get("JobTypes") for each in pages[1]]
    assert all(set(kind) == JOB_TYPE for agent in pages[0] for kind in agent.get("JobTypes", []))


def test_one_that_was_never_seen_has_no_last_seen(api: httpx.Client) -> None:
    assert [each["LastSeen"] is None for each in api.get("/Agents").json()] == [False, False, False, True]


def test_a_page_holds_50_unless_told_and_the_pages_together_hold_everybody_once() -> None:
    with (
        running("--orchestrators", "120") as command,
        httpx.Client(
            base_url=f"{command.url}/KeyfactorAPI",
            headers={
                "Authorization": f"Bearer {command.said['access_token']}",
                "x-keyfactor-requested-with": "APIClient",
            },
            trust_env=False,
            verify=False,
        ) as api,
    ):
        pages = [api.get("/Agents", params={"PageReturned": page}).json() for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [50, 50, 20, 0]
        assert [each["AgentId"] for page in pages for each in page] == command.ids()
        command.faults(page_cap=30)
        assert len(api.get("/Agents", params={"ReturnLimit": 100}).json()) == 30
