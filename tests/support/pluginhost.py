"""Drives the native Pulumi plugin over its protocol, without an engine but as strict as one."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from tests.support.processes import bare_environment

ROOT = Path(__file__).resolve().parents[2]
FLEET = "keyfactor:index:OrchestratorReenrollment"
COMPLETION = "keyfactor:index:ReenrollmentCompletion"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's form of an unknown value (sdk/go/common/resource/plugin)."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


class PluginError(Exception):
    """A call failed; the text is what an engine would show.

    Attributes:
        code: the gRPC status.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class InitFailed(PluginError):
    """A resource exists but is not as desired: the engine keeps its state, and the run fails."""

    def __init__(self, failed: Any) -> None:
        super().__init__("; ".join(failed.reasons))
        self.failed = failed


@dataclass(frozen=True)
class Told:
    """A message to the engine."""

    severity: str
    text: str
    urn: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


class EngineLog(engine_pb2_grpc.EngineServicer):
    """The part of an engine that takes messages."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    @property
    def said(self) -> list[str]:
        """The texts of the messages."""
        return [message.text for message in self.told]

    def Log(self, request: Any, _context: Any) -> empty_pb2.Empty:  # noqa: N802  # gRPC names it
        """Keep the message."""
        self.told.append(Told(_SEVERITIES[request.severity], request.message, request.urn))
        return empty_pb2.Empty()


@dataclass
class Change:
    """The response of Diff: whether there are changes, and by path their kind and whether they are of the inputs."""

    changes: bool
    paths: dict[str, tuple[str, bool]]


@dataclass
class Plugin:
    """A running plugin process."""

    process: "subprocess.Popen[str]"
    stub: Any
    engine: EngineLog

    def ask(self, method: str, request: Any, seconds: float = 60) -> Any:
        """Call a method.

        Raises:
            InitFailed, PluginError: it failed.
        """
        try:
            return getattr(self.stub, method)(request, timeout=seconds)
        except grpc.RpcError as error:
            trailing: Any = error.trailing_metadata() or ()
            for name, value in trailing:
                if name == "grpc-status-details-bin":
                    status = status_pb2.Status.FromString(value)
                    failed = provider_pb2.ErrorResourceInitFailed()
                    assert status.details[0].Unpack(failed)
                    assert failed.reasons
                    raise InitFailed(failed) from None
            raise PluginError(error.details() or "", error.code().name) from None

    def configure(self, settings: Mapping[str, Any] | None = None) -> None:
        """CheckConfig and Configure; a value may be `secret(...)`."""
        news = struct(settings or {})
        urn = "urn:pulumi:dev::fleets::pulumi:providers:keyfactor::default"
        self.ask("CheckConfig", provider_pb2.CheckRequest(urn=urn, news=struct(_plain_settings(settings or {}))))
        self.ask("Configure", provider_pb2.ConfigureRequest(args=news, acceptSecrets=True, acceptResources=True))

    def invoke(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Call a function of the package."""
        request = provider_pb2.InvokeRequest(tok=f"keyfactor:index:{function}", args=struct(arguments))
        response = self.ask("Invoke", request)
        if response.failures:
            raise PluginError("\n".join(f"{failure.property}: {failure.reason}" for failure in response.failures))
        return plain(getattr(response, "return"))

    def told(self, severity: str = "") -> str:
        """All messages to the engine, or those of one severity."""
        return "\n".join(str(message) for message in self.engine.told if severity in ("", message.severity))


@dataclass
class Resource:
    """One resource over several runs, with the calls that the engine makes in each command.

    Attributes:
        inputs, outputs: the recorded state; None for no state.
        reads_first: the last refresh_before_update of the plugin.
    """

    kind: str = FLEET
    name: str = "edge"
    id: str = ""
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    reads_first: bool = False
    failed: bool = False
    parent: str = ""

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::fleets::{self.parent}{self.kind}::{self.name}"

    def check(self, running: Plugin, **news: Any) -> dict[str, Any]:
        """The checked inputs.

        Raises:
            PluginError: there are failures; the text has all of them.
        """
        request = provider_pb2.CheckRequest(**self._who(), olds=struct(self.inputs or {}), news=struct(news))
        response = running.ask("Check", request)
        if response.failures:
            raise PluginError("\n".join(f"{failure.property}: {failure.reason}" for failure in response.failures))
        return raw(response.inputs)

    def diff(self, running: Plugin, inputs: Mapping[str, Any]) -> Change:
        """The response of Diff to checked inputs."""
        assert self.inputs is not None
        assert self.outputs is not None
        request = provider_pb2.DiffRequest(
            **self._who(),
            id=self.id,
            olds=struct(self.outputs),
            old_inputs=struct(self.inputs),
            news=struct(inputs),
        )
        response = running.ask("Diff", request)
        assert not response.replaces
        paths = {
            path: (provider_pb2.PropertyDiff.Kind.Name(difference.kind), difference.inputDiff)
            for path, difference in response.detailedDiff.items()
        }
        changes = response.changes == provider_pb2.DiffResponse.DIFF_SOME
        assert changes or not paths
        return Change(changes, paths)

    def preview(self, running: Plugin, **news: Any) -> Change:
        """A preview: a read if the plugin requested it, then check, diff, and create or update as a preview."""
        before = (self.id, self.inputs, self.outputs, self.reads_first, self.failed)
        try:
            if self.outputs is not None and self.reads_first:
                self.refresh(running)
            return self._preview(running, **news)
        finally:
            self.id, self.inputs, self.outputs, self.reads_first, self.failed = before

    def _preview(self, running: Plugin, **news: Any) -> Change:
        inputs = self.check(running, **news)
        if self.outputs is None:
            request = provider_pb2.CreateRequest(**self._who(), properties=struct(inputs), preview=True)
            self.previewed = raw(running.ask("Create", request).properties)
            return Change(True, {})
        change = self.diff(running, inputs)
        if change.changes:
            update = provider_pb2.UpdateRequest(
                **self._who(),
                id=self.id,
                olds=struct(self.outputs),
                old_inputs=struct(self.inputs or {}),
                news=struct(inputs),
                preview=True,
            )
            self.previewed = raw(running.ask("Update", update).properties)
        return change

    def up(self, running: Plugin, *, within: float = 0, **news: Any) -> Change:
        """A run: a read if the plugin requested it, then check, diff, and create or update.

        Args:
            within: seconds of `customTimeouts`; 0 for none.

        Raises:
            InitFailed: the engine keeps the state of this error; after an update, with the old inputs.
            PluginError: the engine keeps the old state.
        """
        if self.outputs is not None and self.reads_first:
            self.refresh(running)
        inputs = self.check(running, **news)
        assert UNKNOWN not in str(inputs)
        if self.outputs is None:
            request = provider_pb2.CreateRequest(**self._who(), properties=struct(inputs), timeout=within)
            self._take(running, "Create", request, inputs)
            return Change(True, {})
        change = self.diff(running, inputs)
        if change.changes or self.failed:
            update = provider_pb2.UpdateRequest(
                **self._who(),
                id=self.id,
                olds=struct(self.outputs),
                old_inputs=struct(self.inputs or {}),
                news=struct(inputs),
                timeout=within,
            )
            self._take(running, "Update", update, inputs)
        else:
            self.inputs = inputs
        return change

    def refresh(self, running: Plugin) -> None:
        """Read, and record the outputs and inputs."""
        request = provider_pb2.ReadRequest(
            **self._who(), id=self.id, properties=struct(self.outputs or {}), inputs=struct(self.inputs or {})
        )
        response = running.ask("Read", request)
        self.id, self.outputs, self.inputs = response.id, raw(response.properties), raw(response.inputs)
        self.reads_first, self.failed = response.refresh_before_update, False

    def take(self, running: Plugin, import_id: str) -> None:
        """Import the resource."""
        self.id = import_id
        self.refresh(running)

    def destroy(self, running: Plugin, *, within: float = 0) -> None:
        """Delete."""
        request = provider_pb2.DeleteRequest(
            **self._who(), id=self.id, properties=struct(self.outputs or {}), timeout=within
        )
        running.ask("Delete", request)
        self.inputs = self.outputs = None

    def phases(self) -> dict[str, str]:
        """The recorded phase of each member."""
        return {
            member_id: member["phase"] for member_id, member in (self.outputs or {"members": {}})["members"].items()
        }

    def _take(self, running: Plugin, method: str, request: Any, inputs: dict[str, Any]) -> None:
        try:
            response = running.ask(method, request, 120)
        except InitFailed as error:
            # After a failed update the engine keeps the old inputs with the new outputs.
            self.inputs = inputs if self.inputs is None else self.inputs
            self.id, self.outputs = self.id or error.failed.id, raw(error.failed.properties)
            self.reads_first, self.failed = error.failed.refresh_before_update, True
            raise
        self.id = self.id or response.id
        self.inputs, self.outputs, self.failed = inputs, raw(response.properties), False
        self.reads_first = response.refresh_before_update

    def _who(self) -> dict[str, Any]:
        return {"urn": self.urn, "name": self.name, "type": self.kind}


def secret(value: Any) -> dict[str, Any]:
    """A secret in the engine's format."""
    return {_SIGNATURE: _SECRET, "value": value}


def is_secret(value: Any) -> bool:
    """Whether a value is a secret."""
    return isinstance(value, Mapping) and value.get(_SIGNATURE) == _SECRET


@contextmanager
def plugin(
    environment: Mapping[str, str], settings: Mapping[str, Any] | None = None, *, reads_first: bool = True
) -> Iterator[Plugin]:
    """A plugin process with a minimal environment plus this one, configured as by an engine.

    Args:
        reads_first: whether this engine supports refresh_before_update.
    """
    engine = EngineLog()
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    process = start([f"127.0.0.1:{port}"], environment)
    assert process.stdout is not None
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}", options)
    try:
        running = Plugin(process, provider_pb2_grpc.ResourceProviderStub(channel), engine)
        handshake = provider_pb2.ProviderHandshakeRequest(
            engine_address=f"127.0.0.1:{port}", supports_refresh_before_update=reads_first, configure_with_urn=True
        )
        assert running.ask("Handshake", handshake).accept_secrets
        running.configure(settings)
        yield running
    finally:
        channel.close()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stdout.close()
        server.stop(None).wait()


def start(arguments: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start a plugin process; its first line is its port."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "keyfactor_provider.plugin", *arguments],
        cwd=ROOT,
        env={**bare_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
    )


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as the engine sends them, without None."""
    message = struct_pb2.Struct()
    message.update({key: value for key, value in values.items() if value is not None})
    return message


def raw(message: struct_pb2.Struct) -> dict[str, Any]:
    """Properties with the marks of secrets."""
    properties: dict[str, Any] = json_format.MessageToDict(message)
    return properties


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Properties without the marks of secrets."""
    properties: dict[str, Any] = _opened(raw(message))
    return properties


def _opened(value: Any) -> Any:
    if is_secret(value):
        return _opened(value["value"])
    if isinstance(value, dict):
        return {name: _opened(item) for name, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value


def _plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for CheckConfig, which gets secrets in plain text (pulumi: provider_plugin.go)."""
    return {name: _opened(value) for name, value in settings.items()}
