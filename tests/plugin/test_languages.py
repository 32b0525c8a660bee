"""Programs in TypeScript and Go, with SDKs that the CLI generates from the schema; only among the long tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.plugin.programs import ROOT, Program, environment, install, missing
from tests.support.commands import fresh

pytestmark = [pytest.mark.long, pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder of a user who has installed the plugin."""
    if reason := missing("pulumi"):
        pytest.skip(reason)
    home = tmp_path / "home"
    home.mkdir()
    assert install(home).returncode == 0
    return home


def test_the_typescript_example_runs_on_an_sdk_that_the_cli_adds(home: Path, tmp_path: Path) -> None:
    if reason := missing("pulumi-language-nodejs", "node", "npm"):
        pytest.skip(reason)
    folder = tmp_path / "example"
    shutil.copytree(ROOT / "examples" / "plugin-typescript", folder)
    with fresh(12, "--seed", "3") as command:
        program = Program(folder, command, home, name="reenroll-plugin-typescript")
        program.pulumi("package", "add", "keyfactor", stack=False, timeout=600)
        subprocess.run(["npx", "tsc", "--noEmit", "-p", "."], cwd=folder, env=program.env, check=True, timeout=300)
        agents = {one["client_machine"]: one["agent_id"] for one in command.agents()}
        edge = [one for machine, one in sorted(agents.items()) if machine.startswith("edge-")]
        core = [one for machine, one in sorted(agents.items()) if machine.startswith("core-")]
        program.pulumi("config", "set", "--path", "canaries[0]", edge[0])
        program.pulumi("config", "set", "--path", "gateways[0]", core[0])
        program.pulumi("config", "set", "timeout", "1")
        failed = program.run("up", timeout=300)
        assert failed.exit_code != 0
        assert sorted(failed.posts) == sorted([(1, (edge[0],)), (1, (core[0],))])
        command.world(reenroll=[core[0]])
        assert program.ran("up").posts == []
        assert sorted(program.resources()) == ["fleet", "gateways", "gateways-done"]


def test_the_go_sdk_compiles(home: Path, tmp_path: Path) -> None:
    if reason := missing("go", "pulumi-language-go"):
        pytest.skip(reason)
    env = environment(home)
    schema = tmp_path / "schema.json"
    got = subprocess.run(["pulumi", "package", "get-schema", "keyfactor"], env=env, capture_output=True, check=True)
    schema.write_bytes(got.stdout)
    line = ["pulumi", "package", "gen-sdk", str(schema), "--language", "go", "--out", str(tmp_path)]
    subprocess.run(line, env=env, check=True, capture_output=True, timeout=120)
    module = next((tmp_path / "go").rglob("orchestratorReenrollment.go")).parent
    path = json.loads(schema.read_text())["language"]["go"]["importBasePath"]
    assert f'"{path}/internal"' in (module / "orchestratorReenrollment.go").read_text()
    (module / "go.mod").write_text(f"module {path}\n\ngo 1.23\n")
    env |= {"GOFLAGS": "-mod=mod", "GOCACHE": str(tmp_path / "cache"), "GOPATH": str(tmp_path / "gopath")}
    for step in (["go", "mod", "tidy"], ["go", "build", "./..."]):
        ran = subprocess.run(step, cwd=module, env=env, capture_output=True, text=True, check=False, timeout=600)
        assert ran.returncode == 0, ran.stderr
