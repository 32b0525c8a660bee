"""The plugin as a process: how it starts, what it refuses, and how soon it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command
from tests.support.pluginhost import COMPLETION, ROOT, Plugin, PluginError, Resource, plugin, start, struct
from tests.support.processes import bare_environment, runs, wait_until

SOON = 1.0
"""Seconds within which the plugin must end, including the check of its parent."""


def ask_version(port: int) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        info = stub.GetPluginInfo(empty_pb2.Empty(), timeout=20, wait_for_ready=True)
        return str(info.version)


@pytest.mark.parametrize(
    "arguments",
    [[], ["127.0.0.1:1"], ["--logtostderr", "-v=9", "--tracing", "127.0.0.1:1"]],
    ids=["attached", "started", "with the engine's flags"],
)
def test_the_plugin_prints_its_port_first(arguments: list[str]) -> None:
    process = start(arguments, {})
    assert process.stdout is not None
    with process.stdout as lines:
        assert ask_version(int(lines.readline())) == RELEASE
        process.send_signal(signal.SIGINT)
        assert (lines.read(), process.wait(10)) == ("", 0)


def test_the_plugin_starts_without_the_sdk_and_without_an_http_client() -> None:
    names = "sorted({'pulumi', 'httpx', 'msgspec', 'yaml'}.intersection(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys, keyfactor_provider.plugin.serving; print({names})"],
        cwd=ROOT,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_the_sdk_can_be_imported_after_the_stubs() -> None:
    code = "import keyfactor_provider.plugin.protocol as p, pulumi; from pulumi.runtime.proto import provider_pb2; "
    code += "assert provider_pb2 is p.provider_pb2; assert pulumi.CustomResource"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=bare_environment(), check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", [False, True], ids=["idle", "while a completion waits"])
def test_a_signal_ends_the_plugin_soon(host: Plugin, command: Command, number: int, waits: bool) -> None:
    waiting = wait_in_background(host, command) if waits else None
    began = time.monotonic()
    host.process.send_signal(number)
    assert host.process.wait(10) == 0
    assert time.monotonic() - began < SOON
    assert waiting is None or waiting.exception(5) is not None


def test_the_end_of_its_parent_ends_the_plugin_soon(tmp_path: Path) -> None:
    script = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'keyfactor_provider.plugin', 'x:1'])"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{script}; print(p.pid, flush=True); p.wait()"],
        cwd=ROOT,
        env={**bare_environment(), "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as lines:
        pid, _port = int(lines.readline()), int(lines.readline())
        began = time.monotonic()
        parent.kill()
        parent.wait()
        wait_until(lambda: not runs(pid, "keyfactor_provider.plugin"), 10)
        assert time.monotonic() - began < SOON


def wait_in_background(host: Plugin, command: Command) -> Any:
    fleet, done = Resource(), Resource(COMPLETION, "done")
    fleet.up(host, orchestratorIds=command.ids(), status="Requested")
    assert fleet.outputs is not None
    inputs = done.check(host, round=fleet.outputs["round"])
    request = provider_pb2.CreateRequest(urn=done.urn, name=done.name, type=done.kind, properties=struct(inputs))
    # gRPC cancels a call without a reference to it, so the caller has to keep this.
    waiting = host.stub.Create.future(request)
    wait_until(lambda: "0 of 6" in host.told("info"))
    return waiting


REFUSED: list[tuple[str, Callable[[], Any]]] = [
    ("Parameterize", provider_pb2.ParameterizeRequest),
    ("Construct", lambda: provider_pb2.ConstructRequest(type="keyfactor:index:Component")),
    ("Call", lambda: provider_pb2.CallRequest(tok="keyfactor:index:Fleet/method")),
    ("GetMapping", provider_pb2.GetMappingRequest),
    ("GetMappings", provider_pb2.GetMappingsRequest),
    ("Check", lambda: provider_pb2.CheckRequest(urn="urn:pulumi:dev::p::keyfactor:index:Other::x")),
]


@pytest.mark.parametrize(("method", "request_"), REFUSED, ids=[name for name, _ in REFUSED])
def test_missing_features_are_refused_by_name(reader: Plugin, method: str, request_: Callable[[], Any]) -> None:
    with pytest.raises(PluginError, match="the package keyfactor") as refused:
        reader.ask(method, request_())
    assert refused.value.code == "UNIMPLEMENTED"


def test_an_engine_may_attach_later(shared: Command) -> None:
    with plugin(shared.environment()) as host:
        port = host.engine
        host.ask("Attach", plugin_pb2.PluginAttach(address="127.0.0.1:1"))
        # Nothing listens there: messages are lost, but nothing fails.
        Resource().preview(host, orchestratorIds=shared.ids(), status="Requested")
        assert port.told == []


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without the SDK there is one line that says what to install."""
    for name in ("grpc", "google", "msgspec"):
        spec = find_spec(name)
        assert spec is not None
        source = next(iter(spec.submodule_search_locations or ()))
        (tmp_path / name).symlink_to(source)
    ran = subprocess.run(
        [sys.executable, "-S", "-c", "import keyfactor_provider.plugin.protocol"],
        cwd=ROOT,
        env={**bare_environment(), "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "keyfactor-provider[plugin]" in ran.stderr) == (1, True)


def test_the_version_is_that_of_the_package() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "keyfactor_provider.plugin", "--version"], cwd=ROOT, capture_output=True, check=True
    )
    assert ran.stdout.decode().strip() == RELEASE


def test_a_defect_of_the_plugin_is_one_line_without_values(reader: Plugin) -> None:
    fleet = Resource(inputs={}, outputs={"recordVersion": 2, "members": json.dumps("secret-text")}, id="edge")
    with pytest.raises(PluginError) as failed:
        fleet.diff(reader, {"orchestratorIds": ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"], "status": "Requested"})
    assert "\n" not in str(failed.value)
    assert "secret-text" not in str(failed.value)
