"""The wheel in an empty environment: everything runs from there, outside the checkout."""

import json
import shutil
from pathlib import Path

import pytest

from keyfactor_provider.version import RELEASE
from tests.packages.conftest import Environment, Make

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["pip", "uv"])
def everything(request: pytest.FixtureRequest, environment: Make) -> Environment:
    """An environment with all extras, by each installer."""
    return environment(request.param, "all")


def test_the_packages_come_from_the_environment_and_say_their_version(everything: Environment) -> None:
    program = "import keyfactor_provider as p, keyfactor_standins as s; print(p.__version__, p.__file__, s.__file__)"
    ran = everything.run("python", "-c", program)
    version, *files = ran.stdout.split()
    assert version == RELEASE
    assert all(Path(file).is_relative_to(everything.folder) for file in files)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("keyfactor_provider.dynamic", "pulumi"),
        ("keyfactor_provider.terraform.provider", "terraform"),
    ],
)
def test_a_front_end_without_its_extra_says_in_one_line_which(environment: Make, module: str, extra: str) -> None:
    ran = environment("uv", "").run("python", "-c", f"import {module}")
    assert ran.returncode == 1
    assert f"pip install 'keyfactor-provider[{extra}]'" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("script", "extra"), [("terraform-provider-keyfactorcommand", "terraform"), ("keyfactor-reenrollment", "cli")]
)
def test_a_script_without_its_extra_says_in_one_line_which(environment: Make, script: str, extra: str) -> None:
    ran = environment("uv", "").run(script)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert f"pip install 'keyfactor-provider[{extra}]'" in line


def test_a_public_name_of_pulumis_without_its_extra_says_so_too(environment: Make) -> None:
    program = "import keyfactor_provider\ntry: keyfactor_provider.OrchestratorReenrollment\n"
    ran = environment("uv", "").run("python", "-c", program + "except ImportError as error: print(error)")
    assert ran.stdout.splitlines() == [
        "The Pulumi resources are an extra of this package. Run: pip install 'keyfactor-provider[pulumi]'"
    ]


PROGRAM = """
import json
import pulumi
from keyfactor_provider import OrchestratorReenrollment

ids = json.loads(pulumi.Config().require("ids"))
OrchestratorReenrollment("edge", orchestrator_ids=ids, status="Requested")
"""

PULUMI = f"""
import json
from pathlib import Path

from keyfactor_standins.command.process import running
from keyfactor_standins.engine.run import run

stack = Path("stack")
stack.mkdir()
(stack / "Pulumi.yaml").write_text("name: outside\\nruntime: python\\n")
(stack / "__main__.py").write_text({PROGRAM!r})
with running("--orchestrators", "3") as command:
    config = {{"config": {{"outside:ids": json.dumps(command.ids())}}}}
    (stack / "Pulumi.dev.yaml").write_text(json.dumps(config))
    result = run("up", "--yes", "--skip-preview", cwd=stack, env=command.environment())
    posts = command.posts() == [(1, tuple(command.ids()))]
print(json.dumps({{"exit_code": result.returncode, "posted": posts, "said": result.stdout + result.stderr}}))
"""


def test_a_pulumi_program_runs_on_the_engine_stand_in(everything: Environment) -> None:
    ran = everything.run("python", "-c", PULUMI)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout.splitlines()[-1])
    assert (answer["exit_code"], answer["posted"]) == (0, True), answer["said"]


TERRAFORM = """
terraform {
  required_providers {
    keyfactorcommand = { source = "terraform.local/keyfactor/keyfactorcommand" }
  }
}

variable "ids" { type = set(string) }

resource "keyfactorcommand_orchestrator_reenrollment" "edge" {
  orchestrator_ids = var.ids
  status           = "Requested"
}
"""

APPLY = """
import json, os, subprocess

from keyfactor_standins.command.process import running

with running("--orchestrators", "3") as command:
    environment = {**os.environ, **command.environment(), "TF_VAR_ids": json.dumps(command.ids())}
    for line in (["init"], ["apply", "-auto-approve"]):
        done = subprocess.run(["terraform", *line, "-no-color"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert command.posts() == [(1, tuple(command.ids()))]
"""


@pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform on the PATH: nothing was run with it")
def test_terraform_finds_the_installed_provider(everything: Environment, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1"}
    installed = everything.run("terraform-provider-keyfactorcommand", "install", **home)
    assert installed.returncode == 0, installed.stderr
    module = tmp_path / "module"
    module.mkdir()
    (module / "main.tf").write_text(TERRAFORM)
    ran = everything.run("python", "-c", f"import os\nos.chdir({str(module)!r})\n{APPLY}", **home)
    assert ran.returncode == 0, ran.stderr


COMMAND = """
import os, subprocess

from keyfactor_standins.command.process import running

with running("--orchestrators", "3") as command:
    environment = {**os.environ, **command.environment()}
    line = ["keyfactor-reenrollment", "orchestrators", "--ids"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each for each in command.ids() if each not in done.stdout] == [], done.stdout
"""


def test_the_command_looks_orchestrators_up_and_says_its_version(everything: Environment) -> None:
    ran = everything.run("keyfactor-reenrollment", "--version")
    assert (ran.returncode, RELEASE in ran.stdout.split()) == (0, True), ran.stdout + ran.stderr
    ran = everything.run("python", "-c", COMMAND)
    assert ran.returncode == 0, ran.stderr


FIXTURE = r"""
import os

import httpx


def test_of_a_user(keyfactor_command):
    user = rf"{os.environ['KEYFACTOR_DOMAIN']}\{os.environ['KEYFACTOR_USERNAME']}"
    answer = httpx.get(
        f"{os.environ['KEYFACTOR_HOSTNAME']}/KeyfactorAPI/Agents",
        auth=(user, os.environ["KEYFACTOR_PASSWORD"]),
        headers={"x-keyfactor-requested-with": "APIClient"},
        trust_env=False,
    )
    assert answer.json() == []
"""


def test_the_pytest_fixture_gives_a_users_test_a_command(everything: Environment, tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(FIXTURE)
    ran = everything.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr
