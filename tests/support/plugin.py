"""Drives the Terraform plugin over its protocol, without Terraform but as strict as it."""

import base64
import json
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import msgpack
from tf.gen import grpc_controller_pb2, grpc_controller_pb2_grpc
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from keyfactor_standins.command.process import Command
from tests.support.processes import bare_environment

ROOT = Path(__file__).resolve().parents[2]
FLEET = "keyfactorcommand_orchestrator_reenrollment"
COMPLETION = "keyfactorcommand_reenrollment_completion"
ONE = "keyfactorcommand_orchestrator"
MANY = "keyfactorcommand_orchestrators"
GHOST = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
"""A GUID of no orchestrator in any test."""
COOKIE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}

UNKNOWN = msgpack.ExtType(0, b"\x00")
"""Terraform's form of an unknown value."""
NOT_NULL = msgpack.ExtType(12, msgpack.packb({1: False}))
"""The same for a value that is known not to be null (go-cty: refinements)."""


@dataclass(frozen=True)
class Said:
    """A diagnostic."""

    severity: str
    summary: str
    detail: str
    path: str

    def __str__(self) -> str:
        where = f" [{self.path}]" if self.path else ""
        return f"{self.severity}{where}: {self.summary}: {self.detail}"


class PluginError(Exception):
    """A call returned errors; the text has all of them."""


@dataclass
class Plan:
    """A planned change of one resource."""

    kind: str
    prior: dict[str, Any] | None
    state: dict[str, Any] | None
    private: bytes
    said: list[Said]

    @property
    def changes(self) -> bool:
        """Whether Terraform would call apply."""
        return bool(_sorted(self.prior) != _sorted(self.state))


@dataclass
class Plugin:
    """A running plugin process.

    Attributes:
        log: the lines on its stderr.
        said: the diagnostics of the last call.
    """

    process: "subprocess.Popen[str]"
    channel: Any
    log: list[str]
    handshake: str
    said: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stub = rpc.ProviderStub(self.channel)
        self.schema = self.stub.GetProviderSchema(pb.GetProviderSchema.Request(), timeout=30, wait_for_ready=True)

    def configure(self, **config: Any) -> list[Said]:
        """Validate and configure the provider block, as Terraform does before every walk."""
        value = _value(self._filled(self.schema.provider, config))
        self._answer(self.stub.ValidateProviderConfig(pb.ValidateProviderConfig.Request(config=value), timeout=30))
        answer = self.stub.ConfigureProvider(
            pb.ConfigureProvider.Request(terraform_version="1.11.4", config=value), timeout=60
        )
        return self._answer(answer)

    def validate(self, kind: str, **config: Any) -> list[Said]:
        """The diagnostics for a block; errors are not raised."""
        if kind in self.schema.data_source_schemas:
            value = _value(self._filled(self.schema.data_source_schemas[kind], config))
            request = pb.ValidateDataResourceConfig.Request(type_name=kind, config=value)
            return _said(self.stub.ValidateDataResourceConfig(request, timeout=30))
        value = _value(self._filled(self.schema.resource_schemas[kind], config))
        return _said(self.stub.ValidateResourceConfig(pb.ValidateResourceConfig.Request(type_name=kind, config=value)))

    def plan(
        self, kind: str, prior: Mapping[str, Any] | None, config: Mapping[str, Any] | None, private: bytes = b""
    ) -> Plan:
        """A planned creation, update (with a prior state) or destruction (without a config)."""
        before = dict(prior) if prior is not None else None
        filled = None if config is None else self._filled(self.schema.resource_schemas[kind], config)
        request = pb.PlanResourceChange.Request(
            type_name=kind,
            prior_state=_value(before),
            config=_value(filled),
            proposed_new_state=_value(self._proposed(kind, before, filled)),
            prior_private=private,
        )
        answer = self.stub.PlanResourceChange(request, timeout=60)
        said = self._answer(answer)
        state = _plain(answer.planned_state)
        if filled is not None:
            self._check_planned(kind, before, filled, state)
        return Plan(kind, before, state, answer.planned_private, said)

    def apply(self, plan: Plan, **known: Any) -> dict[str, Any] | None:
        """Carry out a plan; returns the new state.

        Raises:
            PluginError: it failed; `state` of the error is what Terraform would keep.
        """
        planned = plan.state
        request = pb.ApplyResourceChange.Request(
            type_name=plan.kind,
            prior_state=_value(plan.prior),
            planned_state=_value(planned),
            config=_value(known or None),
            planned_private=plan.private,
        )
        answer = self.stub.ApplyResourceChange(request, timeout=120)
        state: dict[str, Any] | None = _plain(answer.new_state)
        try:
            self._answer(answer)
        except PluginError as error:
            error.state = state  # type: ignore[attr-defined]
            raise
        if planned is not None:
            _check_result(planned, state)
        return state

    def read(self, kind: str, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state after an upgrade and a refresh."""
        raw = pb.RawState(json=json.dumps(state).encode())
        version = self.schema.resource_schemas[kind].version
        upgraded = self.stub.UpgradeResourceState(
            pb.UpgradeResourceState.Request(type_name=kind, version=version, raw_state=raw), timeout=30
        )
        self._answer(upgraded)
        request = pb.ReadResource.Request(type_name=kind, current_state=upgraded.upgraded_state)
        answer = self.stub.ReadResource(request, timeout=60)
        self._answer(answer)
        refreshed: dict[str, Any] = _plain(answer.new_state)
        return refreshed

    def take(self, kind: str, import_id: str) -> dict[str, Any]:
        """An import and the read after it."""
        request = pb.ImportResourceState.Request(type_name=kind, id=import_id)
        answer = self.stub.ImportResourceState(request, timeout=60)
        self._answer(answer)
        return self.read(kind, _plain(answer.imported_resources[0].state))

    def data(self, kind: str, **config: Any) -> dict[str, Any]:
        """The state of a data source."""
        value = _value(self._filled(self.schema.data_source_schemas[kind], config))
        answer = self.stub.ReadDataSource(pb.ReadDataSource.Request(type_name=kind, config=value), timeout=60)
        self._answer(answer)
        state: dict[str, Any] = _plain(answer.state)
        return state

    def stop(self) -> None:
        """Send what Terraform sends on Ctrl-C."""
        self.stub.StopProvider(pb.StopProvider.Request(), timeout=10)

    def shut_down(self) -> int:
        """End it as Terraform does; returns its exit code."""
        grpc_controller_pb2_grpc.GRPCControllerStub(self.channel).Shutdown(grpc_controller_pb2.Empty(), timeout=10)
        return self.process.wait(10)

    def _answer(self, answer: Any) -> list[Said]:
        self.said = _said(answer)
        if any(diagnostic.severity == "error" for diagnostic in self.said):
            raise PluginError("\n".join(map(str, self.said)))
        return self.said

    @staticmethod
    def _filled(schema: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        names = [attribute.name for attribute in schema.block.attributes]
        assert set(config) <= set(names), set(config) - set(names)
        return {name: config.get(name) for name in names}

    def _proposed(self, kind: str, prior: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> Any:
        """The proposed state, in which computed values are unchanged (terraform: objchange.ProposedNew)."""
        if config is None:
            return None
        computed = self._computed(kind)
        return {name: (prior or {}).get(name) if name in computed else value for name, value in config.items()}

    def _computed(self, kind: str) -> set[str]:
        attributes = self.schema.resource_schemas[kind].block.attributes
        return {attribute.name for attribute in attributes if attribute.computed}

    def _check_planned(self, kind: str, prior: Any, config: Any, planned: Any) -> None:
        """Terraform: objchange.AssertPlanValid."""
        for name in set(config) - self._computed(kind):
            keeps = prior is not None and prior[name] is not None and config[name] is not None
            accepted = [_sorted(config[name]), *([_sorted(prior[name])] if keeps else [])]
            assert _sorted(planned[name]) in accepted, f"invalid plan for {name}: {planned[name]}"


@contextmanager
def plugin(environment: Mapping[str, str], *, configured: bool = True) -> Iterator[Plugin]:
    """A plugin process with a minimal environment plus this one.

    Raises:
        RuntimeError: it did not serve; the text is its stderr.
    """
    with (
        # Otherwise it would take another plugin of this test for a process of the same Terraform run.
        TemporaryDirectory(dir="/tmp") as temporary,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "keyfactor_provider.terraform"],
            cwd=ROOT,
            env={**bare_environment(), **COOKIE, "TMPDIR": temporary, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        handshake = process.stdout.readline().strip()
        if not handshake:
            raise RuntimeError(process.communicate(timeout=10)[1])
        log: list[str] = []
        reader = threading.Thread(target=_collect, args=(process.stderr, log))
        reader.start()
        try:
            with _channel(handshake) as channel:
                running = Plugin(process, channel, log, handshake)
                if configured:
                    running.configure()
                yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join(10)


def _collect(stream: Any, lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)


def _channel(handshake: str) -> Any:
    _, _, _, address, _, certificate = handshake.split("|")
    pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(certificate + "=" * (-len(certificate) % 4)))
    options = (
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    )
    return grpc.secure_channel(f"unix://{address}", grpc.ssl_channel_credentials(pem.encode()), options)


def time_passes(command: Command, seconds: float = 61) -> None:
    """Advance Command's clock, by default so far that no reading is stale."""
    command.world(now=(command.now() + timedelta(seconds=seconds)).isoformat())


class Resource:
    """One resource over several runs, with the calls that Terraform makes in each command."""

    def __init__(self, kind: str = FLEET) -> None:
        self.kind = kind
        self.state: dict[str, Any] | None = None
        self.said: list[Said] = []

    def refresh(self, running: Plugin) -> None:
        """Read it."""
        if self.state is not None:
            self.state = running.read(self.kind, self.state)

    def plan(self, running: Plugin, **config: Any) -> Plan:
        """A refresh and a plan."""
        self.refresh(running)
        return running.plan(self.kind, self.state, config)

    def up(self, running: Plugin, **config: Any) -> Plan:
        """Plan and apply; a failed apply leaves its errors in `said` and the state that Terraform would keep."""
        plan = self.plan(running, **config)
        if not plan.changes:
            return plan
        # Terraform plans again before it applies, and rejects a plan that contradicts the first one. It does so in
        # another process; here the private data says that it is the same resource.
        again = running.plan(self.kind, self.state, config, plan.private if self.state is None else b"")
        assert plan.state is not None
        _check_result(plan.state, again.state)
        try:
            self.state = running.apply(again)
            self.said = running.said
        except PluginError as error:
            self.state, self.said = error.state, running.said  # type: ignore[attr-defined]
        return plan

    def destroy(self, running: Plugin) -> None:
        """A refresh and a planned destruction."""
        self.refresh(running)
        self.state = running.apply(running.plan(self.kind, self.state, None))

    def phases(self) -> dict[str, str]:
        """The recorded phase of each member."""
        members = (self.state or {"members": {}})["members"]
        return {member_id: member["phase"] for member_id, member in members.items()}

    def heard(self) -> str:
        """The diagnostics of the last apply as text."""
        return "\n".join(map(str, self.said))


def _check_result(planned: Any, actual: Any, path: str = "") -> None:
    """Assert that known values of a plan are in the result (terraform: objchange.AssertObjectCompatible)."""
    if planned == UNKNOWN:
        return
    if isinstance(planned, dict):
        assert isinstance(actual, dict), f"{path}: {actual}"
        assert planned.keys() == actual.keys(), f"{path}: {planned.keys() ^ actual.keys()}"
        for name, value in planned.items():
            _check_result(value, actual[name], f"{path}.{name}")
        return
    assert _sorted(planned) == _sorted(actual), f"inconsistent result for {path}: {planned} became {actual}"


def _sorted(value: Any) -> Any:
    """The value with its lists sorted, since all lists here are sets in Terraform."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    return sorted(value, key=str) if isinstance(value, list) else value


def _value(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def _plain(value: Any) -> Any:
    return msgpack.unpackb(value.msgpack) if value.msgpack else None


def _said(answer: Any) -> list[Said]:
    names = {pb.Diagnostic.ERROR: "error", pb.Diagnostic.WARNING: "warning"}
    return [
        Said(
            names[diagnostic.severity],
            diagnostic.summary,
            diagnostic.detail,
            "".join(
                step.attribute_name or f"[{step.element_key_string or step.element_key_int!r}]"
                for step in diagnostic.attribute.steps
            ),
        )
        for diagnostic in answer.diagnostics
    ]
