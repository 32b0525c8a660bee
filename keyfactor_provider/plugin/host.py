"""The context of one plugin process: its engine, its settings, and its operations on Command."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc

from keyfactor_provider.errors import Problem
from keyfactor_provider.messages import Message
from keyfactor_provider.plugin.protocol import engine_pb2, engine_pb2_grpc
from keyfactor_provider.text import listed

if TYPE_CHECKING:
    from keyfactor_provider.operations.operations import Operations
    from keyfactor_provider.plugin.values import Bag

_SEVERITIES: Final = {"info": engine_pb2.INFO, "warning": engine_pb2.WARNING, "error": engine_pb2.ERROR}
_LOG_SECONDS: Final = 5.0


class Host:
    """The context of one plugin process.

    Attributes:
        stopping: set when the plugin should end soon: on Cancel, on a signal, or when its parent has ended.
        reads_first: whether the engine supports calling Read before it plans an update.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.reads_first = False
        self._lock = threading.Lock()
        self._here = threading.local()
        self._engine: Any = None
        self._config: Mapping[str, str] = {}
        self._plain_secrets: tuple[str, ...] = ()
        self._operations: Operations | None = None
        self._urns: dict[str, str] = {}

    def attach(self, address: str) -> None:
        """Connects to the engine; does nothing if the address is empty."""
        if address:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def configure(self, settings: "Bag") -> None:
        """Stores the provider's settings."""
        from keyfactor_provider.command.settings_table import CONFIG_KEYS, SECRET_KEYS
        from keyfactor_provider.command.sources import as_text

        texts = {key: as_text(settings.values.get(key)) for key in CONFIG_KEYS}
        with self._lock:
            self._config = {key: text for key, text in texts.items() if text is not None}
            self._plain_secrets = tuple(
                key for key in SECRET_KEYS if self._config.get(key) and key not in settings.secret
            )
            self._operations = None

    @property
    def operations(self) -> "Operations":
        """The operations on Command; built on first use."""
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations.operations import Operations

                config = self._config
                self._operations = Operations(lambda: load(config.get, os.environ), self.tell)
            return self._operations

    def check(self, name: str, urn: str) -> list[Problem]:
        """Problems that are independent of a resource's arguments: settings, and fleets of the same name."""
        problems = [
            Problem(
                f"keyfactor:{key}",
                f"this secret is plain text in the provider's settings and would be stored so in the state; run "
                f"`pulumi config set --secret keyfactor:{key}`, or make it a secret in the program",
            )
            for key in self._plain_secrets
        ]
        with self._lock:
            other = self._urns.setdefault(name, urn)
        if other != urn:
            problems.append(Problem("name", f'another fleet is called "{name}" too ({other}); rename one of them'))
        return [*problems, *self.operations.before.check_settings(required=False)]

    @contextmanager
    def about(self, urn: str) -> Iterator[None]:
        """Shows messages of this thread on the resource until the block ends."""
        self._here.urn = urn
        try:
            yield
        finally:
            self._here.urn = ""

    def tell(self, message: Message) -> None:
        """Sends a message to the engine, for the current resource.

        A failure to send is ignored: the state that the operation returns matters more.
        """
        urn = getattr(self._here, "urn", "") if message.resource else ""
        text = f"{message.summary}. {message.detail}".rstrip() if urn else message.text()
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=_SEVERITIES[message.severity], message=text, urn=urn, streamId=0)
        try:
            self._engine.Log(request, timeout=_LOG_SECONDS)
        except grpc.RpcError:
            return

    def close(self) -> None:
        """Closes the connections to Command."""
        if self._operations is not None:
            self._operations.close()


def unknown_arguments(arguments: Mapping[str, Any], known: "frozenset[str]") -> list[Problem]:
    """A problem for each unknown argument, so that none is ignored silently."""
    return [
        Problem(name, f"unknown argument; expected {listed(sorted(known))}")
        for name in sorted(arguments)
        if name not in known and not name.startswith("__")
    ]
