"""What the providers of one host process share."""

import gc
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import grpc
from pulumi.dynamic import ConfigureRequest
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2

from keyfactor_provider.dynamic.signals import hand_over_on_sigterm
from keyfactor_provider.messages import Message

if TYPE_CHECKING:
    from keyfactor_provider.dynamic.forms import Written
    from keyfactor_provider.operations.operations import Operations
    from keyfactor_provider.reenrollment.desired import Checked

LOG_SECONDS: Final = 10.0
"""Timeout for handing a message to the engine."""

_TIMED: Final = (provider_pb2.CreateRequest, provider_pb2.UpdateRequest, provider_pb2.DeleteRequest)


class Host:
    """The state that the providers of one host process share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._config: Mapping[str, str] = {}
        self._configured = False
        self._operations: Operations | None = None
        self._failures: Path | None = None
        self.previewed: dict[str, tuple[Checked, Written]] = {}
        """What a preview has checked, by fleet; `diff` announces it."""
        self.read: set[str] = set()
        """The fleets that this process has refreshed, so that their records are current."""

    def configure(self, req: ConfigureRequest) -> None:
        """Takes the stack's config, with its secrets in plain text."""
        from keyfactor_provider.command.settings_table import CONFIG_KEYS
        from keyfactor_provider.command.sources import as_text

        values = {key: as_text(req.config.get(f"keyfactor:{key}")) for key in CONFIG_KEYS}
        with self._lock:
            self._config = {key: value for key, value in values.items() if value is not None}
            if not self._configured:
                hand_over_on_sigterm()
                # The SDK's modules stay until the end. Without this, the imports of a read trigger a collection that
                # goes through all of them (14 ms).
                gc.freeze()
            self._configured = True

    def operations(self) -> "Operations":
        """The operations, built on first use with the stack's config."""
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations.operations import Operations

                log = EngineLog(sys.argv[-1])
                self._operations = Operations(lambda: load(self._config.get, os.environ), log.tell)
            return self._operations

    def reports_failures_to(self, path: Any) -> None:
        """Sets the file that tells the program of this run about a failure; see `QuietEnd`."""
        if isinstance(path, str) and path:
            self._failures = Path(path)

    def note_failure(self) -> None:
        """Records that a step has failed, which the engine is about to report."""
        if self._failures is not None:
            with suppress(OSError):
                self._failures.touch()


class EngineLog:
    """Shows messages under the stack.

    Args:
        address: of the engine. It is the host's last argument; flags such as `--logflow` and `--tracing` precede it.
    """

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def tell(self, message: Message) -> None:
        """Shows a message, on stderr if the engine does not accept it: a message must not fail a run."""
        level = engine_pb2.WARNING if message.severity == "warning" else engine_pb2.INFO
        text = message.text().encode("utf-8", "replace").decode("utf-8")
        try:
            request = engine_pb2.LogRequest(severity=level, message=text, urn="", streamId=0)
            self._engine.Log(request, timeout=LOG_SECONDS)
        except (grpc.RpcError, ValueError):
            with suppress(OSError):
                print(f"{message.severity}: {text}", file=sys.stderr)


HOST = Host()
"""One per process, because the SDK builds a new provider for each call."""


def time_allowed() -> float | None:
    """The `custom_timeouts` of the current call in seconds; None if there are none.

    The engine sends them with each create, update and delete, whether they come from options, transforms or the state.
    The SDK's host does not pass them to the provider, so they are read from the stack frame of the host's call.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        request = frame.f_locals.get("request")
        if isinstance(request, _TIMED):
            return request.timeout or None
        frame = frame.f_back
    return None
