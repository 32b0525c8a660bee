"""The provider host's side of one process: what its providers share, and the engine's values made plain."""

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
"""For the engine to take a message."""

_TIMED: Final = (provider_pb2.CreateRequest, provider_pb2.UpdateRequest, provider_pb2.DeleteRequest)


class Host:
    """What the providers of one host process share: its operations, configured once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._config: Mapping[str, str] = {}
        self._configured = False
        self._operations: Operations | None = None
        self._failures: Path | None = None
        self.previewed: dict[str, tuple[Checked, Written]] = {}
        """What was checked in a preview, by fleet: what a diff announces."""
        self.read: set[str] = set()
        """The fleets that were read in this process: their records are as new as a run needs them."""

    def configure(self, req: ConfigureRequest) -> None:
        """Takes the stack's config, secrets in plain text."""
        from keyfactor_provider.command.settings import CONFIG_KEYS
        from keyfactor_provider.command.sources import as_text

        values = {key: as_text(req.config.get(f"keyfactor:{key}")) for key in CONFIG_KEYS}
        with self._lock:
            self._config = {key: value for key, value in values.items() if value is not None}
            if not self._configured:
                hand_over_on_sigterm()
            self._configured = True

    def operations(self) -> "Operations":
        """Built on first use, with the stack's config."""
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.client import CommandClient
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations.operations import Operations

                log = EngineLog(sys.argv[-1])
                self._operations = Operations(lambda: CommandClient(load(self._config.get, os.environ)), log.tell)
            return self._operations

    def reports_failures_to(self, path: Any) -> None:
        """Takes the file by which the program of this run learns of a failure; see `QuietEnd`."""
        if isinstance(path, str) and path:
            self._failures = Path(path)

    def note_failure(self) -> None:
        """A step has failed, and the engine is about to say why."""
        if self._failures is not None:
            with suppress(OSError):
                self._failures.touch()


class EngineLog:
    """Shows messages under the stack.

    Args:
        address: of the engine: the host's last argument, after the flags of `pulumi --logflow -v=9 --tracing ...`.
    """

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def tell(self, message: Message) -> None:
        """Shows a message; on standard error where the engine does not take it: no message is worth a failed run."""
        level = engine_pb2.WARNING if message.severity == "warning" else engine_pb2.INFO
        text = message.text().encode("utf-8", "replace").decode("utf-8")
        try:
            request = engine_pb2.LogRequest(severity=level, message=text, urn="", streamId=0)
            self._engine.Log(request, timeout=LOG_SECONDS)
        except (grpc.RpcError, ValueError):
            with suppress(OSError):
                print(f"{message.severity}: {text}", file=sys.stderr)


HOST = Host()
"""Of this process: the SDK builds a provider for each call."""


def time_allowed() -> float | None:
    """The seconds that `custom_timeouts` gives the call under way; None where it gives none.

    The engine sends them with each create, update and delete, however they were set (options, transforms, the state).
    The SDK's host does not hand them on to the provider, so they are read from its call, which waits for this one.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        request = frame.f_locals.get("request")
        if isinstance(request, _TIMED):
            return request.timeout or None
        frame = frame.f_back
    return None
