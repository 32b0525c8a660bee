"""The client: one method for each call that this project makes, each with its retries and its errors."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import httpx
from tenacity import Retrying

from keyfactor_provider.command import wire
from keyfactor_provider.command.answers import failure_of, transport_failure
from keyfactor_provider.command.auth import BearerAuth, TokenAuth
from keyfactor_provider.command.exchange import FAILURES, Connections, exchange
from keyfactor_provider.command.redaction import Redaction, secrets_of_proxies
from keyfactor_provider.command.retrying import Deadline, retrying
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.command.tokens import TokenEndpoint
from keyfactor_provider.errors import BadAnswer, CommandError, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

_HEADERS: Final = {
    # Required of every caller (keyfactor-go-client-sdk v2: api_agent.go).
    "x-keyfactor-requested-with": "APIClient",
    "x-keyfactor-api-version": "1",
    "Accept": "application/json",
}

Result = TypeVar("Result")


class CommandClient:
    """One Command server, over kept-alive connections.

    Args:
        settings: where it is and who asks.
        clock: seconds that only grow.
        sleep: waits for a number of seconds.
        transport: replaces the network.

    Raises:
        SettingsError: the private CA, or a proxy that the environment names, can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.sleep = sleep
        self._redact = Redaction(settings.credentials, secrets_of_proxies(os.environ))
        connections = Connections(settings, transport)
        self._http = connections.to(settings.base_url)
        self._clients = [self._http]
        self._auth = self._signer(connections)

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    def deadline(self) -> Deadline:
        """The time that one request with its retries has from now on."""
        return Deadline(self.clock() + self.settings.timeout)

    def agents_page(
        self, page: int, size: int, *, query: str = "", deadline: Deadline | None = None
    ) -> list[wire.Agent]:
        """One page of all agents, in the order of their ids (Keyfactor API: GET Agents).

        Args:
            page: from 1 on.
            size: agents wanted on it; the server may give fewer.
            query: in Command's query language; empty for all.

        Raises:
            CommandError: no such page could be had.
        """
        values = {"QueryString": query} if query else {}
        values |= {"PageReturned": str(page), "ReturnLimit": str(size)}
        values |= {"SortField": "AgentId", "SortAscending": "0"}
        # Command 10 documents the names with this prefix, later versions without: a server takes its own.
        values |= {f"pq.{name[0].lower()}{name[1:]}": value for name, value in values.items()}
        what = f"Reading page {page} of the orchestrators"
        return self._call(what, "GET", "/Agents", wire.decode_page, params=values, deadline=deadline)

    def agent(self, agent_id: str, *, deadline: Deadline | None = None) -> list[wire.Agent]:
        """What GET /Agents/{id} answers: the agent, alone or in a list.

        Raises:
            Rejected, NotFound: this server does not know it so; ask the list.
            CommandError: anything else that kept it from answering.
        """
        what = f"Reading orchestrator {agent_id}"
        return self._call(what, "GET", f"/Agents/{agent_id}", wire.decode_one, deadline=deadline)

    def ask(
        self, members: Sequence[str], status: ReenrollmentStatus, *, deadline: Deadline | None = None
    ) -> frozenset[str]:
        """Sets the flag of many orchestrators in one call; gives the GUIDs that Command says failed.

        A call that may have been carried out is never repeated here: its error has `outcome_open`.

        Raises:
            CommandError: Command did not say that it did so.
        """
        body = wire.encode_ask(members, status, as_integer=self.settings.status_encoding == "integer")
        what = f"Asking {len(members)} orchestrators for status {status.value}"
        path = "/Agents/SetAuthCertificateReenrollment"
        return self._call(what, "POST", path, wire.decode_outcome, content=body, deadline=deadline)

    def retrying(self, deadline: Deadline, worth_another: Callable[[BaseException], bool]) -> Retrying:
        """Tries again after the errors that are worth it, by this client's clock."""
        return retrying(deadline, worth_another, clock=self.clock, sleep=self.sleep)

    def _signer(self, connections: Connections) -> httpx.Auth:
        credentials = self.settings.credentials
        if credentials.method == "token":
            return BearerAuth(credentials.access_token)
        if credentials.method == "basic":
            return httpx.BasicAuth(credentials.username, credentials.password)
        http = connections.to(credentials.token_url)
        self._clients.append(http)
        endpoint = TokenEndpoint(credentials, http, self.clock, self._redact, self.settings.vocabulary)
        return TokenAuth(credentials, endpoint)

    def _call(
        self,
        what: str,
        method: str,
        path: str,
        decode: Callable[[bytes], Result],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: Deadline | None = None,
    ) -> Result:
        deadline = deadline or self.deadline()
        subject = f"{what} ({method} {self.settings.base_url}{path})"

        def attempt() -> Result:
            body = self._send(subject, method, path + _query(params), content, deadline)
            try:
                return decode(body)
            except ValueError as error:
                raise BadAnswer(
                    subject,
                    f"its answer is not what Command's API gives ({self._redact.line(str(error))})",
                    f"Check that hostname and {self.settings.vocabulary.setting('apiPath')} lead to Keyfactor Command, "
                    "and its version.",
                    outcome_open=content is not None,
                ) from None

        def worth_another(error: BaseException) -> bool:
            return isinstance(error, CommandError) and error.transient and not error.outcome_open

        again = self.retrying(deadline, worth_another)
        try:
            return again(attempt)
        except CommandError as error:
            if not worth_another(error):
                raise
            tries = again.statistics["attempt_number"]
            raise Unreachable(
                error.what,
                f"{error.came_back} ({tries} {'try' if tries == 1 else 'tries'})",
                error.next_step,
                status=error.status,
                code=error.code,
                retry_after=error.retry_after,
                transient=True,
            ) from None

    def _send(self, subject: str, method: str, path: str, content: bytes | None, deadline: Deadline) -> bytes:
        """One request; the body of its answer, which must be a success."""
        may_be_done = content is not None
        try:
            answer = exchange(
                self._http,
                method,
                self.settings.base_url + path,
                until=deadline.until,
                clock=self.clock,
                content=content,
                headers=_HEADERS | ({"Content-Type": "application/json"} if may_be_done else {}),
                auth=self._auth,
            )
        except FAILURES as error:
            where = f"{self.settings.base_url} (host from {self.settings.host_source})"
            raise transport_failure(
                subject,
                error,
                self._redact.line(str(error)),
                where=where,
                may_be_done=may_be_done,
                vocabulary=self.settings.vocabulary,
            ) from None
        code, message = wire.decode_error(answer.body) if answer.status >= 400 else (None, "")
        failure = failure_of(
            subject,
            answer,
            self._redact.line(code) if code else None,
            self._redact.line(message),
            who=self.settings.credentials.describe(),
            may_be_done=may_be_done,
            vocabulary=self.settings.vocabulary,
        )
        if failure is not None:
            raise failure
        return answer.body


def _query(params: Mapping[str, str] | None) -> str:
    # httpx would write a space as "+", which Keyfactor's own client takes care to avoid (client.go).
    return f"?{httpx.QueryParams(params)}".replace("+", "%20") if params else ""
