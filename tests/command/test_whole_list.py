"""The list of agents is complete or not used, although totals, pages and single readings may be wrong."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keyfactor_provider.command import roster as roster_module
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.exchange import MOST_AT_ONCE
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, CommandError
from tests.support.servers import AgentList, listening

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(12)]
LATE = "00000000-0000-4000-8000-999999999999"
NOBODY = [f"00000000-0000-4000-9000-{number:012}" for number in range(40)]


@pytest.fixture(autouse=True)
def _pages_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "PAGE_SIZE", 4)


@contextmanager
def roster_of(agents: AgentList) -> Iterator[Roster]:
    with listening() as server:
        server.reply = agents
        environment = {
            "KEYFACTOR_HOSTNAME": f"http://{server.host}",
            "KEYFACTOR_USERNAME": "u",
            "KEYFACTOR_PASSWORD": "p",
        }
        with closing(CommandClient(load(lambda _: None, environment, Path("/nonexistent")))) as client:
            yield Roster(client)


def everyone_of(agents: AgentList) -> list[str]:
    with roster_of(agents) as roster:
        return sorted(agent.id for agent in roster.everyone())


def look_at(agents: AgentList, wanted: list[str]) -> list[str]:
    """The wanted ids that are found."""
    with roster_of(agents) as roster:
        return [agent_id for agent_id, agent in roster.look(wanted).items() if agent]


def once(number: int, do: Callable[[], object]) -> Callable[[int], None]:
    """Calls `do` before the first response with that page."""
    actions = [do]

    def before(asked: int) -> None:
        if asked == number and actions:
            actions.pop()()

    return before


@pytest.mark.parametrize(("present", "pages"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (12, 3)])
def test_a_list_that_is_counted_takes_no_page_more_than_it_has(present: int, pages: int) -> None:
    agents = AgentList(IDS[:present])
    assert everyone_of(agents) == IDS[:present]
    assert sorted(agents.asked, key=str) == list(range(1, pages + 1)) if present else agents.asked.count(1) <= 2


@pytest.mark.parametrize("present", [0, 1, 3, 4, 12])
def test_a_list_that_is_not_counted_is_read_twice(present: int) -> None:
    agents = AgentList(IDS[:present], counts=False)
    assert everyone_of(agents) == IDS[:present]
    assert agents.asked.count(1) == 2


@pytest.mark.parametrize("cap", [1, 2, 3, 5])
@pytest.mark.parametrize("counts", [True, False])
def test_a_server_that_caps_its_pages_is_read_to_the_end(cap: int, counts: bool) -> None:
    assert everyone_of(AgentList(list(IDS), cap=cap, counts=counts)) == IDS
    assert look_at(AgentList(list(IDS), cap=cap, counts=counts), [*IDS, NOBODY[0]]) == IDS


def test_pages_are_read_side_by_side_but_never_too_many() -> None:
    guard, under_way, most = threading.Lock(), [0], [0]

    def before(_number: int) -> None:
        with guard:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        threading.Event().wait(0.05)
        with guard:
            under_way[0] -= 1

    agents = AgentList(list(IDS), cap=1, before=before)
    assert everyone_of(agents) == IDS
    assert 1 < most[0] <= MOST_AT_ONCE


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_that_comes_back_empty_once_hides_no_agent(page: int, counts: bool) -> None:
    assert everyone_of(AgentList(list(IDS), counts=counts, empty={page: 1})) == IDS
    assert look_at(AgentList(list(IDS), counts=counts, empty={page: 1}), IDS) == IDS


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_list_that_never_adds_up_is_not_used(page: int) -> None:
    with pytest.raises(BadAnswer, match="12"):
        everyone_of(AgentList(list(IDS), empty={page: 9}))


@pytest.mark.parametrize("total", [0, 3, 11, 13, 999_999_999])
def test_a_count_that_is_wrong_makes_no_list(total: int) -> None:
    with pytest.raises(BadAnswer):
        everyone_of(AgentList(list(IDS), total=total))
    # Agents on a page exist; the others may exist.
    assert look_at(AgentList(list(IDS), total=total), IDS[:4]) == IDS[:4]
    with pytest.raises(CommandError):
        look_at(AgentList(list(IDS), total=total), [*IDS, *NOBODY])


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("page", [2, 3])
def test_a_deletion_between_two_pages_hides_no_agent(page: int, counts: bool) -> None:
    agents = AgentList(list(IDS), counts=counts, cap=2)
    agents.before = once(page, lambda: agents.ids.remove(IDS[0]))
    assert everyone_of(agents) == IDS[1:]


@pytest.mark.parametrize("page", [2, 3])
def test_a_deletion_and_a_registration_between_two_pages_hide_no_agent(page: int) -> None:
    agents = AgentList(list(IDS), cap=2)

    def moves() -> None:
        agents.ids.remove(IDS[0])
        agents.ids.append(LATE)

    # The total does not change, and the first agent of the page moves to the one before it.
    agents.before = once(page, moves)
    assert look_at(agents, [*IDS[1:], LATE]) == [*IDS[1:], LATE]


def test_a_registration_while_the_list_is_read_is_no_failure() -> None:
    agents = AgentList(list(IDS))
    agents.before = once(3, lambda: agents.ids.append(LATE))
    assert everyone_of(agents) == [*IDS, LATE]


@pytest.mark.parametrize("counts", [(1,), (1, 2)])
def test_a_list_whose_count_comes_and_goes_is_read_again_and_not_used(counts: tuple[int, ...]) -> None:
    agents = AgentList(list(IDS), counts=counts)
    with pytest.raises(BadAnswer):
        everyone_of(agents)
    assert agents.asked.count(1) == 2


@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize("counts", [True, False])
def test_a_single_reading_without_the_agent_is_checked_against_the_list(members: int, counts: bool) -> None:
    agents = AgentList(list(IDS), singles=False, counts=counts)
    assert look_at(agents, IDS[:members]) == IDS[:members]
    assert look_at(AgentList(list(IDS), singles=False, counts=counts), [IDS[0], NOBODY[0]]) == IDS[:1]


def test_an_agent_that_no_page_shows_is_found_by_a_look_at_it_alone() -> None:
    assert look_at(AgentList(list(IDS), hidden=IDS[5:6]), IDS) == IDS
    # The total matches the agents shown, so that it does not reveal the hidden one.
    assert look_at(AgentList(list(IDS), hidden=IDS[5:6], total=11), [*IDS, NOBODY[0]]) == IDS


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("present", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("absent", [0, 1, 2, 3, 5, 20, 40])
def test_a_reading_stays_within_its_bound(present: int, absent: int, counts: bool) -> None:
    agents = AgentList(list(IDS), counts=counts)
    wanted = [*IDS[-present:], *NOBODY[:absent]]
    assert look_at(agents, wanted) == wanted[:present]
    assert len(agents.asked) <= 2 * min(len(wanted), 3 + 1)


@pytest.mark.parametrize("counts", [True, False])
def test_everyone_stays_within_its_bound(counts: bool) -> None:
    agents = AgentList(list(IDS), counts=counts)
    everyone_of(agents)
    assert len(agents.asked) <= 2 * (3 + 1)
