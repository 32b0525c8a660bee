"""examples/ci-terraform: the steps of its workflow with the real Terraform, with GitHub's API replaced."""

import json
import shutil
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.recipes.github import Job, Repository, run_job
from tests.recipes.shell import Shell
from tests.support.stacks import ROOT

WORKFLOW = ROOT / "examples" / "ci-terraform" / ".github" / "workflows" / "reenrollment.yml"
MISSING = [tool for tool in ("terraform", "jq") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {', '.join(MISSING)}; the workflow was not run"),
]


@pytest.fixture
def repository(command: Command, tmp_path: Path) -> Repository:
    """A configuration with a fleet of all six orchestrators: one canary, then waves of two."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "examples" / "ci-terraform" / "main.tf", folder)
    ids = command.ids()
    values = {"orchestrator_ids": ids, "canary_ids": ids[:1], "waves": ["2"]}
    (folder / "terraform.tfvars.json").write_text(json.dumps(values))
    return Repository(Shell(folder, command, {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": "/dev/null"}))


def run(repository: Repository, job: str) -> Job:
    """Run one of the jobs."""
    return run_job(repository.shell, WORKFLOW, job, repository.context)


def test_plan_comments_and_apply_requests_a_wave_a_run(repository: Repository, command: Command) -> None:
    canary, *rest = command.ids()
    planned = run(repository, "plan")
    assert planned.codes == {"Install": 0, "Plan": 0, "Comment": 0, "Limit": 0}, planned.said
    assert canary in repository.shown()["comments"][0]["body"]
    assert command.posts() == []
    assert (first := run(repository, "apply")).green, first.said
    command.world(reenroll=[canary])
    assert (second := run(repository, "apply")).green, second.said
    assert [ids for _, ids in command.posts()] == [(canary,), tuple(sorted(rest)[:2])]
    assert (repository.shell.folder / "status.html").exists()


def test_an_orchestrator_that_command_rejects_makes_the_apply_red(repository: Repository, command: Command) -> None:
    command.faults(refused=command.ids()[:1])
    ran = run(repository, "apply")
    assert (ran.codes["Plan"], ran.codes["Apply"], ran.codes["Report"]) == (0, 1, 0)


def test_the_nightly_check_opens_one_issue_and_closes_it_when_all_is_well(
    repository: Repository, command: Command
) -> None:
    canary = command.ids()[0]
    assert run(repository, "apply").green
    command.world(now="2030-01-01T00:00:00Z")
    assert (late := run(repository, "check")).green, late.said
    assert repository.issues() == [(1, "open")]
    command.world(reenroll=[canary])
    assert run(repository, "check").green
    assert repository.issues() == [(1, "closed")]


def test_with_command_down_plan_and_check_are_red(repository: Repository, command: Command) -> None:
    assert run(repository, "apply").green
    command.faults(faults=[{"on": verb, "act": "status", "status": 503} for verb in ("GET", "POST")])
    planned = run(repository, "plan")
    assert planned.codes == {"Install": 0, "Plan": 1}
    assert run(repository, "check").codes == {"Install": 0, "Check": 6}
    assert repository.issues() == []
