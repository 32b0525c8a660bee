"""The client of Keyfactor Command: one method for each call that this project makes, with retries and typed errors."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Final, TypeVar

from keyfactor_provider.command import wire
from keyfactor_provider.command.answers import failure_of, reference, transport_failure
from keyfactor_provider.command.auth import BearerAuth, TokenAuth, TokenEndpoint
from keyfactor_provider.command.exchange import FAILURES, MOST_AT_ONCE, Answer, Background, Connections, exchange
from keyfactor_provider.command.http import httpx
from keyfactor_provider.command.redaction import Redaction, secrets_of_proxies
from keyfactor_provider.command.retrying import Deadline, retrying
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.errors import BadAnswer, CommandError, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

_HEADERS: Final = {
    # Required of every caller (keyfactor-go-client-sdk v2: api_agent.go).
    "x-keyfactor-requested-with": "APIClient",
    "x-keyfactor-api-version": "1",
    "Accept": "application/json",
}
_MOST_DIGITS: Final = 9

Result = TypeVar("Result")


class StatusMisread(BadAnswer):
    """Command says that it set a status other than the one requested."""


@dataclass(frozen=True)
class Page:
    """One page of the list of agents.

    Attributes:
        total: how many agents match on all pages; None if Command does not say.
    """

    agents: Sequence[wire.Agent]
    total: int | None = None


@dataclass(frozen=True)
class _Request:
    """One request to Command.

    Attributes:
        subject: what it does, to start a message with.
        path: relative to the base URL, with the query.
        content: the body of a POST; None for a GET.
    """

    subject: str
    path: str
    deadline: Deadline
    content: bytes | None = None


class CommandClient:
    """A client for one Command server, over kept-alive connections; `close` may be called from any thread.

    Args:
        settings: the server and the credentials.
        clock: monotonic, in seconds.
        sleep: waits for a number of seconds; None for a wait that `close` interrupts.
        transport: replaces the network in tests.

    Raises:
        SettingsError: a proxy from the environment can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._background = Background()
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self.sleep = sleep or self._background.pause
        self._redact = Redaction(settings.credentials, secrets_of_proxies(os.environ))
        connections = Connections(settings, transport)
        self._http = connections.to(settings.base_url)
        self._clients = [self._http]
        self._auth = self._signer(connections)
        self._told_time: tuple[datetime, float] | None = None

    def close(self) -> None:
        """Cancels requests in progress and closes the connections."""
        self._background.close(*self._clients)

    def deadline(self, until: float | None = None, *, retries: bool = True) -> Deadline:
        """The deadline of a request that starts now, with its retries.

        Args:
            until: latest time on the clock; None for no limit other than the `timeout` setting.
        """
        own = self.clock() + self.settings.timeout
        return Deadline(own if until is None else min(own, until), retries)

    def now(self) -> datetime:
        """The time on Command's clock, from the Date header of its last response; before that, this machine's time.

        The runs of a roll-out may take place on different machines, and the times they record must be comparable.
        """
        if self._told_time is None:
            return datetime.now(UTC)
        told, at = self._told_time
        return told + timedelta(seconds=self.clock() - at)

    def agents_page(self, number: int, size: int, *, query: str = "", deadline: Deadline | None = None) -> Page:
        """One page of the agents, sorted by id (Keyfactor API: GET Agents).

        Args:
            number: starts at 1.
            size: agents per page; the server may return fewer.
            query: in Command's query language; empty for all agents.

        Raises:
            CommandError: the page could not be read.
        """
        return self._call(self._page_request(number, size, query, deadline), _page)

    def agents_pages(
        self, numbers: Iterable[int], size: int, *, query: str = "", deadline: Deadline | None = None
    ) -> Iterator[Page]:
        """Several pages in order, with at most MOST_AT_ONCE requests at a time.

        Raises:
            CommandError: a page could not be read.
        """
        remaining = iter(numbers)
        begun: deque[tuple[_Request, Future[Answer]]] = deque()
        while True:
            for number in islice(remaining, MOST_AT_ONCE - len(begun)):
                request = self._page_request(number, size, query, deadline)
                try:
                    begun.append((request, self._begin(request)))
                except FAILURES as error:
                    raise self._transport_failure(request, error) from None
            if not begun:
                return
            yield self._call(begun[0][0], _page, begun.popleft()[1])

    def agent(self, agent_id: str, *, deadline: Deadline | None = None) -> list[wire.Agent]:
        """The agents in the response to GET /Agents/{id}; the server may return one agent or a list.

        Raises:
            Rejected, NotFound: the server does not find it this way; query the list.
            CommandError: it could not be read.
        """
        request = self._request(f"Reading orchestrator {agent_id}", f"/Agents/{agent_id}", deadline)
        return self._call(request, lambda answer: wire.decode_one(answer.body))

    def set_status(
        self,
        members: Sequence[str],
        status: ReenrollmentStatus,
        encoding: wire.Encoding,
        *,
        deadline: Deadline | None = None,
    ) -> frozenset[str]:
        """Sets the flag of many orchestrators in one call; returns the GUIDs that Command reports as failed.

        A call that Command may have carried out is not retried here: its error has `outcome_open`.

        Raises:
            StatusMisread: Command says that it set another status.
            CommandError: Command did not confirm the call.
        """
        request = self._request(
            f"Setting status {status.value} for {len(members)} orchestrators",
            "/Agents/SetAuthCertificateReenrollment",
            deadline,
            wire.encode_request(members, status, encoding),
        )
        return self._call(request, lambda answer: wire.decode_outcome(answer.body, members, status))

    def _signer(self, connections: Connections) -> httpx.Auth:
        credentials = self.settings.credentials
        if credentials.method == "token":
            return BearerAuth(credentials.access_token)
        if credentials.method == "basic":
            return httpx.BasicAuth(credentials.username, credentials.password)
        http = connections.to(credentials.token_url)
        self._clients.append(http)
        endpoint = TokenEndpoint(credentials, http, self.clock, self._redact, self.settings.vocabulary)
        return TokenAuth(endpoint, self.clock)

    def _page_request(self, number: int, size: int, query: str, deadline: Deadline | None) -> _Request:
        values = {"QueryString": query} if query else {}
        values |= {"PageReturned": str(number), "ReturnLimit": str(size)}
        values |= {"SortField": "AgentId", "SortAscending": "0"}
        # Command 10 documents these names with a prefix, later versions without; a server ignores the others.
        values |= {f"pq.{name[0].lower()}{name[1:]}": value for name, value in values.items()}
        return self._request(f"Reading page {number} of the orchestrators", "/Agents", deadline, params=values)

    def _request(
        self,
        what: str,
        path: str,
        deadline: Deadline | None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> _Request:
        method = "GET" if content is None else "POST"
        subject = f"{what} ({method} {self.settings.base_url}{path})"
        return _Request(subject, path + _query(params), deadline or self.deadline(), content)

    def _call(
        self, request: _Request, read: Callable[[Answer], Result], begun: "Future[Answer] | None" = None
    ) -> Result:
        """Sends a request, with retries, and returns what `read` makes of a successful response.

        Args:
            begun: the first attempt, if it has already been started.
        """

        def attempt() -> Result:
            nonlocal begun
            try:
                response, begun = begun or self._begin(request), None
                answer = self._background.result(response, request.deadline.until - self.clock())
                return self._read(request, answer, read)
            except CommandError:
                raise
            except FAILURES as error:
                raise self._transport_failure(request, error) from None
            except Exception as error:  # even a MemoryError: what was sent must be recorded
                raise BadAnswer(
                    request.subject,
                    f"the exchange failed ({type(error).__name__})",
                    "Report this with the name of the error.",
                    outcome_open=request.content is not None,
                    transient=request.content is not None,
                ) from None

        def worth_another(error: BaseException) -> bool:
            return isinstance(error, CommandError) and error.transient and not error.outcome_open

        retrier = retrying(request.deadline, worth_another, clock=self.clock, sleep=self.sleep)
        try:
            return retrier(attempt)
        except CommandError as error:
            if not worth_another(error):
                raise
            tries = retrier.statistics["attempt_number"]
            raise Unreachable(
                error.what,
                f"{error.came_back} ({tries} {'try' if tries == 1 else 'tries'})",
                error.next_step,
                status=error.status,
                code=error.code,
                retry_after=error.retry_after,
                transient=True,
            ) from None

    def _begin(self, request: _Request) -> "Future[Answer]":
        """Starts one attempt.

        Raises:
            Interrupted: the client is closed.
        """
        return self._background.start(self._send(request))

    async def _send(self, request: _Request) -> Answer:
        changes = request.content is not None
        async with self._slots:
            return await exchange(
                self._http,
                "POST" if changes else "GET",
                self.settings.base_url + request.path,
                until=request.deadline.until,
                clock=self.clock,
                content=request.content,
                headers=_HEADERS | ({"Content-Type": "application/json"} if changes else {}),
                auth=self._auth,
            )

    def _note_time(self, header: str | None) -> None:
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            told = parsedate_to_datetime(header or "")
            told = told if told.tzinfo else told.replace(tzinfo=UTC)
            # Fails for the year 9999, to which `now` could not add anything.
            _ = told + timedelta(days=366)
            self._told_time = told, self.clock()

    def _transport_failure(self, request: _Request, error: Exception) -> CommandError:
        return transport_failure(
            request.subject,
            error,
            self._redact.line(str(error)),
            where=f"{self.settings.base_url} (host from {self.settings.host_source})",
            may_be_done=request.content is not None,
            vocabulary=self.settings.vocabulary,
        )

    def _read(self, request: _Request, answer: Answer, read: Callable[[Answer], Result]) -> Result:
        self._note_time(answer.headers.get("Date"))
        may_be_done = request.content is not None
        code, message = wire.decode_error(answer.body) if answer.status >= 400 else (None, "")
        failure = failure_of(
            request.subject,
            answer,
            self._redact.line(code) if code else None,
            self._redact.line(message),
            who=self.settings.credentials.describe(),
            may_be_done=may_be_done,
            base_url=self.settings.base_url,
            vocabulary=self.settings.vocabulary,
        )
        if failure is None:
            try:
                return read(answer)
            except ValueError as error:
                kind = StatusMisread if isinstance(error, wire.OtherStatus) else BadAnswer
                failure = kind(
                    request.subject,
                    f"its response is not what Command's API gives ({self._redact.line(str(error))})",
                    f"Check that hostname and {self.settings.vocabulary.setting('apiPath')} lead to Keyfactor Command, "
                    "and its version.",
                    status=answer.status,
                    outcome_open=may_be_done,
                    transient=may_be_done,
                )
        failure.next_step = " ".join(
            part for part in (failure.next_step, self._redact.line(reference(answer.headers))) if part
        )
        raise failure


def _page(answer: Answer) -> Page:
    text = answer.headers.get("X-Total-Count", "").strip()
    total = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
    return Page(wire.decode_page(answer.body), total)


def _query(params: Mapping[str, str] | None) -> str:
    # httpx encodes a space as "+"; Keyfactor's own client avoids that (client.go).
    return f"?{httpx.QueryParams(params)}".replace("+", "%20") if params else ""
