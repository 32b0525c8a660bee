"""The plugin with the real Pulumi CLI, in YAML programs."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command
from tests.plugin.programs import COMPLETION, ROOT, Program, environment, install, missing
from tests.support.commands import fresh
from tests.support.processes import wait_until

MISSING = missing("pulumi", "pulumi-language-yaml")
pytestmark = [pytest.mark.engine, pytest.mark.timeout(300), pytest.mark.skipif(bool(MISSING), reason=MISSING)]

Start = Callable[..., Program]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a user who has installed the plugin."""
    home = tmp_path_factory.mktemp("home")
    ran = install(home)
    assert ran.returncode == 0, ran.stderr
    return home


@pytest.fixture
def start(home: Path, command: Command, tmp_path: Path) -> Start:
    """Starts a program with a unique name, since all of them share a home."""

    def started(name: str = "program", **more: Any) -> Program:
        return Program(tmp_path / name, command, home, name=f"{tmp_path.name[:60].strip('_')}-{name}", **more)

    return started


def test_a_failed_run_keeps_its_state_and_the_next_one_requests_only_those_that_failed(
    start: Start, command: Command
) -> None:
    program, ids = start(), command.ids()
    program.declare(
        {
            "edge": program.fleet(ids[:4]),
            "done": {"type": COMPLETION, "properties": {"round": "${edge.round}", "timeout": 0}},
            "after": program.fleet(ids[4:], options={"dependsOn": ["${edge}"]}),
        }
    )
    command.faults(refused=ids[:1])
    failed = program.run("up")
    assert failed.exit_code != 0
    assert ids[0] in failed.flat
    assert "Traceback" not in failed.text
    assert sorted(program.resources()) == ["edge"]

    ahead = program.ran("preview", "--diff")
    assert f'[0]: "{ids[0]}"' in ahead.text
    assert ahead.posts == []

    command.faults(refused=[])
    again = program.run("up")
    # The completion checks once, before any re-enrollment; the fleet that depends on the first is requested.
    assert [posted for _, posted in again.posts] == [(ids[0],), tuple(ids[4:])]
    assert sorted(program.resources()) == ["after", "edge"]
    command.world(reenroll=ids[:4])
    program.ran("up")
    assert sorted(program.resources()) == ["after", "done", "edge"]
    program.ran("preview", "--expect-no-changes")
    program.ran("destroy")
    assert set(command.flags().values()) == {"None"}


def test_a_plain_preview_sees_drift_line_by_line(start: Start, command: Command) -> None:
    program, ids = start(), command.ids()
    program.declare({"edge": program.fleet(ids[:3])})
    program.ran("up")
    command.world(now="2035-01-01T00:00:00Z", change={ids[0]: {"flag": 0}})
    program.declare({"edge": program.fleet(ids[:4])})
    ahead = program.ran("preview", "--diff")
    assert f'~ {ids[0]}: "None" => "Requested"' in ahead.flat
    assert f'+ {ids[3]}: "Requested"' in ahead.flat
    assert ids[1] not in ahead.flat.partition("will request")[0].partition("orchestrators:")[2]


def test_a_rotated_secret_fails_a_preview_unless_the_program_runs_for_the_refresh(
    start: Start, command: Command
) -> None:
    program = start()
    program.without_settings()
    program.declare({"edge": program.fleet(command.ids())})
    for key, name in (("hostname", "url"), ("username", "username"), ("domain", "domain")):
        program.pulumi("config", "set", f"keyfactor:{key}", "--", command.said[name])
    program.pulumi("config", "set", "--secret", "keyfactor:password", "--", command.said["password"])
    program.ran("up")
    state = program.state()
    assert command.said["password"] not in json.dumps(state)
    # Command no longer accepts the secret in the state.
    secret = program.pulumi("stack", "export", "--show-secrets").stdout
    (program.folder / "state.json").write_text(secret.replace(command.said["password"], "rotated"))
    program.pulumi("stack", "import", "--file", "state.json")
    failed = program.run("preview")
    assert failed.exit_code != 0
    assert "--run-program" in failed.flat
    assert "Traceback" not in failed.text
    program.ran("preview", "--refresh", "--run-program", "--expect-no-changes")
    program.ran("up", "--refresh", "--run-program")
    program.ran("preview", "--expect-no-changes")


def test_a_pull_request_without_secrets_sees_the_recorded_state(start: Start, command: Command) -> None:
    program = start()
    program.declare({"edge": program.fleet(command.ids())})
    program.ran("up")
    program.without_settings()
    ahead = program.ran("preview", "--expect-no-changes")
    assert "KEYFACTOR_HOSTNAME" in ahead.flat
    program.declare({"edge": program.fleet(command.ids()), "more": program.fleet(command.ids()[:1])})
    assert "also in" in program.run("preview").flat


def test_an_outage_fails_a_preview_and_keeps_the_state(start: Start, command: Command) -> None:
    program = start()
    program.declare({"edge": program.fleet(command.ids())})
    program.ran("up")
    before = program.resources()["edge"]
    program.env["KEYFACTOR_CLIENT_TIMEOUT"] = "1"
    command.faults(faults=[{"on": "GET /Agents", "act": "status", "status": 503}])
    for run in ("preview", "refresh"):
        failed = program.run(run)
        assert failed.exit_code != 0
        assert "--run-program" in failed.flat
    after = program.resources()["edge"]
    assert (after["inputs"], after["outputs"]) == (before["inputs"], before["outputs"])


def test_two_command_servers_in_one_program(start: Start, command: Command) -> None:
    program = start()
    with fresh(3, "--seed", "8") as second:

        def provider(of: Command) -> dict[str, Any]:
            names = {"hostname": of.url, "username": of.said["username"], "domain": of.said["domain"]}
            return {
                "type": "pulumi:providers:keyfactor",
                "properties": {**names, "password": {"fn::secret": of.said["password"]}},
            }

        program.without_settings()
        program.declare(
            {
                "east": provider(command),
                "west": provider(second),
                "edge": program.fleet(command.ids(), options={"provider": "${east}"}),
                "core": program.fleet(second.ids(), options={"provider": "${west}"}),
            }
        )
        program.ran("up")
        assert set(command.flags().values()) == set(second.flags().values()) == {"Requested"}
        program.ran("preview", "--expect-no-changes")
        program.ran("destroy")
        assert set(command.flags().values()) == set(second.flags().values()) == {"None"}


class TestOptions:
    """The options that an engine offers for every resource."""

    def test_a_rename_with_an_alias_is_no_call(self, start: Start, command: Command) -> None:
        program = start()
        program.declare({"edge": program.fleet(command.ids())})
        program.ran("up")
        program.declare({"rim": program.fleet(command.ids(), options={"aliases": [{"name": "edge"}]})})
        assert program.ran("up").posts == []
        assert list(program.resources()) == ["rim"]

    def test_a_protected_fleet_is_not_destroyed(self, start: Start, command: Command) -> None:
        program = start()
        program.declare({"edge": program.fleet(command.ids(), options={"protect": True})})
        program.ran("up")
        program.declare({})
        assert program.run("up").exit_code != 0
        assert set(command.flags().values()) == {"Requested"}

    def test_a_fleet_retained_on_delete_keeps_its_flags(self, start: Start, command: Command) -> None:
        program = start()
        program.declare({"edge": program.fleet(command.ids(), options={"retainOnDelete": True})})
        program.ran("up")
        program.declare({})
        assert program.ran("up").posts == []
        assert program.resources() == {}

    def test_only_a_target_is_run(self, start: Start, command: Command) -> None:
        program, ids = start(), command.ids()
        program.declare({"edge": program.fleet(ids[:3]), "core": program.fleet(ids[3:])})
        program.ran("up", "--target", f"urn:pulumi:dev::{program.name}::keyfactor:index:OrchestratorReenrollment::core")
        assert [one for one, flag in command.flags().items() if flag == "Requested"] == ids[3:]

    def test_ignored_changes_leave_the_members(self, start: Start, command: Command) -> None:
        program, ids = start(), command.ids()
        program.declare({"edge": program.fleet(ids[:3])})
        program.ran("up")
        program.declare({"edge": program.fleet(ids, options={"ignoreChanges": ["orchestratorIds"]})})
        program.ran("preview", "--expect-no-changes")

    def test_after_a_failure_independent_fleets_continue(self, start: Start, command: Command) -> None:
        program, ids = start(), command.ids()
        program.declare(
            {
                "edge": program.fleet(ids[:2]),
                "core": program.fleet(ids[2:4]),
                "after": program.fleet(ids[4:], options={"dependsOn": ["${edge}"]}),
            }
        )
        command.faults(refused=ids[:1])
        assert program.run("up", "--continue-on-error").exit_code != 0
        assert sorted(program.resources()) == ["core", "edge"]

    def test_custom_timeouts_reach_the_plugin(self, start: Start, command: Command) -> None:
        program = start()
        command.faults(faults=[{"on": "POST /Agents/SetAuthCertificateReenrollment", "act": "status", "status": 503}])
        program.declare({"edge": program.fleet(command.ids(), options={"customTimeouts": {"create": "2s"}})})
        began = time.monotonic()
        assert program.run("up").exit_code != 0
        assert time.monotonic() - began < 30
        phases = {one["phase"] for one in program.resources()["edge"]["outputs"]["members"].values()}
        assert phases == {"unreached"}

    def test_a_saved_plan_is_applied(self, start: Start, command: Command) -> None:
        program = start()
        program.env["PULUMI_EXPERIMENTAL"] = "true"
        program.declare({"edge": program.fleet(command.ids())})
        program.ran("preview", "--save-plan", "plan.json")
        program.ran("up", "--plan", "plan.json")
        assert len(command.posts()) == 1

    def test_a_fleet_moves_to_another_stack(self, start: Start, command: Command) -> None:
        program, other = start(), start("other")
        program.declare({"edge": program.fleet(command.ids())})
        program.ran("up")
        other.ran("up")
        command.forget()
        urn = f"urn:pulumi:dev::{program.name}::keyfactor:index:OrchestratorReenrollment::edge"
        source, target = (f"organization/{one.name}/dev" for one in (program, other))
        program.pulumi("state", "move", "--yes", "--source", source, "--dest", target, urn, stack=False)
        other.declare({"edge": other.fleet(command.ids())})
        other.ran("preview", "--expect-no-changes")
        assert command.posts() == []


def test_an_import_adopts_the_flags_that_are_set(start: Start, command: Command) -> None:
    program, ids = start(), command.ids()[:2]
    command.world(change={one: {"flag": 1} for one in ids})
    program.declare({})
    ran = program.run(
        "import",
        "keyfactor:index:OrchestratorReenrollment",
        "edge",
        ",".join(ids),
        "--protect=false",
        "--out",
        "x.yaml",
    )
    assert ran.exit_code == 0, ran.text
    generated = yaml.safe_load((program.folder / "x.yaml").read_text())["resources"]["edge"]["properties"]
    assert (sorted(generated["orchestratorIds"]), generated["status"]) == (ids, "Requested")
    program.declare({"edge": program.fleet(ids)})
    program.ran("preview", "--expect-no-changes")
    assert command.posts() == []


def test_an_interrupted_wait_ends_soon_and_leaves_no_state(start: Start, command: Command) -> None:
    program = start()
    program.declare(
        {
            "edge": program.fleet(command.ids()),
            "done": {"type": COMPLETION, "properties": {"round": "${edge.round}"}},
        }
    )
    line = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "dev"]
    log = program.folder / "log"
    with log.open("w") as output:
        running_up = subprocess.Popen(
            line, cwd=program.folder, env=program.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_until(lambda: "0 of 6" in log.read_text(), 60)
            began = time.monotonic()
            running_up.send_signal(signal.SIGINT)
            assert running_up.wait(30) != 0
            assert time.monotonic() - began < 10
        finally:
            running_up.kill()
            running_up.wait()
    assert sorted(program.resources()) == ["edge"]
    assert "the wait was cancelled" in " ".join(log.read_text().split())


def test_state_of_dynamic_resources_is_taken_over_without_a_call(home: Path, command: Command, tmp_path: Path) -> None:
    if reason := missing("pulumi-language-python"):
        pytest.skip(reason)
    ids, name = command.ids()[:3], "moving"
    (tmp_path / "Pulumi.yaml").write_text(
        yaml.safe_dump({"name": name, "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}})
    )
    (tmp_path / "__main__.py").write_text(
        "from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion\n"
        f"fleet = OrchestratorReenrollment('edge', orchestrator_ids={ids!r}, status=1, triggers={{'ca': '2027'}})\n"
        "ReenrollmentCompletion('done', fleet=fleet, timeout=1)\n"
    )
    program = Program(tmp_path, command, home, name=name)
    assert program.run("up", timeout=180).exit_code != 0
    command.world(reenroll=ids)
    program.ran("up")
    assert {one["type"].partition("/")[0] for one in program.resources().values()} == {"pulumi-python:dynamic"}
    command.forget()
    program.declare(
        {
            "edge": program.fleet(ids, triggers={"ca": "2027"}),
            "done": {"type": COMPLETION, "properties": {"round": "${edge.round}", "timeout": 1}},
        }
    )
    program.ran("preview")
    moved = program.ran("up")
    assert command.journal() == []
    assert "2 updated" in moved.flat
    assert {one["type"].rpartition(":")[0] for one in program.resources().values()} == {"keyfactor:index"}
    program.ran("preview", "--expect-no-changes")


class TestInstalled:
    """Each way to install the plugin."""

    def test_an_installation_by_its_own_command_gives_no_warning(self, start: Start, command: Command) -> None:
        program = start()
        program.declare({"edge": program.fleet(command.ids())})
        ran = program.ran("preview")
        # The remaining warning is about orchestrators.
        assert [line for line in ran.text.splitlines() if "warning" in line and "C agents" not in line] == []
        listed = json.loads(program.pulumi("plugin", "ls", "--json", stack=False).stdout)
        assert [(one["name"], one["version"]) for one in listed] == [("keyfactor", RELEASE)]

    def test_on_the_path_the_plugin_works_and_the_cli_warns(self, tmp_path: Path, command: Command) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "pulumi-resource-keyfactor"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m keyfactor_provider.plugin "$@"\n')
        script.chmod(0o755)
        program = Program(tmp_path / "program", command, tmp_path / "home")
        program.env["PATH"] = f"{folder}:{program.env['PATH']}"
        program.declare({"edge": program.fleet(command.ids())})
        ran = program.ran("up")
        assert "$PATH" in ran.text
        assert len(ran.posts) == 1

    def test_a_plugin_folder_runs_in_the_environment_that_it_names(self, tmp_path: Path, command: Command) -> None:
        if reason := missing("pulumi-language-python"):
            pytest.skip(reason)
        folder = tmp_path / "plugin"
        folder.mkdir()
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "PulumiPlugin.yaml").write_text(yaml.safe_dump({"runtime": runtime}))
        (folder / "__main__.py").write_text("from keyfactor_provider.plugin.__main__ import main\nmain()\n")
        program = Program(tmp_path / "program", command, tmp_path / "home")
        program.declare({"edge": program.fleet(command.ids())}, packages={"keyfactor": str(folder)})
        assert len(program.ran("up").posts) == 1


def test_the_yaml_example_rolls_a_fleet_out(home: Path, tmp_path: Path) -> None:
    with fresh(12, "--seed", "3") as command:
        folder = tmp_path / "example"
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text((ROOT / "examples" / "plugin-yaml" / "Pulumi.yaml").read_text())
        program = Program(folder, command, home, name="reenroll-plugin-yaml", stack="example")
        edge = [one["agent_id"] for one in command.agents() if one["client_machine"].startswith("edge-")]
        program.pulumi("config", "set", "canary", edge[2])
        assert program.ran("up").posts == [(1, (edge[2],))]
        command.world(reenroll=[edge[2]])
        assert program.ran("up").posts == [(1, tuple(sorted(set(edge) - {edge[2]})[:2]))]


@pytest.fixture(scope="module")
def schema_home(home: Path) -> Path:
    """The home folder, with the schema as the CLI gets it."""
    ran = subprocess.run(
        ["pulumi", "package", "get-schema", "keyfactor"],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (home / "schema.json").write_text(ran.stdout)
    return home


def test_the_cli_gets_the_schema(schema_home: Path) -> None:
    schema = json.loads((schema_home / "schema.json").read_text())
    assert (schema["name"], schema["version"]) == ("keyfactor", RELEASE)


@pytest.mark.parametrize(
    ("language", "file"),
    [
        ("python", "python/pulumi_keyfactor/orchestrator_reenrollment.py"),
        ("nodejs", "nodejs/orchestratorReenrollment.ts"),
    ],
)
def test_an_sdk_is_generated(schema_home: Path, tmp_path: Path, language: str, file: str) -> None:
    if reason := missing(f"pulumi-language-{language}"):
        pytest.skip(reason)
    _generate(schema_home, tmp_path, language)
    text = (tmp_path / file).read_text()
    assert "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment" in text
    if language == "python":
        for module in tmp_path.glob("python/**/*.py"):
            compile(module.read_text(), str(module), "exec")


def _generate(home: Path, out: Path, language: str) -> None:
    line = ["pulumi", "package", "gen-sdk", str(home / "schema.json"), "--language", language, "--out", str(out)]
    ran = subprocess.run(line, env=environment(home), capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
