"""The client: one method for each call that this project makes, each with its retries and its errors."""

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpx
import truststore
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random

from keyfactor_provider.command import wire
from keyfactor_provider.command.answers import failure_of, transport_failure
from keyfactor_provider.command.auth import redacted, signer, told
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.errors import BadAnswer, CommandError, SettingsError, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one answer: a page of 1,000 orchestrators has about one."""

_HEADERS: Final = {
    # Required of every caller (keyfactor-go-client-sdk v2: api_agent.go).
    "x-keyfactor-requested-with": "APIClient",
    "x-keyfactor-api-version": "1",
    "Accept": "application/json",
}

# Its debug log has the headers of every answer, in which a server may repeat what it was sent.
logging.getLogger("httpcore").setLevel(logging.INFO)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long a request may take with its retries.

    Attributes:
        until: a reading of the client's clock, in seconds.
        retries: whether to try again at all.
    """

    until: float
    retries: bool = True


class CommandClient:
    """One Command server, over kept-alive connections.

    Args:
        settings: where it is and who asks.
        clock: seconds that only grow.
        sleep: waits for a number of seconds.
        transport: replaces the network.

    Raises:
        SettingsError: the private CA can't be read, or the environment names a proxy that can't be used.
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
        tls = _tls(settings)
        try:
            self._tokens = httpx.Client(verify=tls, timeout=settings.timeout / 2, transport=transport)
            self._auth = signer(settings.credentials, self._tokens)
            self._http = httpx.Client(
                base_url=settings.base_url,
                headers=_HEADERS,
                auth=self._auth,
                verify=tls,
                transport=transport,
                limits=httpx.Limits(max_connections=4),
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            # Its address may hold a password: it is not repeated.
            raise SettingsError(
                "The proxy that the environment names can't be used",
                "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no http URL"
                if not isinstance(error, ImportError)
                else "it needs SOCKS",
                "Expected one such as http://proxy.example.com:3128, or the host in NO_PROXY.",
            ) from None

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._tokens.close()

    def patience(self) -> Patience:
        """The time that one request with its retries has from now on."""
        return Patience(self.clock() + self.settings.timeout)

    def agents_page(
        self, page: int, size: int, *, query: str = "", patience: Patience | None = None
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
        return self._call(what, "GET", "/Agents", wire.decode_page, params=values, patience=patience)

    def agent(self, agent_id: str, *, patience: Patience | None = None) -> list[wire.Agent]:
        """What GET /Agents/{id} answers: the agent, alone or in a list.

        Raises:
            Rejected, NotFound: this server does not know it so; ask the list.
            CommandError: anything else that kept it from answering.
        """
        what = f"Reading orchestrator {agent_id}"
        return self._call(what, "GET", f"/Agents/{agent_id}", wire.decode_one, patience=patience)

    def ask(
        self, members: Sequence[str], status: ReenrollmentStatus, *, patience: Patience | None = None
    ) -> frozenset[str]:
        """Sets the flag of many orchestrators in one call; gives the GUIDs that Command says failed.

        A call that may have been carried out is never repeated here: its error has `outcome_open`.

        Raises:
            CommandError: Command did not say that it did so.
        """
        body = wire.encode_ask(members, status, as_integer=self.settings.status_encoding == "integer")
        what = f"Asking {len(members)} orchestrators for status {status.value}"
        path = "/Agents/SetAuthCertificateReenrollment"
        return self._call(what, "POST", path, wire.decode_outcome, content=body, patience=patience)

    def retrying(self, patience: Patience, worth_another: Callable[[BaseException], bool]) -> Retrying:
        """Tries again after the errors that are worth it, with backoff and jitter, until time is up."""

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, CommandError) else None
            return asked if asked is not None else _BACKOFF(state)

        def over(state: RetryCallState) -> bool:
            return not patience.retries or self.clock() + state.upcoming_sleep >= patience.until

        return Retrying(retry=retry_if_exception(worth_another), wait=wait, stop=over, sleep=self.sleep, reraise=True)

    def _call(
        self,
        what: str,
        method: str,
        path: str,
        decode: Callable[[bytes], Result],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        patience: Patience | None = None,
    ) -> Result:
        patience = patience or self.patience()
        subject = f"{what} ({method} {self.settings.base_url}{path})"

        def attempt() -> Result:
            body = self._send(subject, method, path, params, content, patience)
            try:
                return decode(body)
            except ValueError as error:
                raise BadAnswer(
                    subject,
                    f"its answer is not what Command's API gives ({self._redact(str(error))})",
                    "Check that hostname and apiPath lead to Keyfactor Command, and its version.",
                    outcome_open=method == "POST",
                ) from None

        def worth_another(error: BaseException) -> bool:
            return isinstance(error, CommandError) and error.transient and not error.outcome_open

        retrying = self.retrying(patience, worth_another)
        try:
            return retrying(attempt)
        except CommandError as error:
            if not worth_another(error):
                raise
            tries = retrying.statistics["attempt_number"]
            raise Unreachable(
                error.what,
                f"{error.came_back} ({tries} {'try' if tries == 1 else 'tries'})",
                error.next_step,
                status=error.status,
                code=error.code,
                retry_after=error.retry_after,
                transient=True,
            ) from None

    def _send(
        self,
        subject: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        patience: Patience,
    ) -> bytes:
        """One request; the body of its answer, which must be a success and JSON."""
        left = max(0.05, patience.until - self.clock())
        headers = {"Content-Type": "application/json"} if content is not None else {}
        url = self.settings.base_url + path + _query(params)
        body = bytearray()
        try:
            with self._http.stream(
                method,
                url,
                content=content,
                headers=headers,
                timeout=httpx.Timeout(left, connect=min(10.0, left)),
            ) as response:
                # Per-chunk timeouts would let a server that drips hold the run for ever.
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise BadAnswer(
                            subject,
                            f"its answer is larger than {MOST_BYTES // 1024**2} MiB",
                            "Check that hostname and apiPath lead to Keyfactor Command.",
                            outcome_open=method == "POST",
                        )
                    if self.clock() > patience.until:
                        raise httpx.ReadTimeout("the answer drips in too slowly", request=response.request)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise transport_failure(
                subject, error, self._redact(told(error)), post=method == "POST", settings=self.settings
            ) from None
        failure = failure_of(
            subject,
            response.status_code,
            response.headers,
            self._readable(bytes(body)),
            bytes(body),
            post=method == "POST",
            settings=self.settings,
        )
        if failure is not None:
            failure.retry_after = _retry_after(response.headers.get("Retry-After"))
            raise failure
        return bytes(body)

    def _redact(self, text: str) -> str:
        return redacted(text, self.settings.credentials, self._auth)

    def _readable(self, body: bytes) -> str:
        code, message = wire.decode_error(body)
        said = ": ".join(part for part in (code, message) if part)
        return " ".join(self._redact(said).split())[:300]


_BACKOFF: Final = wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5)


def _query(params: Mapping[str, str] | None) -> str:
    # httpx would write a space as "+", which Keyfactor's own client takes care to avoid (client.go).
    return f"?{httpx.QueryParams(params)}".replace("+", "%20") if params else ""


def _retry_after(text: str | None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return max(0.0, (at - datetime.now(timezone.utc)).total_seconds())


def _tls(settings: Settings) -> ssl.SSLContext:
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca_pem:
        try:
            context.load_verify_locations(cadata=settings.ca_pem)
        except ssl.SSLError as error:
            raise SettingsError(
                "The private CA for Keyfactor Command can't be read",
                f"caCert holds no usable certificate ({error.reason})",
                "Expected a PEM file or its text.",
            ) from None
    return context
