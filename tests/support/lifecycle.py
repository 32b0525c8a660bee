"""The life of one resource through the SDK's own provider host, without an engine."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from keyfactor_provider.dynamic import ReenrollmentProvider
from tests.support.processes import bare_environment

ROOT = Path(__file__).resolve().parents[2]
URN = "urn:pulumi:dev::fleets::pulumi-python:dynamic/keyfactor:OrchestratorReenrollment::edge"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes a value that it does not know yet (sdk/go/common/resource/plugin)."""


class HostError(Exception):
    """An operation failed; the text is what an engine would show."""


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: Any, _context: Any) -> empty_pb2.Empty:  # noqa: N802  # gRPC names it
        self.said.append(request.message)
        return empty_pb2.Empty()


@dataclass
class Host:
    """A running provider host.

    Attributes:
        said: what it told the engine since it started.
        state: of the resource, as the engine would keep it: inputs and outputs.
        timeout: seconds that `custom_timeouts` gives each create, update and delete; 0 for none.
    """

    stub: Any
    engine: _Engine
    process: "subprocess.Popen[str]"
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    timeout: float = 0

    @property
    def said(self) -> str:
        return "\n".join(self.engine.said)

    def check(
        self, news: Mapping[str, Any], *, preview: bool = True, name: str = "edge"
    ) -> tuple[dict[str, Any], list[str]]:
        """The checked inputs, and the failures as the engine would show them."""
        raw = {"fleet": name, "run": {"preview": True} if preview else {}, **news}
        request = provider_pb2.CheckRequest(urn=URN, olds=_struct(self.inputs), news=self._with_provider(raw))
        answer = self._ask(self.stub.Check, request)
        return _plain(answer.inputs), [f"{each.property}: {each.reason}" for each in answer.failures]

    def diff(self, inputs: Mapping[str, Any]) -> bool:
        """Whether the resource would be updated."""
        request = provider_pb2.DiffRequest(
            id="edge", urn=URN, olds=self._with_provider(self.outputs), news=self._with_provider(inputs)
        )
        answer = self._ask(self.stub.Diff, request)
        # Where the answer is unknown, an engine looks whether the inputs have changed.
        return bool(answer.changes != provider_pb2.DiffResponse.DIFF_NONE)

    def up(self, **news: Any) -> dict[str, Any]:
        """A preview, and the run after it: check, diff, then create or update where there is a change."""
        inputs, failures = self.check(news)
        if not failures:
            inputs, failures = self.check(news, preview=False)
        if failures:
            raise HostError("\n".join(failures))
        if not self.outputs:
            request = provider_pb2.CreateRequest(urn=URN, properties=self._with_provider(inputs), timeout=self.timeout)
            self.outputs = _plain(self._ask(self.stub.Create, request).properties)
        elif self.diff(inputs):
            self.outputs = self.update(inputs)
        self.inputs = inputs
        return self.outputs

    def update(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that an update gives."""
        request = provider_pb2.UpdateRequest(
            id="edge",
            urn=URN,
            olds=self._with_provider(self.outputs),
            news=self._with_provider(inputs),
            timeout=self.timeout,
        )
        return _plain(self._ask(self.stub.Update, request).properties)

    def refresh(self) -> dict[str, Any]:
        """Read, with what it gives put in place."""
        request = provider_pb2.ReadRequest(id="edge", urn=URN, properties=self._with_provider(self.outputs))
        answer = self._ask(self.stub.Read, request)
        self.outputs, self.inputs = _plain(answer.properties), _plain(answer.inputs)
        return self.outputs

    def destroy(self) -> None:
        """Delete."""
        properties = self._with_provider(self.outputs)
        request = provider_pb2.DeleteRequest(id="edge", urn=URN, properties=properties, timeout=self.timeout)
        self._ask(self.stub.Delete, request)
        self.inputs, self.outputs = {}, {}

    def phases(self) -> dict[str, str]:
        """The recorded phase of each member."""
        return {member_id: member["phase"] for member_id, member in self.outputs["members"].items()}

    def _with_provider(self, properties: Mapping[str, Any]) -> struct_pb2.Struct:
        return _struct({**properties, "__provider": serialize_provider(ReenrollmentProvider())})

    @staticmethod
    def _ask(call: Any, request: Any) -> Any:
        try:
            return call(request, timeout=120)
        except grpc.RpcError as error:
            raise HostError(error.details()) from None


@contextmanager
def host(
    environment: Mapping[str, str],
    config: Mapping[str, str] | None = None,
    *flags: str,
    listens: bool = True,
    background: bool = False,
) -> Iterator[Host]:
    """A provider host with this environment besides an otherwise empty one, configured as an engine would.

    Args:
        flags: what the engine puts before its address under `pulumi --logflow -v=9`.
        listens: whether the engine takes messages.
        background: whether it is started as a shell starts a background job, which ignores SIGINT.
    """
    engine = _Engine()
    server = grpc.server(ThreadPoolExecutor(2))
    if listens:
        engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    started_as = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if background else []
    process = subprocess.Popen(
        [*started_as, sys.executable, "-u", "-W", "error", "-m", "pulumi.dynamic", *flags, f"127.0.0.1:{port}"],
        cwd=ROOT,
        env={**bare_environment(), "GRPC_VERBOSITY": "NONE", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")
    try:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        args = _struct({f"keyfactor:{key}": value for key, value in (config or {}).items()})
        stub.Configure(provider_pb2.ConfigureRequest(args=args), timeout=30, wait_for_ready=True)
        yield Host(stub, engine, process)
    finally:
        channel.close()
        process.terminate()
        process.wait(60)
        process.stdout.close()
        server.stop(None).wait()


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update({key: value for key, value in values.items() if value is not None})
    return made


def _plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(struct)
    return {key: value for key, value in found.items() if key != "__provider"}
