"""The readings of one process, shared by all its fleets: few agents one by one, many by paging."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from keyfactor_provider.command.client import CommandClient, Patience
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import NotFound, Rejected

FEW: Final = 4
"""Up to so many agents are read one by one: a list costs two pages at the least."""
PAGE_SIZE: Final = 1000
FRESH_FOR: Final = 60.0
"""Seconds for which a reading is good enough to decide by."""

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

    def look(self, wanted: Iterable[str], *, patience: Patience | None = None) -> Mapping[str, Agent | None]:
        """The agents by canonical GUID; None where Command has no such agent.

        Raises:
            CommandError: Command could not be read.
        """
        ids = list(wanted)
        lacking = self._stale(ids)
        if len(lacking) <= FEW and self._read_singly + len(lacking) <= FEW:
            self._read_singly += len(lacking)
            for agent_id in lacking:
                self._read_one(agent_id, patience)
        elif lacking:
            self._read_many(lacking, patience)
        return {agent_id: self._known[agent_id][0] for agent_id in ids}

    def forget(self, written: Iterable[str]) -> None:
        """Makes the next reading ask Command again about agents that were written to."""
        self._everyone = None
        for agent_id in written:
            self._known.pop(agent_id, None)

    def everyone(self, *, patience: Patience | None = None) -> Iterator[Agent]:
        """Every agent that Command lists, read to the last page.

        Raises:
            CommandError: a page could not be read.
        """
        listing = _Listing(self._client)
        while (page := listing.next_page(patience)) is not None:
            now = self._client.clock()
            self._known.update((agent.id, (agent, now)) for agent in page)
            yield from page

    def everyone_lately(self) -> Sequence[Agent]:
        """As `everyone`, from the last whole reading where that is fresh enough.

        Raises:
            CommandError: a page could not be read.
        """
        began = self._client.clock()
        if self._everyone is None or self._everyone[1] < began - FRESH_FOR:
            self._everyone = (tuple(self.everyone()), began)
        return self._everyone[0]

    def _stale(self, ids: Iterable[str]) -> list[str]:
        oldest = self._client.clock() - FRESH_FOR
        return [agent_id for agent_id in ids if self._known.get(agent_id, _NEVER)[1] < oldest]

    def _read_many(self, lacking: list[str], patience: Patience | None) -> None:
        budget = len(lacking)
        listing = self._listing
        # What a listing does not show must be as fresh as what it shows, and it shows nobody twice.
        if listing is None or listing.began < self._client.clock() - FRESH_FOR or listing.has_shown(lacking):
            listing = self._listing = _Listing(self._client)
        while budget and lacking:
            page = listing.next_page(patience)
            if page is None:
                break
            budget -= 1
            now = self._client.clock()
            self._known.update((agent.id, (agent, now)) for agent in page)
            lacking = self._stale(lacking)
        if listing.ended:
            self._listing = None
            # The list may have shifted while it was read: what it lacks is looked up once more, but a
            # fleet full of unknown GUIDs does not turn into as many requests.
            sure, doubtful = lacking[listing.pages + 1 :], lacking[: listing.pages + 1]
            now = self._client.clock()
            self._known.update((agent_id, (None, now)) for agent_id in sure)
            lacking = doubtful
        for agent_id in lacking:
            self._read_one(agent_id, patience)

    def _read_one(self, agent_id: str, patience: Patience | None) -> None:
        try:
            answer = self._client.agent(agent_id, patience=patience)
        except (NotFound, Rejected):
            answer = self._ask_list(agent_id, patience)
        found = next((agent for agent in answer if agent.id == agent_id), None)
        self._known[agent_id] = (found, self._client.clock())

    def _ask_list(self, agent_id: str, patience: Patience | None) -> list[Agent]:
        try:
            query = f'AgentId -eq "{agent_id}"'
            answer = self._client.agents_page(1, PAGE_SIZE, query=query, patience=patience)
        except Rejected:
            return list(self.everyone(patience=patience))
        # A server that does not know the query's field may ignore the query.
        if answer and all(agent.id != agent_id for agent in answer):
            return list(self.everyone(patience=patience))
        return answer


class _Listing:
    """Paging through the list until an empty page, or one that brings nothing new."""

    def __init__(self, client: CommandClient) -> None:
        self._client = client
        self._seen: set[str] = set()
        self.began = client.clock()
        self.pages = 0
        self.ended = False

    def has_shown(self, agent_ids: Iterable[str]) -> bool:
        """Whether it has shown one of them already."""
        return not self._seen.isdisjoint(agent_ids)

    def next_page(self, patience: Patience | None) -> list[Agent] | None:
        """The agents of the next page; None after the last."""
        if self.ended:
            return None
        page = self._client.agents_page(self.pages + 1, PAGE_SIZE, patience=patience)
        new = [agent for agent in page if agent.id not in self._seen]
        if not new:
            self.ended = True
            return None
        self.pages += 1
        self._seen.update(agent.id for agent in new)
        return new
