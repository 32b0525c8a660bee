"""The fixture `keyfactor_command`, in the pytest runs of a user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

EXAMPLES = """
import os
import time
from datetime import datetime, timedelta, timezone

import httpx
import pytest

SEEN = set()


def call(method, path, **more):
    began = {"auth": (f"{os.environ['KEYFACTOR_DOMAIN']}\\\\{os.environ['KEYFACTOR_USERNAME']}",
                      os.environ["KEYFACTOR_PASSWORD"]),
             "headers": {"x-keyfactor-requested-with": "APIClient"}}
    with httpx.Client(trust_env=False, base_url=os.environ["KEYFACTOR_HOSTNAME"] + "/KeyfactorAPI", **began) as client:
        return client.request(method, path, **more)


def ask(*ids, status=1):
    return call("POST", "/Agents/SetAuthCertificateReenrollment", json={"OrchestratorIds": ids, "Status": status})


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_begins_with_an_empty_command_of_the_same_process(keyfactor_command, number):
    SEEN.add(keyfactor_command.url)
    assert len(SEEN) == 1
    assert (keyfactor_command.orchestrators, keyfactor_command.requests, keyfactor_command.journal) == ({}, [], [])
    assert call("GET", "/Agents").json() == []
    keyfactor_command.add("edge-1")
    keyfactor_command.fault("GET /Agents", "status", status=503)
    keyfactor_command.set_clock(datetime(2031, 1, 1))
    assert call("GET", "/Agents").status_code == 503


def test_only_its_own_settings_are_in_the_environment(keyfactor_command):
    found = {name: value for name, value in os.environ.items() if name.startswith("KEYFACTOR_")}
    assert found == keyfactor_command.environment
    assert found["KEYFACTOR_HOSTNAME"] == keyfactor_command.url


def test_orchestrators_are_made_requested_and_re_enroll(keyfactor_command):
    edge = keyfactor_command.add("edge-1", agent_id="3F2504E0-4F89-11D3-9A0C-0305E82C3301", version="25.1.0.0")
    core = keyfactor_command.add("core-1")
    keyfactor_command.reject(core)
    assert ask(edge, core, status="Requested").json()["FailedOrchestratorIds"] == [core]
    ask(edge, status=2)
    first, second = keyfactor_command.requests
    assert (first.status, first.ids, first.code) == ("Requested", (edge, core), 200)
    assert (second.status, second.ids) == ("Required", (edge,))
    before = keyfactor_command.orchestrators[edge.lower()]
    assert (before.machine, before.flag, before.in_use) == ("edge-1", "Required", True)
    keyfactor_command.check_in(edge)
    issued = keyfactor_command.orchestrators[edge.lower()]
    assert (issued.flag, issued.in_use, issued.thumbprint != before.thumbprint) == ("None", False, True)
    keyfactor_command.check_in(edge)
    assert keyfactor_command.orchestrators[edge.lower()].in_use
    keyfactor_command.reenroll(core)
    assert keyfactor_command.orchestrators[core].in_use
    keyfactor_command.remove(core)
    assert list(keyfactor_command.orchestrators) == [edge.lower()]


def test_days_pass_at_once(keyfactor_command):
    one, = keyfactor_command.populate(1)
    noon = datetime(2031, 1, 1, 12, tzinfo=timezone.utc)
    keyfactor_command.set_clock(noon)
    keyfactor_command.advance_clock(timedelta(days=2))
    ask(one)
    keyfactor_command.check_in(one, failing={one: "No extension for renewals."})
    found = keyfactor_command.orchestrators[one]
    assert (found.last_seen, found.last_error) == (noon + timedelta(days=2), "No extension for renewals.")
    assert found.flag == "Requested"


def test_faults_are_switched_on_and_off(keyfactor_command):
    keyfactor_command.populate(3)
    keyfactor_command.fault("GET /Agents", "status", status=429, headers={"Retry-After": "1"}, times=1)
    keyfactor_command.fault("POST", "status", status=500)
    keyfactor_command.settings(page_cap=2)
    assert [call("GET", "/Agents").status_code for _ in range(2)] == [429, 200]
    assert (ask("x").status_code, len(call("GET", "/Agents").json())) == (500, 2)
    keyfactor_command.no_faults()
    assert len(call("GET", "/Agents").json()) == 3


def test_what_cannot_be_is_refused(keyfactor_command):
    with pytest.raises(ValueError, match="colour"):
        keyfactor_command.add("edge-1", colour=1)
    with pytest.raises(ValueError, match="explode"):
        keyfactor_command.fault("GET", "explode")
"""


def run_pytest(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest with only this plugin, as if the package were installed."""
    line = [sys.executable, "-m", "pytest", "-p", "keyfactor_standins.pytest_plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*line, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_fixture_in_a_run_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_examples.py").write_text(EXAMPLES)
    ran = run_pytest(tmp_path, "-q", KEYFACTOR_HOSTNAME="production.example", KEYFACTOR_AUTH_ACCESS_TOKEN="theirs")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "7 passed" in ran.stdout


def test_the_plugin_imports_pytest_and_nothing_else() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import keyfactor_standins.pytest_plugin, json\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in json.loads(ran.stdout) if name.split(".")[0] not in sys.stdlib_module_names] == [
        "keyfactor_standins",
        "keyfactor_standins.pytest_plugin",
    ]


@pytest.mark.parametrize("missing", ["aiohttp", "cryptography", "httpx"])
def test_a_missing_extra_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "conftest.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    (tmp_path / "test_one.py").write_text("def test_one(keyfactor_command):\n    pass\n")
    ran = run_pytest(tmp_path, "-q")
    assert ran.returncode == 1
    assert f"needs {missing}. Run: pip install 'keyfactor-provider[testing]'" in ran.stdout
    assert "Traceback" not in ran.stdout
