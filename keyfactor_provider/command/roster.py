"""The readings of one process, shared by all its fleets: few agents one by one, many by paging."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import NotFound, Rejected

FEW: Final = 3
"""Up to so many agents are read one by one: a list costs two pages at the least."""
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
        """The agents as they are now, for somebody who asks over and over about the same ones.

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
        """Every agent that Command lists, read to the last page.

        Where somebody deletes an agent while several pages are read, the list moves up and another one falls
        between two of them. So it is read twice then, and whom one of the readings lacks is looked at.

        Raises:
            CommandError: a page could not be read.
        """
        first = _Listing(self._client)
        found = self._rest_of(first, deadline)
        if first.pages > 1:
            again = self._rest_of(_Listing(self._client), deadline)
            self._read_each([agent_id for agent_id in found if agent_id not in again], deadline, sure=True)
            found |= again
        known = [self._known[agent_id][0] for agent_id in found]
        return tuple(agent for agent in known if agent is not None)

    def _rest_of(self, listing: "_Listing", deadline: Deadline | None) -> dict[str, Agent]:
        found: dict[str, Agent] = {}
        while (page := listing.next_page(deadline)) is not None:
            self._learn(page)
            found |= {agent.id: agent for agent in page}
        return found

    def everyone_lately(self) -> Sequence[Agent]:
        """As `everyone`, from the last whole reading where that is fresh enough.

        Raises:
            CommandError: a page could not be read.
        """
        began = self._client.clock()
        if self._everyone is None or self._everyone[1] < began - FRESH_FOR:
            self._everyone = (self.everyone(), began)
        return self._everyone[0]

    def _stale(self, ids: Iterable[str]) -> list[str]:
        oldest = self._client.clock() - FRESH_FOR
        return [agent_id for agent_id in ids if self._known.get(agent_id, _NEVER)[1] < oldest]

    def _learn(self, found: Iterable[Agent], gone: Iterable[str] = ()) -> None:
        now = self._client.clock()
        self._known.update((agent.id, (agent, now)) for agent in found)
        self._known.update((agent_id, (None, now)) for agent_id in gone)

    def _read_many(self, lacking: list[str], deadline: Deadline | None) -> None:
        listing = self._listing
        # What a listing does not show must be as fresh as what it shows, and it shows nobody twice.
        if listing is None or listing.began < self._client.clock() - FRESH_FOR or listing.has_shown(lacking):
            listing = self._listing = _Listing(self._client)
        # One page less than agents, since those that are not found then may cost a query besides.
        lacking = self._carry_on(listing, lacking, max(1, len(lacking) - 1), deadline)
        if not listing.ended:
            self._read_each(lacking, deadline)
            return
        self._listing = None
        # The list may have shifted while it was read, so what it lacks is looked up once more: one by one,
        # or by a second list, but a fleet full of unknown GUIDs does not turn into as many requests.
        if len(lacking) <= listing.pages + 1:
            self._read_each(lacking, deadline, sure=True)
        else:
            second = _Listing(self._client)
            self._learn((), gone=self._carry_on(second, lacking, listing.pages + 1, deadline))

    def _carry_on(self, listing: "_Listing", lacking: list[str], most: int, deadline: Deadline | None) -> list[str]:
        """Reads up to `most` pages, until nobody is lacking; those who still are."""
        left = dict.fromkeys(lacking)
        while most and left and (page := listing.next_page(deadline)) is not None:
            most -= 1
            self._learn(page)
            for agent in page:
                left.pop(agent.id, None)
        return list(left)

    def _read_each(self, ids: Sequence[str], deadline: Deadline | None, *, sure: bool = False) -> None:
        """Reads agents one by one.

        Args:
            sure: a whole list lacked them, so that a 400 or 404 needs no second opinion.
        """
        unknown = []
        for agent_id in ids:
            try:
                answer = self._client.agent(agent_id, deadline=deadline)
            except (NotFound, Rejected):
                unknown.append(agent_id)
                continue
            found = [agent for agent in answer if agent.id == agent_id]
            self._learn(found, gone=() if found else [agent_id])
        if sure:
            self._learn((), gone=unknown)
        else:
            for start in range(0, len(unknown), _IN_ONE_QUERY):
                self._ask_list(unknown[start : start + _IN_ONE_QUERY], deadline)

    def _ask_list(self, ids: Sequence[str], deadline: Deadline | None) -> None:
        query = " OR ".join(f'AgentId -eq "{agent_id}"' for agent_id in ids)
        listing, found = _Listing(self._client, query), dict[str, Agent]()
        try:
            # The server may cap the page size.
            while len(found) < len(ids) and (page := listing.next_page(deadline)) is not None:
                found |= {agent.id: agent for agent in page}
            understood = found.keys() <= set(ids)
        except Rejected:
            understood = False
        # A server that does not know the query's field refuses the query, or ignores it.
        answers = list(found.values()) if understood else self.everyone(deadline=deadline)
        self._learn((), gone=ids)
        self._learn(answers)


class _Listing:
    """Paging through the list until an empty page, or one that brings nothing new."""

    def __init__(self, client: CommandClient, query: str = "") -> None:
        self._client = client
        self._query = query
        self._seen: set[str] = set()
        self.began = client.clock()
        self.pages = 0
        self.ended = False

    def has_shown(self, agent_ids: Iterable[str]) -> bool:
        """Whether it has shown one of them already."""
        return not self._seen.isdisjoint(agent_ids)

    def next_page(self, deadline: Deadline | None) -> list[Agent] | None:
        """The agents of the next page; None after the last, which ends it."""
        page = self._client.agents_page(self.pages + 1, PAGE_SIZE, query=self._query, deadline=deadline)
        new = [agent for agent in page if agent.id not in self._seen]
        if not new:
            self.ended = True
            return None
        self.pages += 1
        self._seen.update(agent.id for agent in new)
        return new
