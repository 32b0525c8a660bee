"""A run leaves no secret in the state, stdout and stderr, with every log at its most verbose level."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from keyfactor_standins.engine.secrets import Vault
from tests.crash import processes
from tests.secrecy.canaries import (
    CLIENT_SECRET,
    FETCHED_TOKEN,
    PASSPHRASE,
    SENT,
    environment,
    planted,
    settings,
    traces,
    traces_on_disk,
)
from tests.support.lifecycle import HostError, host
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, ROOT, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

TALKATIVE = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
"""

PROGRAM = """
import os

import pulumi
from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion, orchestrators
from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import load
from keyfactor_provider.dynamic.program import Run

found = orchestrators(machine="edge-*", at_least=1)
edge = OrchestratorReenrollment("edge", orchestrator_ids=found.ids, status="Requested")
done = ReenrollmentCompletion("done", fleet=edge, timeout=1)
settings = load(pulumi.Config("keyfactor").get, os.environ)
pulumi.log.info(f"{found!r} {vars(edge)!r} {vars(Run.current())!r} {settings!r} {vars(CommandClient(settings))!r}")
edge.members.apply(lambda members: pulumi.log.info(f"{members}"))
"""

SECRET_KEYS = ("password", "clientSecret", "accessToken")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    folder = tmp_path / "command"
    folder.mkdir()
    with planted(folder) as command:
        yield command


def stack_with(command: Command, engine: str, folder: Path, method: str, *, in_config: bool) -> Stack:
    """A stack whose program and provider log everything, with the secrets in the config or the environment."""
    extra = {} if in_config else environment(command, method)
    stack = Stack(engine, folder / "stack", command, {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, **extra})
    for name in command.environment().keys() - extra.keys():
        del stack.environment[name]
    talkative = folder / "talkative"
    talkative.mkdir()
    (talkative / "sitecustomize.py").write_text(TALKATIVE)
    stack.environment["PYTHONPATH"] = f"{talkative}:{ROOT}"
    (stack.folder / "__main__.py").write_text(PROGRAM)
    if in_config:
        configure(stack, settings(command, method))
    return stack


def configure(stack: Stack, values: dict[str, str]) -> None:
    """Set the stack's config as `pulumi config set` does, secrets with `--secret`."""
    if stack.engine == "pulumi":
        for key, value in values.items():
            where = ["--stack", stack.name, "--cwd", str(stack.folder)]
            kind = ["--secret"] if key in SECRET_KEYS else ["--plaintext"]
            line = ["pulumi", "config", "set", *where, *kind, f"keyfactor:{key}", value]
            subprocess.run(line, env=stack.environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return
    vault = Vault(PASSPHRASE, None)
    config = {
        f"keyfactor:{key}": {"secure": vault.encrypt(value)} if key in SECRET_KEYS else value
        for key, value in values.items()
    }
    (stack.folder / f"Pulumi.{stack.name}.yaml").write_text(
        json.dumps({"encryptionsalt": vault.salt, "config": config}),
    )


@pytest.mark.parametrize(
    ("engine", "method", "in_config"),
    [
        ("standin", "basic", False),
        ("standin", "oauth", True),
        pytest.param("standin", "token", True, marks=pytest.mark.long),
        pytest.param(*("pulumi", "basic", True), marks=pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)),
    ],
)
def test_no_run_tells_a_secret(command: Command, tmp_path: Path, engine: str, method: str, in_config: bool) -> None:
    stack = stack_with(command, engine, tmp_path, method, in_config=in_config)
    edge = [agent["agent_id"] for agent in command.agents() if agent["client_machine"].startswith("edge")]
    sent = [text for text in SENT[method] if FETCHED_TOKEN not in text]
    echo = {"act": "status", "status": 400, "body": json.dumps({"Message": " ".join(sent)})}

    ran = stack.run("up", "--with-preview", "--yes")
    assert ran.exit_code == 1
    assert ran.says("done: not complete after 1 s", "HTTP Request: GET")
    outputs = [ran.text]

    command.faults(faults=[{"on": "POST /Agents/Set", **echo}])
    stack.later(minutes=2)
    command.world(change={agent_id: {"flag": 0} for agent_id in edge})
    ran = stack.run("up", "--refresh")
    assert ran.exit_code == 1
    assert ran.says("400, [secret]")
    assert "[secret]" in json.dumps(stack.trace[-1])
    outputs.append(ran.text)

    command.faults(faults=[{"on": "GET /Agents", **echo}])
    ran = stack.run("refresh")
    assert ran.says("400, [secret]")
    outputs.append(ran.text)

    command.faults(faults=[])
    outputs.append(killed(stack, command))
    outputs.append(stack.run("destroy").text)

    assert traces("\n".join(outputs)) == []
    assert traces(json.dumps(stack.trace, default=str)) == []
    assert traces_on_disk(stack.folder) == []


def killed(stack: Stack, command: Command) -> str:
    """The output of an `up` that is killed halfway, after its files were searched for secrets."""
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "delay", "seconds": 2}])
    before = len(command.posts())
    with stack.started() as engine:
        until = time.monotonic() + 30
        while len(command.posts()) == before and engine.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        if stack.engine == "standin":
            assert list(stack.folder.rglob("stacks/*/*.json"))
        assert traces_on_disk(stack.folder) == []
        engine.send_signal(signal.SIGKILL if stack.engine == "standin" else signal.SIGINT)
        output, _ = engine.communicate()
    processes.wait_for_none(stack.folder)
    command.faults(faults=[])
    return output


ANSWERS: dict[str, dict[str, Any]] = {
    "401": {"act": "status", "status": 401, "body": '{"Message": "ECHO"}'},
    "403": {"act": "status", "status": 403, "body": '{"ErrorCode": "0xA0140002", "Message": "ECHO"}'},
    "500": {"act": "status", "status": 500, "body": '{"Message": "ECHO"}'},
    "a page": {"act": "status", "status": 502, "body": "<html>ECHO</html>", "content_type": "text/html"},
    "a redirect": {"act": "redirect", "to": "https://user:ECHO@elsewhere.example.com/?ECHO"},
    "half a JSON": {"act": "body", "body": '[{"AgentId": "ECHO"'},
    "another GUID": {"act": "body", "body": '{"FailedOrchestratorIds": ["ECHO"]}'},
}


@pytest.mark.parametrize("on", ["GET /Agents", "POST /Agents", "POST /identity"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_operation_of_the_provider_tells_a_secret(command: Command, on: str, answer: str) -> None:
    method = "oauth" if "identity" in on else "basic"
    body = {
        name: value.replace("ECHO", json.dumps(SENT[method][0])[1:-1]) if isinstance(value, str) else value
        for name, value in ANSWERS[answer].items()
    }
    desired = {"orchestrator_ids": command.ids()[:6], "status": "Requested"}
    command.faults(faults=[{"on": on, **body}])
    with host(environment(command, method)) as running:
        state = running.up(**desired)
        assert state["trouble"]
        said = [json.dumps(state)]
        for act in (running.refresh, running.destroy):
            try:
                act()
            except HostError as error:
                said.append(str(error))
        assert traces("\n".join([*said, running.said])) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"KEYFACTOR_USERNAME": "svc:canary"},
        {"KEYFACTOR_HOSTNAME": "https://svc:canary@keyfactor.example.com"},
        {"KEYFACTOR_AUTH_CLIENT_SECRET": CLIENT_SECRET},
        {"HTTPS_PROXY": "http://user:canary@127.0.0.1:port", "KEYFACTOR_HOSTNAME": "keyfactor.example.com"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_setting_that_is_refused_in_preview_is_named_without_any_secret(
    command: Command, wrong: dict[str, str]
) -> None:
    with host(environment(command, "basic") | wrong) as running:
        _, failures = running.check({"orchestrator_ids": command.ids()[:1], "status": "Requested"})
        assert len(failures) == 1
        assert traces("\n".join([*failures, running.said])) == []
