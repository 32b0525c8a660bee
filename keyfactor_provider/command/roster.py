"""The readings of one process, shared by all its fleets: few agents one by one, many by paging."""

import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from keyfactor_provider.command.client import CommandClient, Page
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import BadAnswer, NotFound, Rejected
from keyfactor_provider.text import count

FEW: Final = 3
"""Up to so many agents are read one by one: a list may cost two pages at the least."""
PAGE_SIZE: Final = 1000
FRESH_FOR: Final = 60.0
"""Seconds for which a reading is good enough to decide by."""

_IN_ONE_QUERY: Final = 20
"""GUIDs that fit into a query string everywhere (IIS takes 2,048 characters)."""
_NEVER: Final = (None, float("-inf"))


class Roster:
    """What this process knows of Command's agents, and since when.

    One reading costs at most 2 x min(agents wanted, pages + 1) requests, retries aside. A listing that
    one reading leaves unfinished is carried on by the next, so that many small fleets share its pages.
    """

    def __init__(self, client: CommandClient) -> None:
        self._client = client
        self._known: dict[str, tuple[Agent | None, float]] = {}
        self._read_singly = 0
        self._listing: _Listing | None = None
        self._everyone: tuple[Sequence[Agent], float] | None = None

    def look(self, wanted: Iterable[str], *, deadline: Deadline | None = None) -> Mapping[str, Agent | None]:
        """The agents by canonical GUID; None where Command has no such agent.

        Raises:
            CommandError: Command could not be read.
        """
        ids = list(wanted)
        lacking = self._stale(ids)
        if len(lacking) + self._read_singly <= FEW:
            self._read_singly += len(lacking)
            self._read_each(lacking, deadline)
        else:
            self._read_many(lacking, deadline)
        return {agent_id: self._known[agent_id][0] for agent_id in ids}

    def look_again(self, wanted: Iterable[str], *, deadline: Deadline | None = None) -> Mapping[str, Agent | None]:
        """The agents as they are now, for callers that ask repeatedly about the same agents.

        A few are read one by one each time: no other fleet would share the pages.

        Raises:
            CommandError: Command could not be read.
        """
        ids = list(wanted)
        self.forget(ids)
        if len(ids) <= FEW:
            self._read_each(ids, deadline)
        return self.look(ids, deadline=deadline)

    def forget(self, written: Iterable[str]) -> None:
        """Makes the next reading ask Command again about agents that were written to."""
        self._everyone = None
        for agent_id in written:
            self._known.pop(agent_id, None)

    def everyone(self, *, deadline: Deadline | None = None) -> Sequence[Agent]:
        """Every agent that Command has.

        One reading is enough where Command counts its agents and the pages add up to that. Otherwise the list is
        read once more, since an agent that is deleted meanwhile makes another one fall between two pages, and
        those whom only the first reading shows are looked at one by one.

        Raises:
            BadAnswer: the pages don't add up twice in a row; an incomplete list is not returned.
            CommandError: a page could not be read.
        """
        first = _Listing(self._client)
        agents = self._all_of(first, deadline)
        if not first.whole:
            second = _Listing(self._client)
            again = self._all_of(second, deadline)
            alone = [agent_id for agent_id in agents if agent_id not in again]
            if len(alone) > max(_IN_ONE_QUERY, first.pages + 1):
                raise _incomplete(f"two readings one after the other differ by {count(len(alone))}")
            self._read_each(alone, deadline, sure=True)
            agents |= again
            agents = {agent_id: agent for agent_id in agents if (agent := self._known[agent_id][0]) is not None}
            if not second.whole and (first.counted or second.counted) and len(agents) != second.total:
                raise _incomplete(f"it counts {second.total or first.total} and shows {len(agents)}")
        return tuple(agents.values())

    def _all_of(self, listing: "_Listing", deadline: Deadline | None) -> dict[str, Agent]:
        agents: dict[str, Agent] = {}
        for page in listing.read(deadline):
            self._learn(page)
            agents.update((agent.id, agent) for agent in page)
        return agents

    def everyone_lately(self) -> Sequence[Agent]:
        """As `everyone`, from the last whole reading where that is fresh enough.

        Raises:
            CommandError: the list could not be read, or not as a whole.
        """
        began = self._client.clock()
        if self._everyone is None or self._everyone[1] < began - FRESH_FOR:
            self._everyone = (self.everyone(), began)
        return self._everyone[0]

    def _stale(self, ids: Iterable[str]) -> list[str]:
        oldest = self._client.clock() - FRESH_FOR
        return [agent_id for agent_id in ids if self._known.get(agent_id, _NEVER)[1] < oldest]

    def _learn(self, agents: Iterable[Agent], gone: Iterable[str] = ()) -> None:
        now = self._client.clock()
        self._known.update((agent.id, (agent, now)) for agent in agents)
        self._known.update((agent_id, (None, now)) for agent_id in gone)

    def _read_many(self, lacking: list[str], deadline: Deadline | None) -> None:
        listing = self._listing
        # What a listing does not show must be as fresh as what it shows, and it shows nobody twice.
        if listing is None or listing.began < self._client.clock() - FRESH_FOR or listing.has_shown(lacking):
            listing = self._listing = _Listing(self._client)
        # One page less than agents, since those that are not found then may cost a query besides.
        lacking = self._carry_on(listing, lacking, deadline, most=max(1, len(lacking) - 1))
        if not listing.ended:
            self._read_each(lacking, deadline)
            return
        self._listing = None
        # The list may have moved while it was read, so nobody is gone before a second look: one by one, or by
        # queries for a few each, or by a second list; a fleet of unknown GUIDs must not become as many requests.
        if len(lacking) <= listing.pages + 1:
            self._read_each(lacking, deadline, sure=not listing.short)
        elif len(lacking) <= _IN_ONE_QUERY * (listing.pages + 1):
            self._ask_list(lacking, deadline)
        else:
            second = _Listing(self._client)
            lacking = self._carry_on(second, lacking, deadline)
            if lacking and second.short:
                raise _incomplete(f"it counts {second.total} and shows {second.shown}")
            self._learn((), gone=lacking)

    def _carry_on(
        self, listing: "_Listing", lacking: Iterable[str], deadline: Deadline | None, most: int | None = None
    ) -> list[str]:
        """Reads up to `most` pages, until nobody is lacking; those who still are."""
        left = dict.fromkeys(lacking)
        for page in listing.read(deadline, most, wanted=len(left)):
            self._learn(page)
            for agent in page:
                left.pop(agent.id, None)
            if not left:
                break
        return list(left)

    def _read_each(self, ids: Sequence[str], deadline: Deadline | None, *, sure: bool = False) -> None:
        """Reads agents one by one.

        Args:
            sure: a whole list lacked them, so that an answer without them needs no second opinion.
        """
        unknown = []
        for agent_id in ids:
            try:
                answer = self._client.agent(agent_id, deadline=deadline)
            except (NotFound, Rejected):
                answer = []
            if agents := [agent for agent in answer if agent.id == agent_id]:
                self._learn(agents)
            else:
                unknown.append(agent_id)
        if sure:
            self._learn((), gone=unknown)
        else:
            self._ask_list(unknown, deadline)

    def _ask_list(self, ids: Sequence[str], deadline: Deadline | None) -> None:
        """Asks the list for agents, a few in one query; the whole list where this server does not know the query."""
        for start in range(0, len(ids), _IN_ONE_QUERY):
            part = ids[start : start + _IN_ONE_QUERY]
            query = " OR ".join(f'AgentId -eq "{agent_id}"' for agent_id in part)
            listing, agents = _Listing(self._client, query), dict[str, Agent]()
            try:
                # The server may cap the page size.
                for page in listing.read(deadline):
                    agents.update((agent.id, agent) for agent in page)
                    if len(agents) >= len(part):
                        break
                understood = agents.keys() <= set(part) and not listing.short
            except Rejected:
                understood = False
            if not understood:
                # A server that does not know the query's field refuses the query, or ignores it.
                everyone = self.everyone(deadline=deadline)
                self._learn((), gone=ids[start:])
                self._learn(everyone)
                return
            self._learn((), gone=part)
            self._learn(agents.values())


class _Listing:
    """Paging through the list, once, by what the first page says of the others.

    With a count of all agents the pages are known, and read side by side; without one they are read one after
    another to an empty page, or one that brings nothing new.

    Attributes:
        began: a reading of the client's clock.
        pages: how many brought somebody.
        total: what Command last counted; None where it does not count.
        counted: whether it counted on the first page.
        ended: whether the last page was read.
    """

    def __init__(self, client: CommandClient, query: str = "") -> None:
        self._client = client
        self._query = query
        self._shown: set[str] = set()
        self._last: int | None = None
        self._moved = False
        self._next = 1
        self.began = client.clock()
        self.pages = 0
        self.total: int | None = None
        self.counted = False
        self.ended = False

    @property
    def shown(self) -> int:
        """How many agents it has shown."""
        return len(self._shown)

    @property
    def whole(self) -> bool:
        """Whether Command counted its agents, the same on each page, and all of them were shown."""
        return self.counted and self.ended and not self._moved and self.shown == self.total

    @property
    def short(self) -> bool:
        """Whether Command counted its agents and the pages did not add up to that."""
        return self.counted and self.ended and not self.whole

    def has_shown(self, agent_ids: Iterable[str]) -> bool:
        """Whether it has shown one of them already."""
        return not self._shown.isdisjoint(agent_ids)

    def read(self, deadline: Deadline | None, most: int | None = None, *, wanted: int = 1) -> Iterator[list[Agent]]:
        """Of each next page the agents that no page showed before.

        Args:
            most: pages to read this time; all where it is None.
            wanted: how many agents are looked for.
        """
        with closing(self._requested(deadline, sys.maxsize if most is None else most, wanted)) as pages:
            for page in pages:
                if agents := self._take(page):
                    yield agents
                if self.ended:
                    return

    def _requested(self, deadline: Deadline | None, left: int, wanted: int) -> Generator[Page, None, None]:
        pages = partial(self._client.agents_pages, size=PAGE_SIZE, query=self._query, deadline=deadline)
        while left > 0 and self._last is None:
            # More agents than fit on one page are on two at the least.
            number = min(left, 2) if self._next == 1 and wanted > PAGE_SIZE else 1
            left -= number
            yield from pages(range(self._next, self._next + number))
        if self._last is not None:
            yield from pages(range(self._next, min(self._last + 1, self._next + left)))

    def _take(self, page: Page) -> list[Agent]:
        new = [agent for agent in page.agents if agent.id not in self._shown]
        if self._next == 1 and page.total is not None:
            self.counted = True
            # The server may cap the page size: all pages are as large as the first.
            self._last = max(1, -(-page.total // max(1, len(page.agents))))
        elif page.total != self.total:
            self._moved = True
        self.total = page.total
        self._next += 1
        self._shown.update(agent.id for agent in new)
        self.pages += bool(new)
        # A page that brings nothing new is the end, whatever was counted.
        self.ended = not new or (self._last is not None and self._next > self._last)
        return new


def _incomplete(came_back: str) -> BadAnswer:
    return BadAnswer(
        "Reading the list of orchestrators", f"it is not complete: {came_back}", "Nothing was decided by it. Run again."
    )
