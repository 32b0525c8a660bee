"""One request and its whole response, bounded in time and size; and the connections that carry it."""

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

import httpx
import truststore

from keyfactor_provider.command.proxies import proxy_for
from keyfactor_provider.command.settings import Settings
from keyfactor_provider.errors import SettingsError

MOST_BYTES: Final = 64 * 1024 * 1024
"""The most that one response may have, compressed or not: a page of 1,000 orchestrators has one to three MiB."""
MOST_AT_ONCE: Final = 4
"""Requests that are under way side by side."""

FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""Everything that httpx raises instead of giving a response; `TooLarge` and `Interrupted` are among them."""

_CONNECT: Final = 10.0
"""Seconds for a connection, so that an attempt that hangs leaves time for another one."""
_PAUSE: Final = 10.0
"""Seconds for which a response that has begun may stand still."""
_LEAST: Final = 0.05
_GRACE: Final = 1.0
"""Seconds after its deadline at which a request is given up even if the event loop does not get to it."""
_BEAT: Final = 0.2
"""Seconds after which a waiting thread looks up: a wait without a timeout can't be interrupted on every platform."""

Result = TypeVar("Result")

# Its debug log has the headers of every response, in which a server may repeat what it was sent.
logging.getLogger("httpcore").setLevel(logging.INFO)


class TooLarge(httpx.HTTPError):
    """A response with more than MOST_BYTES."""


class Interrupted(httpx.HTTPError):
    """The client was closed, or the process is ending, while the request was under way."""


@dataclass(frozen=True)
class Answer:
    """A whole response, its body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Background:
    """An event loop in a thread of its own, on which requests run while ordinary code waits for them.

    Only an event loop can end a request at its deadline whatever it is doing: connecting, shaking hands, or
    reading headers that never end. The thread starts with the first request.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: Coroutine[Any, Any, Result]) -> "futures.Future[Result]":
        """Starts a piece of work.

        Raises:
            Interrupted: it is closed.
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
        """Waits for a piece of work; a KeyboardInterrupt ends the wait and the work.

        Args:
            seconds: until its deadline.

        Raises:
            Interrupted: the client was closed, or the program has ended and only waits for its threads.
        """
        give_up = time.monotonic() + max(seconds, 0) + _GRACE
        try:
            while not work.done():
                futures.wait([work], timeout=_BEAT)
                if self._ending():
                    raise Interrupted("the client was closed")
                if not work.done() and time.monotonic() > give_up:
                    raise httpx.ReadTimeout("no end of it in time")
            return work.result()
        except futures.CancelledError:
            raise Interrupted("the client was closed") from None
        finally:
            work.cancel()

    def pause(self, seconds: float) -> None:
        """Sleeps, but not on after the client was closed or the program has ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._ending():
            self._closed.wait(min(left, _BEAT))

    def close(self, *clients: httpx.AsyncClient) -> None:
        """Ends all work and closes the clients; safe from any thread, and more than once."""
        with self._lock:
            first, loop, thread = not self._closed.is_set(), self._loop, self._thread
            self._closed.set()
        if first and loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_end(clients), loop)
            thread.join(3 * _GRACE)

    def _ending(self) -> bool:
        # Once the program has ended, the interpreter waits for its other threads: for those that wait here too.
        # For threads of a pool it does so before the main thread counts as ended, which only the flag tells.
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
        # What nobody waits for any more may end by itself: a connection that is cut while it is made is not closed.
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            _, others = await asyncio.wait(others, timeout=_BEAT / 2)
            for task in others:
                # A second cancellation would interrupt the closing of the connection after the first.
                if not task.cancelling():
                    task.cancel()
            if others:
                await asyncio.wait(others, timeout=_GRACE)
        for client in clients:
            with suppress(Exception):
                await asyncio.wait_for(client.aclose(), _GRACE)
        # Closed transports say goodbye in the next turn of the loop.
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
    """Sends one request and reads its response to the end.

    Args:
        until: a reading of the clock at which it is given up, whatever the peer is doing.

    Raises:
        one of FAILURES: there is no whole response.
    """
    loop = asyncio.get_running_loop()
    left = max(_LEAST, until - clock())
    end = loop.time() + left
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
                timeout=httpx.Timeout(None, connect=min(_CONNECT, left / 2)),
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
        raise kind(f"no complete response within {left:.3g} s") from None
    except OSError as error:
        # TLS that breaks while the response is read comes through httpx as it is.
        raise (httpx.ReadError if sent else httpx.ConnectError)(type(error).__name__) from error
    return Answer(
        response.status_code, response.headers, _decompressed(body, response.headers.get("Content-Encoding", ""))
    )


_TOO_LARGE: Final = f"the response is larger than {MOST_BYTES // 1024**2} MiB"


def _decompressed(body: bytearray, encoding: str) -> bytes:
    """The body of a response that was compressed although `identity` was asked for, at most MOST_BYTES of it."""
    layers = [layer for each in encoding.split(",") if (layer := each.strip().lower()) not in ("", "identity")]
    if not layers:
        return bytes(body)
    if layers not in (["gzip"], ["x-gzip"], ["deflate"]):
        raise httpx.DecodingError("the response is compressed in a way that was not asked for")
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = decompressor.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise httpx.DecodingError("the response is not compressed as it says") from None
    if len(plain) > MOST_BYTES:
        raise TooLarge(_TOO_LARGE)
    if not decompressor.eof or decompressor.unused_data:
        raise httpx.DecodingError("the compressed response is cut off or followed by something else")
    return plain


class Connections:
    """What keeps connections for the servers of one set of settings: Command, and the token endpoint.

    Args:
        transport: replaces the network.

    Raises:
        SettingsError: the private CA can't be used.
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
            # The environment is read as Keyfactor's own tools (Go) read it, and not as httpx would.
            proxy=proxy_for(url, os.environ),
            trust_env=False,
            transport=self._transport,
            # Not bounded here: in httpx a connection that is given up while it is made would count for ever.
            limits=httpx.Limits(max_keepalive_connections=MOST_AT_ONCE),
            # A few bytes that decompress to gigabytes are not even asked for.
            headers={"Accept-Encoding": "identity"},
            # No cookie is kept: nothing here needs one, and a broken one would break every later request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )


def _tls(settings: Settings) -> ssl.SSLContext:
    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca_pem:
        try:
            context.load_verify_locations(cadata=settings.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error
            raise SettingsError(
                "The private CA for Keyfactor Command can't be read",
                f"{settings.vocabulary.setting('caCert')} holds no usable certificate ({reason})",
                "Expected a PEM file or its text.",
                key="caCert",
            ) from None
    return context
