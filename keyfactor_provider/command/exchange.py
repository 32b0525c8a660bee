"""Sends one request and reads its complete response, bounded in time and size; and creates the connections."""

import asyncio
import logging
import os
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Mapping
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, TypeVar

import truststore

from keyfactor_provider.command.http import httpx
from keyfactor_provider.command.proxies import proxy_for
from keyfactor_provider.command.settings import Settings

MOST_BYTES: Final = 64 * 1024 * 1024
"""The maximum size of a response, compressed or not; a page of 1,000 orchestrators has one to three MiB."""
MOST_AT_ONCE: Final = 4
"""The maximum number of concurrent requests."""

FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""Everything that httpx raises instead of returning a response, including `TooLarge` and `Interrupted`."""

_CONNECT: Final = 10.0
"""Seconds to connect in, so that an attempt that hangs leaves time for another one."""
_PAUSE: Final = 10.0
"""Seconds without data after which a response that has begun is abandoned."""
_LEAST: Final = 0.05
_GRACE: Final = 1.0
"""Seconds after its deadline at which a request is abandoned even if the event loop is stuck."""
_BEAT: Final = 0.2
"""Seconds between checks of a waiting thread: a wait without a timeout can't be interrupted on every platform."""

Result = TypeVar("Result")

# Its debug log has the headers of every response, in which a server may repeat a secret.
logging.getLogger("httpcore").setLevel(logging.INFO)


class TooLarge(httpx.HTTPError):
    """The response is larger than MOST_BYTES."""


class Interrupted(httpx.HTTPError):
    """The client was closed or the process ended during the request."""


@dataclass(frozen=True)
class Answer:
    """A complete response with its body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Background:
    """Runs requests on an event loop in a separate thread, for synchronous callers.

    Only an event loop can end a request at its deadline in every phase: while it connects, during the TLS handshake, or
    while it reads endless headers. The thread starts with the first request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: Coroutine[Any, Any, Result]) -> "futures.Future[Result]":
        """Starts a coroutine.

        Raises:
            Interrupted: `close` was called.
        """
        with self._lock:
            if self._closed.is_set():
                work.close()
                raise Interrupted("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="keyfactor-command", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def result(self, work: "futures.Future[Result]", seconds: float) -> Result:
        """Waits for a started coroutine; a KeyboardInterrupt ends the wait and cancels it.

        Args:
            seconds: until its deadline.

        Raises:
            Interrupted: the client was closed, or the program has ended and waits for its threads.
        """
        give_up = time.monotonic() + max(seconds, 0) + _GRACE
        try:
            while not work.done():
                futures.wait([work], timeout=_BEAT)
                if self._ending():
                    raise Interrupted("the client was closed")
                if not work.done() and time.monotonic() > give_up:
                    raise httpx.ReadTimeout("no complete response in time")
            return work.result()
        except futures.CancelledError:
            raise Interrupted("the client was closed") from None
        finally:
            work.cancel()

    def pause(self, seconds: float) -> None:
        """Sleeps until the time is over, the client is closed or the program has ended."""
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0 and not self._ending():
            self._closed.wait(min(remaining, _BEAT))

    def close(self, *clients: httpx.AsyncClient) -> None:
        """Cancels all work and closes the clients; safe from any thread, and may be called more than once."""
        with self._lock:
            first, loop, thread = not self._closed.is_set(), self._loop, self._thread
            self._closed.set()
        if first and loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_end(clients), loop)
            thread.join(3 * _GRACE)

    def _ending(self) -> bool:
        # When the program has ended, the interpreter waits for its other threads, including those that wait here. It
        # waits for threads of a pool while the main thread still counts as alive; only the flag shows that.
        ended = getattr(threading, "_SHUTTING_DOWN", False) or not threading.main_thread().is_alive()
        return self._closed.is_set() or ended


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _end(clients: tuple[httpx.AsyncClient, ...]) -> None:
    loop = asyncio.get_running_loop()
    try:
        # Let abandoned requests end by themselves first: cancelling a request that is connecting leaks the connection.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            _, tasks = await asyncio.wait(tasks, timeout=_BEAT / 2)
            for task in tasks:
                # A second cancellation would interrupt the cleanup after the first.
                if not task.cancelling():
                    task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=_GRACE)
        for client in clients:
            with suppress(Exception):
                await asyncio.wait_for(client.aclose(), _GRACE)
        # Transports finish closing in the next iteration of the loop.
        await asyncio.sleep(0)
    finally:
        loop.call_soon(loop.stop)


async def exchange(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    until: float,
    clock: Callable[[], float],
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
) -> Answer:
    """Sends one request and reads its complete response.

    Args:
        until: time on the clock at which it is abandoned, whatever the peer is doing.

    Raises:
        one of FAILURES: there is no complete response.
    """
    loop = asyncio.get_running_loop()
    remaining = max(_LEAST, until - clock())
    end = loop.time() + remaining
    body = bytearray()
    sent = False

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        nonlocal sent
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            sent = True

    try:
        async with (
            asyncio.timeout_at(end) as limit,
            http.stream(
                method,
                url,
                content=content,
                data=data,
                headers=headers,
                auth=auth or httpx.USE_CLIENT_DEFAULT,
                timeout=httpx.Timeout(None, connect=min(_CONNECT, remaining / 2)),
                extensions={"until": until, "trace": trace},
            ) as response,
        ):
            limit.reschedule(min(end, loop.time() + _PAUSE))
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise TooLarge(_TOO_LARGE)
                limit.reschedule(min(end, loop.time() + _PAUSE))
    except TimeoutError:
        kind = httpx.ReadTimeout if sent else httpx.ConnectTimeout
        raise kind(f"no complete response within {remaining:.3g} s") from None
    except OSError as error:
        # httpx does not wrap a TLS error that occurs while the response is read.
        raise (httpx.ReadError if sent else httpx.ConnectError)(type(error).__name__) from error
    return Answer(
        response.status_code, response.headers, _decompressed(body, response.headers.get("Content-Encoding", ""))
    )


_TOO_LARGE: Final = f"the response is larger than {MOST_BYTES // 1024**2} MiB"


def _decompressed(body: bytearray, encoding: str) -> bytes:
    """The body of a response, decompressed if the server compressed it although `identity` was requested."""
    layers = [layer for part in encoding.split(",") if (layer := part.strip().lower()) not in ("", "identity")]
    if not layers:
        return bytes(body)
    if layers not in (["gzip"], ["x-gzip"], ["deflate"]):
        raise httpx.DecodingError("the response has an unsupported Content-Encoding")
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = decompressor.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise httpx.DecodingError("the response does not match its Content-Encoding") from None
    if len(plain) > MOST_BYTES:
        raise TooLarge(_TOO_LARGE)
    if not decompressor.eof or decompressor.unused_data:
        raise httpx.DecodingError("the compressed response is truncated or has trailing data")
    return plain


class Connections:
    """Creates the HTTP clients for one set of settings: for Command and for the token endpoint.

    Args:
        transport: replaces the network in tests.
    """

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None) -> None:
        self._tls = _tls(settings)
        self._transport = transport

    def to(self, url: str) -> httpx.AsyncClient:
        """A client for the server of this URL.

        Raises:
            SettingsError: the environment names a proxy that can't be used.
        """
        return httpx.AsyncClient(
            verify=self._tls,
            # Proxies are chosen as in Keyfactor's own tools (Go), not as httpx would.
            proxy=proxy_for(url, os.environ),
            trust_env=False,
            transport=self._transport,
            # No limit here: httpx would count a connection that is abandoned while it connects for ever.
            limits=httpx.Limits(max_keepalive_connections=MOST_AT_ONCE),
            # Avoids decompression bombs.
            headers={"Accept-Encoding": "identity"},
            # Keeps no cookies: none is needed, and an invalid one would break every later request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )


def _tls(settings: Settings) -> ssl.SSLContext:
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca_pem:
        context.load_verify_locations(cadata=settings.ca_pem)
    return context
