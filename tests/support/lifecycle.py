"""Runs one resource in the SDK's provider host, without an engine."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import struct_pb2
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from keyfactor_provider.dynamic import ReenrollmentProvider
from tests.support.pluginhost import UNKNOWN, EngineLog, raw, struct
from tests.support.processes import bare_environment

__all__ = ["UNKNOWN"]

ROOT = Path(__file__).resolve().parents[2]
URN = "urn:pulumi:dev::fleets::pulumi-python:dynamic/keyfactor:OrchestratorReenrollment::edge"


class HostError(Exception):
    """An operation failed; the text is what an engine would show."""


@dataclass
class Host:
    """A running provider host.

    Attributes:
        inputs: the recorded inputs of the resource.
        outputs: its recorded outputs.
        timeout: seconds of `custom_timeouts` for each create, update and delete; 0 for none.
    """

    stub: Any
    engine: EngineLog
    process: "subprocess.Popen[str]"
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    timeout: float = 0

    @property
    def said(self) -> str:
        """All messages to the engine."""
        return "\n".join(self.engine.said)

    def check(
        self, news: Mapping[str, Any], *, preview: bool = True, name: str = "edge"
    ) -> tuple[dict[str, Any], list[str]]:
        """The checked inputs, and the failures as an engine would show them."""
        raw = {"fleet": name, "run": {"preview": True} if preview else {}, **news}
        request = provider_pb2.CheckRequest(urn=URN, olds=struct(self.inputs), news=self._with_provider(raw))
        answer = self._ask(self.stub.Check, request)
        return _plain(answer.inputs), [f"{failure.property}: {failure.reason}" for failure in answer.failures]

    def diff(self, inputs: Mapping[str, Any]) -> bool:
        """Whether the resource would be updated."""
        request = provider_pb2.DiffRequest(
            id="edge", urn=URN, olds=self._with_provider(self.outputs), news=self._with_provider(inputs)
        )
        answer = self._ask(self.stub.Diff, request)
        # Where the answer is unknown, an engine compares the inputs.
        return bool(answer.changes != provider_pb2.DiffResponse.DIFF_NONE)

    def up(self, **news: Any) -> dict[str, Any]:
        """A preview and a run: check, diff, then create or update if there is a change."""
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
        """The outputs after an update."""
        request = provider_pb2.UpdateRequest(
            id="edge",
            urn=URN,
            olds=self._with_provider(self.outputs),
            news=self._with_provider(inputs),
            timeout=self.timeout,
        )
        return _plain(self._ask(self.stub.Update, request).properties)

    def refresh(self) -> dict[str, Any]:
        """Read, and record the outputs and inputs."""
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
        return struct({**properties, "__provider": serialize_provider(ReenrollmentProvider())})

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
    """A provider host with a minimal environment plus this one, configured as by an engine.

    Args:
        flags: that the engine puts before its address under `pulumi --logflow -v=9`.
        listens: whether the engine accepts messages.
        background: whether it starts as a shell starts a background job, which ignores SIGINT.
    """
    engine = EngineLog()
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
        args = struct({f"keyfactor:{key}": value for key, value in (config or {}).items()})
        stub.Configure(provider_pb2.ConfigureRequest(args=args), timeout=30, wait_for_ready=True)
        yield Host(stub, engine, process)
    finally:
        channel.close()
        process.terminate()
        process.wait(60)
        process.stdout.close()
        server.stop(None).wait()


def _plain(properties: struct_pb2.Struct) -> dict[str, Any]:
    return {key: value for key, value in raw(properties).items() if key != "__provider"}
