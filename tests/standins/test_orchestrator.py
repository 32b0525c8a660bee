"""The stand-ins for orchestrators: the life of one, and a fleet in a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from keyfactor_standins.orchestrator.orchestrator import Orchestrator
from tests.support.processes import runs, wait_until

ROOT = Path(__file__).resolve().parents[2]
LINE = [sys.executable, "-m", "keyfactor_standins.orchestrator"]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module", params=[[], ["--tls"]], ids=["http", "https"])
def either(request: pytest.FixtureRequest) -> Iterator[Command]:
    """A Command that sees certificates in a header, and one that sees them in TLS."""
    with running("--orchestrators", "0", *request.param) as command:
        yield command


def made(command: Command, **more: Any) -> Orchestrator:
    login = f"{command.said['domain']}\\{command.said['username']}", command.said["password"]
    return Orchestrator(command.said["agents_url"], login, "edge", ca=command.said.get("ca_cert", ""), **more)


def shown(command: Command, agent_id: str) -> dict[str, Any]:
    return next(agent for agent in command.agents() if agent["agent_id"] == agent_id)


def certificates(command: Command, agent_id: str) -> tuple[Any, Any, Any]:
    """The thumbprints in the API: expected, previous, last used."""
    agent = shown(command, agent_id)
    return agent["thumbprint"], agent["legacy_thumbprint"], agent["last_thumbprint_used"]


@pytest.fixture
def approved(either: Command) -> Iterator[Orchestrator]:
    orchestrator = made(either)
    orchestrator.session()
    either.world(approve=[orchestrator.agent_id])
    yield orchestrator
    orchestrator.close()


def test_it_registers_and_waits_for_its_approval(either: Command) -> None:
    orchestrator = made(either)
    assert orchestrator.session() == f"registered, certificate {orchestrator.thumbprint[:12]}"
    assert certificates(either, orchestrator.agent_id) == (orchestrator.thumbprint, None, orchestrator.thumbprint)
    assert orchestrator.session() == "no session: The orchestrator is not approved."
    either.world(approve=[orchestrator.agent_id])
    assert orchestrator.session() == "in session"
    orchestrator.close()


@pytest.mark.parametrize("flag", [1, 2])
def test_it_enrolls_with_a_new_key_when_it_is_told_to_and_presents_what_it_got(
    either: Command, approved: Orchestrator, flag: int
) -> None:
    old = approved.certificate
    either.world(change={approved.agent_id: {"flag": flag}})
    assert approved.session() == f"re-enrolled, certificate {approved.thumbprint[:12]}"
    assert old is not None
    assert approved.certificate is not None
    assert approved.certificate.public_key() != old.public_key()
    assert certificates(either, approved.agent_id) == (approved.thumbprint, None, approved.thumbprint)
    assert shown(either, approved.agent_id)["flag"] == 0
    assert approved.session() == "in session"


def test_one_that_fails_registers_but_can_not_renew(either: Command) -> None:
    orchestrator = made(either, failing=True)
    orchestrator.session()
    first = orchestrator.thumbprint
    either.world(approve=[orchestrator.agent_id], change={orchestrator.agent_id: {"flag": 2}})
    assert orchestrator.session() == "could not enroll: The CSR can't be read."
    agent = shown(either, orchestrator.agent_id)
    assert (agent["flag"], agent["thumbprint"], orchestrator.thumbprint) == (2, first, first)
    assert agent["last_error_message"] == "The CSR can't be read."
    orchestrator.close()


def environment(command: Command, **changed: str) -> dict[str, str]:
    return {**os.environ, **command.environment(), "AGENTS_URL": command.said["agents_url"], **changed}


def fleet(command: Command, *arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LINE, *arguments],
        cwd=ROOT,
        env=environment(command, **changed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_fleet_registers_in_one_process(command: Command) -> None:
    before = set(command.ids())
    ran = fleet(command, "--register", "3", "--name", "site", "--once")
    assert ran.returncode == 0, ran.stderr
    new = [agent for agent in command.agents() if agent["agent_id"] not in before]
    assert sorted(agent["client_machine"] for agent in new) == ["site-001", "site-002", "site-003"]
    assert sorted(line.split()[1].rstrip(":") for line in ran.stdout.splitlines()) == [
        agent["agent_id"] for agent in new
    ]


def test_an_adopted_fleet_renews_but_for_those_that_fail(command: Command) -> None:
    ids = command.world(populate=4)
    before = {each: shown(command, each)["thumbprint"] for each in ids}
    command.world(change={each: {"flag": 1} for each in ids})
    adopted = [f"{each}={shown(command, each)['client_machine']}" for each in ids]
    ran = fleet(command, "--adopt", *adopted, "--failing", adopted[2].partition("=")[2], "--once")
    assert ran.returncode == 0, ran.stderr
    said = [line.split(": ", 1)[1].split(",")[0] for line in ran.stdout.splitlines()]
    assert said == ["re-enrolled", "re-enrolled", "could not enroll: The CSR can't be read.", "re-enrolled"]
    renewed = [each for each in ids if shown(command, each)["thumbprint"] != before[each]]
    assert renewed == [ids[0], ids[1], ids[3]]
    flags = command.flags()
    assert [flags[each] for each in ids] == ["None", "None", "Requested", "None"]


def test_it_goes_on_until_sigterm_and_sees_a_flag_that_comes_later(command: Command) -> None:
    (agent_id,) = command.world(populate=1)
    before = shown(command, agent_id)["thumbprint"]
    with subprocess.Popen(
        [*LINE, "--adopt", f"{agent_id}=edge", "--every", "0.05"],
        cwd=ROOT,
        env=environment(command),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"edge {agent_id}: in session\n"
        command.world(change={agent_id: {"flag": 2}})
        wait_until(lambda: shown(command, agent_id)["thumbprint"] != before)
        assert process.stdout.readline().startswith(f"edge {agent_id}: re-enrolled")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_ends_with_its_parent(command: Command) -> None:
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", starter, *LINE, "--register", "1", "--every", "0.05"],
        cwd=ROOT,
        env=environment(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert "registered" in parent.stdout.readline()
        parent.kill()
        wait_until(lambda: not runs(pid, "keyfactor_standins.orchestrator"))


@pytest.mark.parametrize(
    ("arguments", "changed", "code", "says"),
    [
        (["--register", "1"], {"KEYFACTOR_PASSWORD": "wrong"}, 1, "no session: HTTP 401"),
        (["--register", "1"], {"AGENTS_URL": "http://127.0.0.1:1"}, 1, "no session: ConnectError"),
        (["--register", "1"], {"KEYFACTOR_CA_CERT": "/nowhere"}, 1, "KEYFACTOR_CA_CERT '/nowhere' can't be used"),
        (["--adopt", UNKNOWN], {}, 2, f"'{UNKNOWN}' is not GUID=MACHINE"),
        ([], {}, 2, "no orchestrators: expected --register N or --adopt GUID=MACHINE"),
    ],
)
def test_what_keeps_a_fleet_from_its_sessions_is_said(
    command: Command, arguments: list[str], changed: dict[str, str], code: int, says: str
) -> None:
    ran = fleet(command, *arguments, "--once", **changed)
    assert ran.returncode == code
    assert says in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_missing_settings_are_all_named() -> None:
    ran = subprocess.run(
        [*LINE, "--register", "1"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "KEYFACTOR_DOMAIN": "PLANT"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "AGENTS_URL, KEYFACTOR_USERNAME, KEYFACTOR_PASSWORD not set in the environment" in ran.stderr
