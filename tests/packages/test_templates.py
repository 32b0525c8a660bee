"""`pulumi new` makes a project from each example."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from keyfactor_provider.version import RELEASE
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, ROOT

TEMPLATES = sorted(file.parent for file in (ROOT / "examples").glob("*/Pulumi.yaml"))
GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_template_has_a_name_of_its_own_and_pins_this_release(template: Path) -> None:
    project = yaml.safe_load((template / "Pulumi.yaml").read_text())
    assert project["name"] == f"reenroll-{template.name}"
    assert project["template"]["description"]
    assert all(each["description"] for each in project["template"]["config"].values())
    if (template / "__main__.py").exists():
        assert f"keyfactor-provider[pulumi]=={RELEASE}" in (template / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_template_leads_nowhere_out_of_its_folder(template: Path) -> None:
    for file in template.iterdir():
        if file.is_file():
            assert "../" not in file.read_text(), file.name


def new(template: Path, folder: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Make a project from a template with the real CLI."""
    folder.mkdir(parents=True)
    (folder / "backend").mkdir()
    assert REAL_PULUMI is not None
    return pulumi(folder, "new", str(template), "--dir", str(folder / "project"), "--yes", *options, **variables)


def pulumi(folder: Path, *line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the real CLI, with all its files below a folder."""
    environment = {
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_HOME": str(folder / ".home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **variables,
    }
    return subprocess.run(
        ["pulumi", *line, "--non-interactive"],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.engine
@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_pulumi_new_gives_the_project_the_name_that_is_asked_for(template: Path, tmp_path: Path) -> None:
    ran = new(template, tmp_path / "new", "--name", "edge-prod", "--generate-only")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = tmp_path / "new" / "project"
    project = yaml.safe_load((made / "Pulumi.yaml").read_text())
    assert (project["name"], "template" in project) == ("edge-prod", False)
    assert {file.name for file in template.iterdir()} >= {file.name for file in made.iterdir()}


@pytest.fixture(scope="session")
def finds_links(dist: Path) -> dict[str, str]:
    """The environment with which pip finds the wheel and, through the user's proxy, everything else."""
    needed = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name == "HOME"}
    elsewhere = os.environ.get("PIP_FIND_LINKS", "")
    return needed | {"PIP_FIND_LINKS": f"{dist} {elsewhere}".strip()}


@pytest.mark.engine
@pytest.mark.timeout(300)
@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
def test_a_new_project_installs_from_a_folder_with_the_wheel_and_previews(
    finds_links: dict[str, str], tmp_path: Path
) -> None:
    options = ("--name", "edge-prod", "--stack", "dev", "--config", f'orchestrators=["{GUID}"]')
    ran = new(ROOT / "examples" / "list", tmp_path / "new", *options, **finds_links)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = pulumi(tmp_path / "new", "preview", "--cwd", str(tmp_path / "new" / "project"), "--stack", "dev")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "OrchestratorReenrollment" in shown.stdout
