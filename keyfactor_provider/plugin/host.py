"""What one plugin process knows of its run: the engine that it talks to, its settings, and its operations."""

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
    """Of one plugin process.

    Attributes:
        stopping: set when the engine, a signal or the end of the parent wants the plugin to end soon.
        reads_first: whether the engine calls Read before it plans an update, as the plugin asks it to.
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
        """Takes the address of the engine."""
        if address:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def configure(self, settings: "Bag") -> None:
        """Takes the provider's settings."""
        from keyfactor_provider.command.settings import CONFIG_KEYS, SECRET_KEYS
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
        """What this process does to Command; built on first use."""
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.client import CommandClient
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations.operations import Operations

                config = self._config
                self._operations = Operations(lambda: CommandClient(load(config.get, os.environ)), self.tell)
            return self._operations

    def check(self, name: str, urn: str) -> list[Problem]:
        """What keeps this run from working whatever a resource's arguments are."""
        problems = [
            Problem(
                f"keyfactor:{key}",
                f"this secret is plain text in the provider's settings, and would be in the state as such; run "
                f"`pulumi config set --secret keyfactor:{key}`, or make it a secret in the program",
            )
            for key in self._plain_secrets
        ]
        with self._lock:
            other = self._urns.setdefault(name, urn)
        if other != urn:
            problems.append(Problem("name", f'another fleet is called "{name}" as well ({other}); rename one of them'))
        return [*problems, *self.operations.before.check_settings(required=False)]

    @contextmanager
    def about(self, urn: str) -> Iterator[None]:
        """What is told within is shown on this resource; calls come on several threads, each tells on its own."""
        self._here.urn = urn
        try:
            yield
        finally:
            self._here.urn = ""

    def tell(self, message: Message) -> None:
        """Shows a message where the engine shows what a resource has to say.

        A message that doesn't get through is lost: the state that an operation leaves matters more.
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


def unknown_arguments(given: Mapping[str, Any], known: "frozenset[str]") -> list[Problem]:
    """A problem for each argument that there is not; nothing that a program writes is left out in silence."""
    return [
        Problem(name, f"there is no argument of this name; expected {listed(sorted(known))}")
        for name in sorted(given)
        if name not in known and not name.startswith("__")
    ]
