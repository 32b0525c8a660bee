"""The Terraform plugin driven over its own protocol, without Terraform; strict where Terraform is."""

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
"""A GUID that no orchestrator of a test has."""
COOKIE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}

UNKNOWN = msgpack.ExtType(0, b"\x00")
"""How Terraform sends what it does not know yet."""
NOT_NULL = msgpack.ExtType(12, msgpack.packb({1: False}))
"""The same, with the knowledge that it will not be null (go-cty: refinements)."""


@dataclass(frozen=True)
class Said:
    """A diagnostic as Terraform gets it."""

    severity: str
    summary: str
    detail: str
    path: str

    def __str__(self) -> str:
        where = f" [{self.path}]" if self.path else ""
        return f"{self.severity}{where}: {self.summary}: {self.detail}"


class PluginError(Exception):
    """A call was answered with errors; the text has them all."""


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
        log: the lines on its stderr so far.
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
        """Validates the provider block and takes it; both as before every walk of Terraform's."""
        value = _value(self._filled(self.schema.provider, config))
        self._answer(self.stub.ValidateProviderConfig(pb.ValidateProviderConfig.Request(config=value), timeout=30))
        answer = self.stub.ConfigureProvider(
            pb.ConfigureProvider.Request(terraform_version="1.11.4", config=value), timeout=60
        )
        return self._answer(answer)

    def validate(self, kind: str, **config: Any) -> list[Said]:
        """What Terraform would be told of a block; errors are not raised."""
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
        given = None if config is None else self._filled(self.schema.resource_schemas[kind], config)
        request = pb.PlanResourceChange.Request(
            type_name=kind,
            prior_state=_value(before),
            config=_value(given),
            proposed_new_state=_value(self._proposed(kind, before, given)),
            prior_private=private,
        )
        answer = self.stub.PlanResourceChange(request, timeout=60)
        said = self._answer(answer)
        state = _plain(answer.planned_state)
        if given is not None:
            self._check_planned(kind, before, given, state)
        return Plan(kind, before, state, answer.planned_private, said)

    def apply(self, plan: Plan, **known: Any) -> dict[str, Any] | None:
        """Carries a plan out; the new state.

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
        """What a refresh makes of a state, through the upgrade that Terraform calls before it."""
        raw = pb.RawState(json=json.dumps(state).encode())
        version = self.schema.resource_schemas[kind].version
        upgraded = self.stub.UpgradeResourceState(
            pb.UpgradeResourceState.Request(type_name=kind, version=version, raw_state=raw), timeout=30
        )
        self._answer(upgraded)
        request = pb.ReadResource.Request(type_name=kind, current_state=upgraded.upgraded_state)
        answer = self.stub.ReadResource(request, timeout=60)
        self._answer(answer)
        found: dict[str, Any] = _plain(answer.new_state)
        return found

    def take(self, kind: str, import_id: str) -> dict[str, Any]:
        """An import, with the reading that follows."""
        request = pb.ImportResourceState.Request(type_name=kind, id=import_id)
        answer = self.stub.ImportResourceState(request, timeout=60)
        self._answer(answer)
        return self.read(kind, _plain(answer.imported_resources[0].state))

    def data(self, kind: str, **config: Any) -> dict[str, Any]:
        """What a data source gives."""
        value = _value(self._filled(self.schema.data_source_schemas[kind], config))
        answer = self.stub.ReadDataSource(pb.ReadDataSource.Request(type_name=kind, config=value), timeout=60)
        self._answer(answer)
        found: dict[str, Any] = _plain(answer.state)
        return found

    def stop(self) -> None:
        """What Terraform sends on Ctrl-C."""
        self.stub.StopProvider(pb.StopProvider.Request(), timeout=10)

    def shut_down(self) -> int:
        """As Terraform ends it; its exit code."""
        grpc_controller_pb2_grpc.GRPCControllerStub(self.channel).Shutdown(grpc_controller_pb2.Empty(), timeout=10)
        return self.process.wait(10)

    def _answer(self, answer: Any) -> list[Said]:
        self.said = _said(answer)
        if any(each.severity == "error" for each in self.said):
            raise PluginError("\n".join(map(str, self.said)))
        return self.said

    @staticmethod
    def _filled(schema: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        names = [attribute.name for attribute in schema.block.attributes]
        assert set(config) <= set(names), set(config) - set(names)
        return {name: config.get(name) for name in names}

    def _proposed(self, kind: str, prior: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> Any:
        """As Terraform proposes it: computed values stay as they were (terraform: objchange.ProposedNew)."""
        if config is None:
            return None
        computed = self._computed(kind)
        return {name: (prior or {}).get(name) if name in computed else value for name, value in config.items()}

    def _computed(self, kind: str) -> set[str]:
        return {each.name for each in self.schema.resource_schemas[kind].block.attributes if each.computed}

    def _check_planned(self, kind: str, prior: Any, config: Any, planned: Any) -> None:
        """Terraform: objchange.AssertPlanValid."""
        for name in set(config) - self._computed(kind):
            keeps = prior is not None and prior[name] is not None and config[name] is not None
            accepted = [_sorted(config[name]), *([_sorted(prior[name])] if keeps else [])]
            assert _sorted(planned[name]) in accepted, f"invalid plan for {name}: {planned[name]}"


@contextmanager
def plugin(environment: Mapping[str, str], *, configured: bool = True) -> Iterator[Plugin]:
    """A plugin process with this environment besides an otherwise empty one.

    Raises:
        RuntimeError: it did not serve; has what it said instead.
    """
    with (
        # Or it would take another plugin of the same test for a process of the same Terraform.
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
    """Lets time pass on a Command's clock: by default as much as makes every reading of its a fresh one."""
    command.world(now=(command.now() + timedelta(seconds=seconds)).isoformat())


class Resource:
    """One resource over several runs: its state, and what Terraform does with it in a plan and an apply."""

    def __init__(self, kind: str = FLEET) -> None:
        self.kind = kind
        self.state: dict[str, Any] | None = None
        self.said: list[Said] = []

    def refresh(self, running: Plugin) -> None:
        """Reads it."""
        if self.state is not None:
            self.state = running.read(self.kind, self.state)

    def plan(self, running: Plugin, **config: Any) -> Plan:
        """A refresh and a plan."""
        self.refresh(running)
        return running.plan(self.kind, self.state, config)

    def up(self, running: Plugin, **config: Any) -> Plan:
        """A whole run; a failed apply leaves its errors in `said` and the state that Terraform would keep."""
        plan = self.plan(running, **config)
        if not plan.changes:
            return plan
        # Terraform plans once more before it applies, and takes nothing that contradicts the first plan.
        # It does so in another process; in this one the private data says that it is the same resource.
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
        """A refresh, and a destruction as planned."""
        self.refresh(running)
        self.state = running.apply(running.plan(self.kind, self.state, None))

    def phases(self) -> dict[str, str]:
        """The recorded phase of each member."""
        return {member_id: each["phase"] for member_id, each in (self.state or {"members": {}})["members"].items()}

    def heard(self) -> str:
        """What the last apply said."""
        return "\n".join(map(str, self.said))


def _check_result(planned: Any, actual: Any, path: str = "") -> None:
    """Terraform: objchange.AssertObjectCompatible; what a plan knows must come true."""
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
    """With every list in one order: all lists here that Terraform compares are sets."""
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
            names[each.severity],
            each.summary,
            each.detail,
            "".join(
                step.attribute_name or f"[{step.element_key_string or step.element_key_int!r}]"
                for step in each.attribute.steps
            ),
        )
        for each in answer.diagnostics
    ]
