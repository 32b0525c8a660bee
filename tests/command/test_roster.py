"""Readings: the number of requests, freshness, completeness, and lists that misbehave."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from keyfactor_provider.command import roster as roster_module
from keyfactor_provider.command.roster import FEW, Roster
from keyfactor_provider.errors import CommandError
from keyfactor_standins.command.process import Command
from tests.support.clients import LIST, ONE, Lab

Labs = Callable[..., Lab]
NOBODY = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]
QUERY = "GET /Agents?QueryString"


@pytest.fixture
def pages_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "PAGE_SIZE", 4)


def most(members: int, pages: int) -> int:
    return 2 * min(members, pages + 1)


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize("present", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("absent", [0, 1, 2, 3, 5, 40])
def test_a_reading_finds_who_is_there_within_its_bound(command: Command, lab: Labs, present: int, absent: int) -> None:
    made = lab()
    wanted = [*command.ids()[-present:], *NOBODY[:absent]]
    found = Roster(made.client).look(wanted)
    assert {agent_id for agent_id, agent in found.items() if agent} == set(wanted[:present])
    assert list(found) == wanted
    assert made.reads() <= most(len(wanted), pages=3)


@pytest.mark.parametrize("members", range(1, FEW + 1))
def test_a_few_are_read_one_by_one(command: Command, lab: Labs, members: int) -> None:
    wanted = command.ids()[:members]
    Roster(lab().client).look(wanted)
    assert [entry["path"] for entry in command.journal()] == [f"/Agents/{agent_id}" for agent_id in wanted]


def test_a_list_is_read_no_further_than_to_the_last_member(command: Command, lab: Labs) -> None:
    made = lab()
    assert all(Roster(made.client).look(command.ids()).values())
    assert made.reads() == 1


def test_many_small_fleets_share_the_pages_of_one_list(
    command: Command, lab: Labs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "PAGE_SIZE", 20)
    command.world(populate=88)
    made = lab()
    shared = Roster(made.client)
    for agent_id in command.ids():
        assert shared.look([agent_id])[agent_id] is not None
    # The few read one by one at first, five pages, and one more reading for each page without its member.
    assert made.reads() <= FEW + 2 * 5


def test_a_reading_is_good_for_a_minute_and_no_longer(command: Command, lab: Labs) -> None:
    made = lab()
    shared = Roster(made.client)
    agent_id = command.ids()[0]
    shared.look([agent_id])
    command.world(change={agent_id: {"flag": 2}})
    made.clock.sleep(59)
    assert shared.look([agent_id])[agent_id].flag == "None"  # type: ignore[union-attr]
    made.clock.sleep(2)
    assert shared.look([agent_id])[agent_id].flag == "Required"  # type: ignore[union-attr]


def test_absence_is_shared_and_forgotten_like_presence(command: Command, lab: Labs) -> None:
    made = lab()
    shared = Roster(made.client)
    for _ in range(3):
        assert shared.look(NOBODY[:1]) == {NOBODY[0]: None}
    assert made.reads() == 2
    command.world(add=[{"agent_id": NOBODY[0], "client_machine": "late"}])
    made.clock.sleep(61)
    assert shared.look(NOBODY[:1])[NOBODY[0]] is not None


@pytest.mark.parametrize("members", [1, 12])
def test_what_this_process_wrote_to_is_read_again_before_it_decides_anything(
    command: Command, lab: Labs, members: int
) -> None:
    made = lab()
    fleet = made.fleet()
    ids = command.ids()[:members]
    fleet.up(ids)
    command.world(reenroll=ids)
    fleet.up(ids, triggers={"next": "1"})
    assert fleet.counts() == {"pending": members}
    assert len(command.posts()) == 2


def test_two_fleets_share_one_reading(command: Command, lab: Labs) -> None:
    made = lab()
    made.fleet("edge").up(command.ids()[:6])
    reads = made.reads()
    made.fleet("core").up(command.ids()[6:])
    assert made.reads() == reads


@pytest.mark.parametrize("members", [1, FEW])
def test_watching_a_few_reads_those_few_each_time_and_no_list(command: Command, lab: Labs, members: int) -> None:
    made = lab()
    fleet = made.fleet()
    ids = command.ids()[:members]
    fleet.up(ids)
    command.forget()
    for _ in range(10):
        assert len(made.operations.progress(fleet.state["members"], 60).waiting) == members
        made.clock.sleep(5)
    assert {entry["path"] for entry in command.journal()} == {f"/Agents/{agent_id}" for agent_id in ids}
    assert made.reads() == 10 * members
    command.world(reenroll=ids)
    assert not made.operations.progress(fleet.state["members"], 60).waiting


def test_watching_many_reads_the_list_once_each_time(command: Command, lab: Labs) -> None:
    made = lab()
    fleet = made.fleet()
    fleet.up(command.ids())
    command.forget()
    for number in range(1, 4):
        made.operations.progress(fleet.state["members"], 60)
        assert made.reads() == number


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize("cap", [1, 3, 5])
def test_a_server_that_caps_its_pages_is_read_to_the_end(command: Command, lab: Labs, cap: int) -> None:
    command.faults(page_cap=cap)
    made = lab()
    assert [agent.id for agent in Roster(made.client).everyone()] == command.ids()
    assert all(Roster(made.client).look(command.ids()).values())


def rewritten(on: str, **changes: Any) -> dict[str, Any]:
    query = {
        name: value for change, value in changes.items() for name in (change, f"pq.{change[0].lower()}{change[1:]}")
    }
    return {"on": on, "act": "rewrite", "query": query}


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize(
    "fault",
    [
        # Every page has all agents.
        rewritten(LIST, PageReturned="1", ReturnLimit="1000"),
        # The second page comes twice; the third page must still be read.
        {**rewritten("GET /Agents?PageReturned=3", PageReturned="2"), "times": 1},
        # Pages overlap, as when agents are added while the list is read.
        {
            "on": "GET /Agents?PageReturned=2",
            "act": "pass",
            "times": 1,
            "world": {"add": [{"agent_id": NOBODY[number], "client_machine": "new"} for number in range(3)]},
        },
    ],
)
def test_a_list_with_repeated_pages_hides_no_agent(command: Command, lab: Labs, fault: dict[str, Any]) -> None:
    ids = command.ids()
    command.faults(faults=[fault])
    assert all(Roster(lab().client).look(ids).values())


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize("removed", [1, 3, 4])
def test_a_list_that_shrinks_while_it_is_read_hides_no_agent(command: Command, lab: Labs, removed: int) -> None:
    ids = command.ids()
    # Agents on the first page are removed, so that others move there after it was read.
    command.faults(
        faults=[{"on": "GET /Agents?PageReturned=2", "act": "pass", "times": 1, "world": {"remove": ids[:removed]}}]
    )
    made = lab()
    found = Roster(made.client).look(ids)
    assert all(found[agent_id] for agent_id in ids[4:])
    assert made.reads() <= most(12, pages=3)


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize("page", [2, 3])
@pytest.mark.parametrize("removed", [1, 3, 4])
def test_a_list_that_shrinks_while_everyone_is_read_has_exactly_the_remaining_agents(
    command: Command, lab: Labs, page: int, removed: int
) -> None:
    ids = command.ids()
    going = {"on": f"GET /Agents?PageReturned={page}", "act": "pass", "times": 1, "world": {"remove": ids[:removed]}}
    command.faults(faults=[going])
    made = lab()
    assert {agent.id for agent in Roster(made.client).everyone()} == set(ids[removed:])
    assert made.reads() <= most(12, pages=3) + removed


@pytest.mark.parametrize("number", [400, 404])
@pytest.mark.parametrize("members", [1, 2, FEW])
def test_a_server_without_single_readings_gets_one_query_for_a_few(
    command: Command, lab: Labs, number: int, members: int
) -> None:
    command.faults(faults=[{"on": ONE, "act": "status", "status": number}])
    made = lab()
    assert all(Roster(made.client).look(command.ids()[:members]).values())
    assert made.reads() == members + 1


@pytest.mark.parametrize(
    "query",
    [
        {"on": QUERY, "act": "status", "status": 400},
        rewritten(QUERY, QueryString=""),
    ],
)
def test_a_server_that_refuses_or_ignores_the_query_is_read_from_its_list(
    command: Command, lab: Labs, query: dict[str, Any]
) -> None:
    command.faults(faults=[{"on": ONE, "act": "status", "status": 404}, query])
    wanted = [command.ids()[0], NOBODY[0]]
    found = Roster(lab().client).look(wanted)
    assert [bool(found[agent_id]) for agent_id in wanted] == [True, False]


def test_a_query_goes_out_without_a_plus_and_under_both_names(command: Command, lab: Labs) -> None:
    command.faults(faults=[{"on": ONE, "act": "status", "status": 404}])
    sent: list[str] = []
    made = lab()

    async def watch(request: httpx.Request) -> None:
        sent.append(str(request.url))

    made.client._http.event_hooks = {"request": [watch]}
    Roster(made.client).look(command.ids()[:2])
    assert "QueryString=AgentId%20-eq%20%22" in sent[-1]
    assert "%20OR%20AgentId" in sent[-1]
    assert "pq.queryString=" in sent[-1]
    assert "+" not in sent[-1]


def test_a_single_reading_may_answer_with_a_list(command: Command, lab: Labs) -> None:
    agent_id, other = command.ids()[:2]
    text = f'[{{"AgentId": "{other}"}}, {{"AgentId": "{agent_id.upper()}", "Thumbprint": "ab:cd"}}]'
    command.faults(faults=[{"on": ONE, "act": "body", "body": text}])
    found = Roster(lab().client).look([agent_id])[agent_id]
    assert found is not None
    assert found.thumbprint == "ABCD"


def test_a_list_that_fails_half_way_raises_and_makes_no_member_missing(command: Command, lab: Labs) -> None:
    command.faults(page_cap=4, faults=[{"on": LIST, "act": "status", "status": 403, "skip": 1}])
    made = lab()
    with pytest.raises(CommandError):
        list(Roster(made.client).everyone())
    command.faults(faults=[{"on": LIST, "act": "status", "status": 403, "skip": 1}])
    fleet = made.fleet()
    fleet.up(command.ids())
    assert fleet.counts() == {"due": 12}


def test_a_failed_query_marks_no_agent_as_gone(command: Command, lab: Labs) -> None:
    command.faults(
        faults=[
            {"on": ONE, "act": "status", "status": 404},
            {"on": QUERY, "act": "status", "status": 400},
            {"on": LIST, "act": "status", "status": 403, "times": 1},
        ]
    )
    shared = Roster(lab().client)
    agent_id = command.ids()[0]
    with pytest.raises(CommandError):
        shared.look([agent_id])
    assert shared.look([agent_id])[agent_id] is not None
