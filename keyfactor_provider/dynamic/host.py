"""The provider host's side of one process: what its providers share, and the engine's values made plain."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc
from pulumi.dynamic import ConfigureRequest
from pulumi.output import Unknown
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from keyfactor_provider.reenrollment.desired import UNKNOWN

if TYPE_CHECKING:
    from keyfactor_provider.operations.run import Operations, Tell


class Host:
    """What the providers of one host process share: its operations, configured once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._config: Mapping[str, str] = {}
        self._operations: Operations | None = None

    def configure(self, req: ConfigureRequest) -> None:
        """Takes the stack's config, secrets in plain text."""
        from keyfactor_provider.command.settings import CONFIG_KEYS
        from keyfactor_provider.command.sources import as_text

        values = {key: as_text(req.config.get(f"keyfactor:{key}")) for key in CONFIG_KEYS}
        self._config = {key: value for key, value in values.items() if value is not None}

    def operations(self) -> "Operations":
        """Built on first use, with the stack's config."""
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.client import CommandClient
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations.run import Operations

                self._operations = Operations(lambda: CommandClient(load(self._config.get, os.environ)), _engine_log())
            return self._operations


HOST = Host()
"""Of this process: the SDK builds a provider for each call."""


def _engine_log() -> "Tell":
    """Shows messages under the stack, by the engine whose address the host was started with."""
    severities = {"info": engine_pb2.INFO, "warning": engine_pb2.WARNING}
    engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(sys.argv[1]))

    def tell(severity: str, message: str) -> None:
        engine.Log(engine_pb2.LogRequest(severity=severities[severity], message=message, urn="", streamId=0))

    return tell


def plain(value: Any) -> Any:
    """An engine's value as the decisions take it."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether anything in an engine's value is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)
