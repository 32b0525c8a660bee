"""The native Pulumi plugin driven over its own protocol, without an engine; strict where the engine is."""

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
"""How the engine writes a value that it does not know yet (sdk/go/common/resource/plugin)."""

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
    """A resource stands and is not as it should be; the engine keeps its state, and the run fails."""

    def __init__(self, failed: Any) -> None:
        super().__init__("; ".join(failed.reasons))
        self.failed = failed


@dataclass(frozen=True)
class Told:
    """A message as the engine gets it."""

    severity: str
    text: str
    urn: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.told: list[Told] = []

    def Log(self, request: Any, _context: Any) -> empty_pb2.Empty:  # noqa: N802  # gRPC names it
        self.told.append(Told(_SEVERITIES[request.severity], request.message, request.urn))
        return empty_pb2.Empty()


@dataclass
class Change:
    """What Diff answered: whether there is something to do, and by path the kind of change and whose it is."""

    changes: bool
    paths: dict[str, tuple[str, bool]]


@dataclass
class Plugin:
    """A running plugin process."""

    process: "subprocess.Popen[str]"
    stub: Any
    engine: _Engine

    def ask(self, method: str, request: Any, seconds: float = 60) -> Any:
        """Calls a method.

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
        """Calls a function of the package."""
        request = provider_pb2.InvokeRequest(tok=f"keyfactor:index:{function}", args=struct(arguments))
        answer = self.ask("Invoke", request)
        if answer.failures:
            raise PluginError("\n".join(f"{one.property}: {one.reason}" for one in answer.failures))
        return plain(getattr(answer, "return"))

    def told(self, severity: str = "") -> str:
        """What the plugin told the engine so far."""
        return "\n".join(str(one) for one in self.engine.told if severity in ("", one.severity))


@dataclass
class Resource:
    """One resource over several runs, with the calls that the engine makes in a preview, an up, a refresh, a destroy.

    Attributes:
        inputs, outputs: its state as the engine keeps it; None for no state.
        reads_first: what the plugin last said of refresh_before_update.
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
            PluginError: there are failures; the text has them all.
        """
        request = provider_pb2.CheckRequest(**self._who(), olds=struct(self.inputs or {}), news=struct(news))
        answer = running.ask("Check", request)
        if answer.failures:
            raise PluginError("\n".join(f"{one.property}: {one.reason}" for one in answer.failures))
        return raw(answer.inputs)

    def diff(self, running: Plugin, inputs: Mapping[str, Any]) -> Change:
        """What Diff says of checked inputs."""
        assert self.inputs is not None
        assert self.outputs is not None
        request = provider_pb2.DiffRequest(
            **self._who(),
            id=self.id,
            olds=struct(self.outputs),
            old_inputs=struct(self.inputs),
            news=struct(inputs),
        )
        answer = running.ask("Diff", request)
        assert not answer.replaces
        paths = {
            path: (provider_pb2.PropertyDiff.Kind.Name(one.kind), one.inputDiff)
            for path, one in answer.detailedDiff.items()
        }
        changes = answer.changes == provider_pb2.DiffResponse.DIFF_SOME
        assert changes or not paths
        return Change(changes, paths)

    def preview(self, running: Plugin, **news: Any) -> Change:
        """A preview: read first where the plugin asked for it, then check, diff, and create or update as a preview."""
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
        """A run: read first where the plugin asked for it, then check, diff, and create or update.

        Args:
            within: seconds of `customTimeouts`; 0 where there are none.

        Raises:
            InitFailed: the engine keeps the state that comes with it; after an update with the old inputs.
            PluginError: the engine keeps the state as it was.
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
        """Read, with what it gives put in place."""
        request = provider_pb2.ReadRequest(
            **self._who(), id=self.id, properties=struct(self.outputs or {}), inputs=struct(self.inputs or {})
        )
        answer = running.ask("Read", request)
        self.id, self.outputs, self.inputs = answer.id, raw(answer.properties), raw(answer.inputs)
        self.reads_first, self.failed = answer.refresh_before_update, False

    def take(self, running: Plugin, import_id: str) -> None:
        """An import."""
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
            answer = running.ask(method, request, 120)
        except InitFailed as error:
            # After a failed update the engine keeps the old inputs with the new outputs.
            self.inputs = inputs if self.inputs is None else self.inputs
            self.id, self.outputs = self.id or error.failed.id, raw(error.failed.properties)
            self.reads_first, self.failed = error.failed.refresh_before_update, True
            raise
        self.id = self.id or answer.id
        self.inputs, self.outputs, self.failed = inputs, raw(answer.properties), False
        self.reads_first = answer.refresh_before_update

    def _who(self) -> dict[str, Any]:
        return {"urn": self.urn, "name": self.name, "type": self.kind}


def secret(value: Any) -> dict[str, Any]:
    """A secret as the engine writes it."""
    return {_SIGNATURE: _SECRET, "value": value}


def is_secret(value: Any) -> bool:
    """Whether a value is one."""
    return isinstance(value, Mapping) and value.get(_SIGNATURE) == _SECRET


@contextmanager
def plugin(
    environment: Mapping[str, str], settings: Mapping[str, Any] | None = None, *, reads_first: bool = True
) -> Iterator[Plugin]:
    """A plugin process with this environment besides an otherwise empty one, configured as the engine does.

    Args:
        reads_first: whether this engine reads before it plans an update where the plugin asks for it.
    """
    engine = _Engine()
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
    """A plugin process, which prints its port as its first line."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "keyfactor_provider.plugin", *arguments],
        cwd=ROOT,
        env={**bare_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
    )


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as the engine sends them."""
    made = struct_pb2.Struct()
    made.update({key: value for key, value in values.items() if value is not None})
    return made


def raw(message: struct_pb2.Struct) -> dict[str, Any]:
    """Properties as they are kept, with the marks of secrets."""
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def plain(message: struct_pb2.Struct) -> dict[str, Any]:
    """Properties without the marks of secrets."""
    found: dict[str, Any] = _opened(raw(message))
    return found


def _opened(value: Any) -> Any:
    if is_secret(value):
        return _opened(value["value"])
    if isinstance(value, dict):
        return {name: _opened(item) for name, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value


def _plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """CheckConfig gets secrets in plain text (pulumi: provider_plugin.go)."""
    return {name: _opened(value) for name, value in settings.items()}
