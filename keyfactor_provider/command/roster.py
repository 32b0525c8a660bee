"""The agents that one process has read, shared by its fleets; reads a few agents one by one, and many by paging."""

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
"""Up to this many agents are read one by one: reading the list takes up to two pages even if it is short."""
PAGE_SIZE: Final = 1000
FRESH_FOR: Final = 60.0
"""Seconds for which a reading is used for decisions."""

_IN_ONE_QUERY: Final = 20
"""GUIDs in one query; IIS accepts query strings of up to 2,048 characters."""
_NEVER: Final = (None, float("-inf"))


class Roster:
    """The agents that this process has read, each with the time of its reading.

    One `look` costs at most 2 x min(agents wanted, pages + 1) requests, not counting retries. It continues a listing
    that the last one left unfinished, so that many small fleets share its pages.
    """

    def __init__(self, client: CommandClient) -> None:
        self._client = client
        self._known: dict[str, tuple[Agent | None, float]] = {}
        self._read_singly = 0
        self._listing: _Listing | None = None
        self._everyone: tuple[Sequence[Agent], float] | None = None

    def look(self, wanted: Iterable[str], *, deadline: Deadline | None = None) -> Mapping[str, Agent | None]:
        """Agents by canonical GUID; None for one that Command does not have.

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
        """The current agents, for callers that poll the same ones.

        A few are read one by one each time, because no other fleet would share the pages.

        Raises:
            CommandError: Command could not be read.
        """
        ids = list(wanted)
        self.forget(ids)
        if len(ids) <= FEW:
            self._read_each(ids, deadline)
        return self.look(ids, deadline=deadline)

    def forget(self, written: Iterable[str]) -> None:
        """Discards what is known of agents that are written to, so that they are read again."""
        self._everyone = None
        for agent_id in written:
            self._known.pop(agent_id, None)

    def everyone(self, *, deadline: Deadline | None = None) -> Sequence[Agent]:
        """Every agent that Command has.

        One listing is enough if Command reports a total and the pages add up to it. Otherwise the list is read again,
        because deleting an agent meanwhile moves another one to a page already read; agents that only the first
        listing has are then read one by one.

        Raises:
            BadAnswer: the list is incomplete after two listings.
            CommandError: a page could not be read.
        """
        first = _Listing(self._client)
        agents = self._all_of(first, deadline)
        if not first.whole:
            second = _Listing(self._client)
            relisted = self._all_of(second, deadline)
            unlisted = [agent_id for agent_id in agents if agent_id not in relisted]
            if len(unlisted) > max(_IN_ONE_QUERY, first.pages + 1):
                raise _incomplete(f"two readings one after the other differ by {count(len(unlisted))}")
            self._read_each(unlisted, deadline, sure=True)
            agents |= relisted
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
        """Every agent that Command has, from a complete list that is at most FRESH_FOR old.

        Raises:
            CommandError: the list could not be read, or is incomplete.
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
        # A listing also tells which agents are absent, so it must not be stale, and it yields each agent only once.
        if listing is None or listing.began < self._client.clock() - FRESH_FOR or listing.has_shown(lacking):
            listing = self._listing = _Listing(self._client)
        # One page fewer than agents, because agents that are not found may cost one more query.
        lacking = self._continue(listing, lacking, deadline, most=max(1, len(lacking) - 1))
        if not listing.ended:
            self._read_each(lacking, deadline)
            return
        self._listing = None
        # The list may have changed while it was read, so agents that it lacks are looked up again: one by one, by
        # queries, or by a second listing, so that a fleet of unknown GUIDs does not cost one request each.
        if len(lacking) <= listing.pages + 1:
            self._read_each(lacking, deadline, sure=not listing.short)
        elif len(lacking) <= _IN_ONE_QUERY * (listing.pages + 1):
            self._query_list(lacking, deadline)
        else:
            second = _Listing(self._client)
            lacking = self._continue(second, lacking, deadline)
            if lacking and second.short:
                raise _incomplete(f"it counts {second.total} and shows {second.shown}")
            self._learn((), gone=lacking)

    def _continue(
        self, listing: "_Listing", lacking: Iterable[str], deadline: Deadline | None, most: int | None = None
    ) -> list[str]:
        """Reads up to `most` pages, until all agents are found; returns those that are still lacking."""
        remaining = dict.fromkeys(lacking)
        for page in listing.read(deadline, most, wanted=len(remaining)):
            self._learn(page)
            for agent in page:
                remaining.pop(agent.id, None)
            if not remaining:
                break
        return list(remaining)

    def _read_each(self, ids: Sequence[str], deadline: Deadline | None, *, sure: bool = False) -> None:
        """Reads agents one by one.

        Args:
            sure: a complete list lacked them; one that is not found now is not queried again.
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
            self._query_list(unknown, deadline)

    def _query_list(self, ids: Sequence[str], deadline: Deadline | None) -> None:
        """Queries the list for agents, a few at a time; reads the whole list if the server does not support that."""
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
                # A server that does not know the field in the query rejects or ignores the query.
                everyone = self.everyone(deadline=deadline)
                self._learn((), gone=ids[start:])
                self._learn(everyone)
                return
            self._learn((), gone=part)
            self._learn(agents.values())


class _Listing:
    """One pass through the pages of the list.

    If the first page has a total, the number of pages is known and they are read in parallel. Otherwise they are read
    one after another until a page has no new agents.

    Attributes:
        began: time on the client's clock.
        pages: how many pages had new agents.
        total: the total on the last page read; None if it had none.
        counted: whether the first page had a total.
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
        """How many agents the pages had."""
        return len(self._shown)

    @property
    def whole(self) -> bool:
        """Whether all pages had the same total, and that many agents."""
        return self.counted and self.ended and not self._moved and self.shown == self.total

    @property
    def short(self) -> bool:
        """Whether there was a total and the pages did not add up to it."""
        return self.counted and self.ended and not self.whole

    def has_shown(self, agent_ids: Iterable[str]) -> bool:
        """Whether a page had one of these agents."""
        return not self._shown.isdisjoint(agent_ids)

    def read(self, deadline: Deadline | None, most: int | None = None, *, wanted: int = 1) -> Iterator[list[Agent]]:
        """Reads the next pages; yields the new agents of each.

        Args:
            most: pages to read this time; None for all.
            wanted: how many agents the caller looks for.
        """
        with closing(self._requested(deadline, sys.maxsize if most is None else most, wanted)) as pages:
            for page in pages:
                if agents := self._take(page):
                    yield agents
                if self.ended:
                    return

    def _requested(self, deadline: Deadline | None, remaining: int, wanted: int) -> Generator[Page, None, None]:
        pages = partial(self._client.agents_pages, size=PAGE_SIZE, query=self._query, deadline=deadline)
        while remaining > 0 and self._last is None:
            # More agents than fit on one page need two pages at least.
            number = min(remaining, 2) if self._next == 1 and wanted > PAGE_SIZE else 1
            remaining -= number
            yield from pages(range(self._next, self._next + number))
        if self._last is not None:
            yield from pages(range(self._next, min(self._last + 1, self._next + remaining)))

    def _take(self, page: Page) -> list[Agent]:
        new = [agent for agent in page.agents if agent.id not in self._shown]
        if self._next == 1 and page.total is not None:
            self.counted = True
            # The server may cap the page size: the first page shows the size of the others.
            self._last = max(1, -(-page.total // max(1, len(page.agents))))
        elif page.total != self.total:
            self._moved = True
        self.total = page.total
        self._next += 1
        self._shown.update(agent.id for agent in new)
        self.pages += bool(new)
        # A page without new agents is the end, whatever the total is.
        self.ended = not new or (self._last is not None and self._next > self._last)
        return new


def _incomplete(came_back: str) -> BadAnswer:
    return BadAnswer(
        "Reading the list of orchestrators", f"it is not complete: {came_back}", "Nothing was changed. Run again."
    )
