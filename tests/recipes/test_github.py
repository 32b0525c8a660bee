"""examples/ci-github-actions: the steps of its workflows, with GitHub's API replaced."""

import shutil
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.recipes.github import Job, Repository, run_job
from tests.recipes.shell import Shell, phases
from tests.support.stacks import ROOT

WORKFLOWS = ROOT / "examples" / "ci-github-actions" / ".github" / "workflows"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("jq") is None, reason="no jq on the PATH: gh --jq was not tried"),
]


class GitHub(Repository):
    """A repository with the workflows of the recipe."""

    def run(self, workflow: str) -> Job:
        """Run the job of a workflow."""
        return run_job(self.shell, WORKFLOWS / f"reenrollment-{workflow}.yml", workflow, self.context)


@pytest.fixture
def github(shell: Shell) -> GitHub:
    """A repository on GitHub."""
    return GitHub(shell)


def down(command: Command) -> None:
    """Make Command respond with 503 to everything."""
    command.faults(faults=[{"on": verb, "act": "status", "status": 503} for verb in ("GET", "POST")])


def test_a_pull_request_has_one_comment_however_often_it_is_previewed(github: GitHub, command: Command) -> None:
    marker = "<!-- keyfactor-reenrollment summary -->"
    github.say("mallory", f"{marker}\nlooks good to me")
    first = github.run("preview")
    assert first.codes == {"Install": 0, "Preview": 0, "Comment": 0, "Limit": 0}, first.said
    (theirs, ours) = github.shown()["comments"]
    assert ours["body"].startswith(marker)
    assert command.ids()[0] in ours["body"]
    second = github.run("preview")
    assert second.green, second.said
    assert [one["id"] for one in github.shown()["comments"]] == [theirs["id"], ours["id"]]
    assert github.shown()["comments"][0] == theirs
    assert command.posts() == []


def test_a_preview_that_fails_is_red_and_comments_all_the_same(github: GitHub) -> None:
    config = github.shell.folder / "Pulumi.prod.yaml"
    config.write_text(config.read_text() + "  reenroll-rollout:status: Maybe\n")
    ran = github.run("preview")
    assert ran.codes == {"Install": 0, "Preview": 1, "Comment": 0}
    assert "Maybe" in github.shown()["comments"][0]["body"]


def test_a_preview_of_more_than_the_limit_is_red(github: GitHub) -> None:
    workflow = WORKFLOWS / "reenrollment-preview.yml"
    few = github.shell.folder.parent / "few.yml"
    few.write_text(workflow.read_text().replace('MAX_REQUESTS: "500"', 'MAX_REQUESTS: "0"'))
    ran = run_job(github.shell, few, "preview", github.context)
    assert ran.codes["Limit"] == 7


def test_the_schedule_requests_a_wave_a_run(github: GitHub, command: Command) -> None:
    canary, *rest = command.ids()
    assert (first := github.run("up")).green, first.said
    assert phases(github.shell)[canary] == "pending"
    command.world(reenroll=[canary])
    assert (second := github.run("up")).green, second.said
    assert [ids for _, ids in command.posts()] == [(canary,), tuple(sorted(rest)[:2])]
    assert "    Fleet" in second.summary
    assert (github.shell.folder / "status.html").read_text().startswith("<!doctype html>")


def test_up_reports_where_the_roll_out_stands_after_a_failure(github: GitHub, command: Command) -> None:
    command.faults(refused=command.ids()[:1])
    ran = github.run("up")
    assert (ran.codes["Limit"], ran.codes["Up"], ran.codes["Report"]) == (0, 1, 0)
    assert "edge" in ran.summary


def test_up_with_command_down_is_red_and_requests_nothing(github: GitHub, command: Command) -> None:
    down(command)
    ran = github.run("up")
    assert (ran.codes["Up"], ran.codes["Report"]) == (1, 0)
    assert set(phases(github.shell).values()) == {"due"}


def test_the_nightly_check_opens_one_issue_and_closes_it_when_all_is_well(github: GitHub, command: Command) -> None:
    canary = command.ids()[0]
    assert github.run("up").green
    assert github.run("check").codes == {"Install": 0, "Check": 0, "Issue": 0}
    assert github.issues() == []
    command.world(now="2030-01-01T00:00:00Z")
    for _ in range(2):
        assert (late := github.run("check")).green, late.said
        assert github.issues() == [(1, "open")]
    assert canary in github.shown()["issues"][0]["body"]
    command.world(reenroll=[canary])
    assert github.run("check").green
    assert github.issues() == [(1, "closed")]


def test_the_nightly_check_with_command_down_is_red_and_opens_no_issue(github: GitHub, command: Command) -> None:
    assert github.run("up").green
    down(command)
    ran = github.run("check")
    assert ran.codes == {"Install": 0, "Check": 6}
    assert github.issues() == []
    assert "::error title=Nothing was checked::Keyfactor Command" in ran.said


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.iterdir()), ids=lambda file: file.stem)
def test_no_secret_is_written_into_a_workflow(workflow: Path) -> None:
    for line in workflow.read_text().splitlines():
        name, _, value = line.strip().partition(": ")
        if name.isupper() and name.endswith(("PASSWORD", "TOKEN", "PASSPHRASE")):
            assert value.startswith(("${{ secrets.", "${{ github.token")), line
