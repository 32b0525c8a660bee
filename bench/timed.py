"""The product's fleets, timed in the provider host: the time of HTTP, and the time of the operations.

The program of a stack imports `TimedReenrollment`; the engine's provider host imports `TimedProvider` by the path in
the state. At the end of every operation the host writes its sums to $BENCH_TIMES.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pulumi.dynamic import CheckResult, CreateResult, DiffResult

from keyfactor_provider.dynamic import OrchestratorReenrollment, ReenrollmentProvider, resources

Result = TypeVar("Result")

_sums = {"provider": 0.0, "http": 0.0}


class TimedProvider(ReenrollmentProvider):
    """ReenrollmentProvider with timed operations."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Timed."""
        return _timed(lambda: super(TimedProvider, self).check(_olds, news))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Timed."""
        return _timed(lambda: super(TimedProvider, self).diff(_id, _olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Timed."""
        return _timed(lambda: super(TimedProvider, self).create(props))


class TimedReenrollment(OrchestratorReenrollment):
    """OrchestratorReenrollment with that provider."""

    def __init__(self, name: str, **given: Any) -> None:
        resources.ReenrollmentProvider = TimedProvider  # type: ignore[attr-defined]
        super().__init__(name, **given)


def _timed(operation: Callable[[], Result]) -> Result:
    began = time.perf_counter()
    try:
        return operation()
    finally:
        _sums["provider"] += time.perf_counter() - began
        Path(os.environ["BENCH_TIMES"]).write_text(json.dumps(_sums))


class _TimedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._stream)
        while True:
            began = time.perf_counter()
            try:
                chunk = await anext(chunks, None)
            finally:
                _sums["http"] += time.perf_counter() - began
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _watch_network() -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def timed(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        began = time.perf_counter()
        try:
            response = await send(self, request)
        finally:
            _sums["http"] += time.perf_counter() - began
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _TimedStream(response.stream)
        return response

    httpx.AsyncHTTPTransport.handle_async_request = timed  # type: ignore[method-assign]


_watch_network()
