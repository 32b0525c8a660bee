"""The stand-in as a process: its output, its end and its state file."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyfactor_standins.command.__main__ import main
from keyfactor_standins.command.process import Command, running, start
from tests.support.processes import runs, wait_until

ROOT = Path(__file__).resolve().parents[2]
LINE = [sys.executable, "-m", "keyfactor_standins.command"]
SET = "/KeyfactorAPI/Agents/SetAuthCertificateReenrollment"
PROMISED = {
    "url",
    "api_path",
    "username",
    "password",
    "domain",
    "client_id",
    "client_secret",
    "token_url",
    "access_token",
    "agents_url",
    "control_url",
}


def api(command: Command, **more: Any) -> httpx.Client:
    headers = {"Authorization": f"Bearer {command.said['access_token']}", "x-keyfactor-requested-with": "APIClient"}
    return httpx.Client(base_url=command.url, headers=headers, trust_env=False, **{"verify": False, **more})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_exactly_one_line_and_ends_with_0_when_told_to(number: signal.Signals) -> None:
    with subprocess.Popen(LINE, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", httpx.URL(said["url"]).port or 0)):
            process.send_signal(number)
            rest, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert set(said) == PROMISED
    assert rest == ""
    assert errors == "keyfactor_standins.command: a stand-in for Keyfactor Command, on loopback\n"


def test_it_ends_with_its_parent() -> None:
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", starter, *LINE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, said = int(parent.stdout.readline()), json.loads(parent.stdout.readline())
        port = httpx.URL(said["url"]).port or 0
        assert _listens(port)
        parent.kill()
    wait_until(lambda: not runs(pid, "keyfactor_standins.command"))
    assert not _listens(port)


@pytest.mark.parametrize("stay", [True, False])
def test_its_environment_file_is_there_while_it_serves_and_stay_outlives_the_parent(tmp_path: Path, stay: bool) -> None:
    file = tmp_path / "env"
    file.write_text("KEYFACTOR_HOSTNAME=http://of-an-earlier-run\n")
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    line = [*LINE, "--env-file", str(file), "--tls", "--api-path", "Keyfactor/API", *(["--stay"] if stay else [])]
    with subprocess.Popen(
        [sys.executable, "-c", starter, *line], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, said = int(parent.stdout.readline()), json.loads(parent.stdout.readline())
        assert (file.stat().st_mode & 0o777) == 0o600
        assert dict(each.split("=", 1) for each in file.read_text().splitlines()) == {
            "KEYFACTOR_HOSTNAME": said["url"],
            "KEYFACTOR_API_PATH": "Keyfactor/API",
            "KEYFACTOR_USERNAME": said["username"],
            "KEYFACTOR_PASSWORD": said["password"],
            "KEYFACTOR_DOMAIN": said["domain"],
            "KEYFACTOR_CA_CERT": said["ca_cert"],
            "KEYFACTOR_STANDIN_CONTROL_URL": said["control_url"],
        }
        parent.kill()
    port = httpx.URL(said["url"]).port or 0
    if stay:
        # It checks for its parent twice a second.
        with pytest.raises(AssertionError):
            wait_until(lambda: not _listens(port), 1.2)
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not runs(pid, "keyfactor_standins.command"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["KeyfactorAPI", "Keyfactor/API"])
def test_the_api_is_at_the_path_it_was_told_and_nowhere_else(path: str) -> None:
    with running("--orchestrators", "1", "--api-path", path) as command, api(command) as client:
        found = {base: client.get(f"/{base}/Agents").status_code for base in ("KeyfactorAPI", "Keyfactor/API")}
        assert found == {"KeyfactorAPI": 404, "Keyfactor/API": 404} | {path: 200}
        assert client.get(f"/{path.upper()}/agents").headers["X-Total-Count"] == "1"
        assert command.journal()[0]["path"] == ("/Agents" if path == "KeyfactorAPI" else "/KeyfactorAPI/Agents")
        assert command.environment().get("KEYFACTOR_API_PATH", "KeyfactorAPI") == path


def _listens(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def test_it_is_reached_by_loopback_alone() -> None:
    with running("--orchestrators", "0") as command:
        port = httpx.URL(command.url).port or 0
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        assert [each for each in listening if each.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
        assert not _listens(port, "127.0.0.2")


def test_a_seed_gives_the_same_guids_and_another_one_others() -> None:
    found = []
    for seed in ("5", "5", "6"):
        with running("--orchestrators", "4", "--unapproved", "1", "--seed", seed) as command:
            found.append(command.ids())
            assert sorted(agent["status"] for agent in command.agents()) == [1, 2, 2, 2]
            assert len(set(command.ids())) == 4
    assert found[0] == found[1] != found[2]


def test_it_comes_back_with_its_data_after_kill_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    state = ["--state", str(tmp_path / "state"), "--orchestrators", "6", "--tls"]
    first = start(*state)
    with api(first) as client:
        ids = first.ids()
        assert client.post(SET, json={"OrchestratorIds": ids[:3], "Status": 2}).status_code == 200
        first.world(remove=[ids[3]], reenroll=[ids[4]])
    before = first.agents()
    first.kill()
    first.close()
    with (tmp_path / "state").open("a") as torn:
        torn.write('{"agent": {"agent_id": "')
    with running(*state) as second, api(second) as client:
        assert second.agents() == before
        accounts = [name for name in PROMISED if "url" not in name]
        assert [second.said[name] for name in accounts] == [first.said[name] for name in accounts]
        assert Path(second.said["ca_cert"]).read_text() == Path(first.said["ca_cert"]).read_text()
        assert len(client.get("/KeyfactorAPI/Agents").json()) == 5
        assert len(set(second.ids()) | set(second.world(populate=6))) == 11
        second.world(reenroll=ids[:3])
        assert len({agent["thumbprint"] for agent in second.agents()}) == 11


def test_one_whose_orchestrators_were_all_removed_comes_back_without_any(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state"), "--orchestrators", "1"]
    with running(*state) as command:
        command.world(remove=command.ids())
    with running(*state) as command:
        assert command.ids() == []


def test_a_change_writes_what_changed_and_not_everything(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running("--state", str(state), "--orchestrators", "3000") as command, api(command) as client:
        ids, before = command.ids(), state.stat().st_size
        client.post(SET, json={"OrchestratorIds": ids[:500], "Status": 1}).raise_for_status()
        client.post(SET, json={"OrchestratorIds": ids[:500], "Status": 1}).raise_for_status()
        grown = state.stat().st_size - before
    assert 0 < grown < before / 5


def test_with_tls_it_is_verified_by_its_ca_file_and_by_nothing_else() -> None:
    with running("--tls", "--orchestrators", "1") as command:
        assert set(command.said) == PROMISED | {"ca_cert"}
        assert command.url.startswith("https://127.0.0.1:")
        strict = ssl.create_default_context(cafile=command.said["ca_cert"])
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        with api(command, verify=strict) as client:
            assert len(client.get("/KeyfactorAPI/Agents").json()) == 1
            assert client.get(command.url.replace("127.0.0.1", "localhost") + "/KeyfactorAPI/Agents").is_success
        with api(command, verify=True) as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get("/KeyfactorAPI/Agents")
    assert not Path(command.said["ca_cert"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--port", "70000"], 2, "argument --port: '70000' is not a port; expected 0 to 65535"),
        (["--port", "http"], 2, "argument --port: 'http' is not a number of 0 or more"),
        (["--orchestrators", "-1"], 2, "argument --orchestrators: '-1' is not a number of 0 or more"),
        (["--orchestrators", "1", "--unapproved", "2"], 2, "--unapproved 2 is more than --orchestrators 1"),
        (["--orchestrators", "1", "--without-certificate", "2"], 2, "--without-certificate 2 is more than"),
        (["--job-types", "22"], 2, "argument --job-types: '22' is too many; expected 0 to 21"),
        (["--api-path", "Other"], 2, "invalid choice: 'Other'"),
        (["--env-file", "/nowhere/env"], 1, "can't start: [Errno 2] No such file or directory: '/nowhere/env.new'"),
        (["--statuses", "words"], 2, "invalid choice: 'words'"),
        (["--faults", "{half"], 2, "argument --faults: '{half' is not JSON"),
        (["--faults", "[]"], 2, "argument --faults: '[]' is not a JSON object; expected for example"),
        (["--faults", '{"pages": 1}'], 2, "argument --faults: unknown setting 'pages'"),
        (["--state", "/nowhere/state"], 1, "can't start: [Errno 2] No such file or directory: '/nowhere/state.new'"),
        (["--bogus"], 2, "unrecognized arguments: --bogus"),
    ],
)
def test_a_wrong_flag_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["keyfactor_standins.command", *arguments])
    ended: str | int | None
    try:
        ended = main()
    except SystemExit as exited:
        ended = exited.code
    said, errors = capsys.readouterr()
    assert (ended, said) == (code, "")
    assert says in errors


def test_faults_can_be_on_from_the_start() -> None:
    with running("--orchestrators", "3", "--faults", '{"page_cap": 2}') as command, api(command) as client:
        assert len(client.get("/KeyfactorAPI/Agents").json()) == 2


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RuntimeError, match=rf"{taken.getsockname()[1]}.*Check that --port is free"):
            start("--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize("content", ['{"config": 1}', "key: value\n", '{"kept": {}}\n7\n', "\0\xff\n"])
def test_a_file_of_somebody_else_is_not_taken_for_a_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "theirs").write_text(content, encoding="latin-1")
    with pytest.raises(RuntimeError, match=r"theirs is not the stand-in's"):
        start("--state", str(tmp_path / "theirs"))
    assert (tmp_path / "theirs").read_text(encoding="latin-1") == content
    assert list(tmp_path.iterdir()) == [tmp_path / "theirs"]
