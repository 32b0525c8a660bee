"""A repository on GitHub, and its workflows: runs the `run` steps of a job with the expressions of the recipes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.recipes.shell import EXPRESSION, Shell


@dataclass(frozen=True)
class Job:
    """The result of a job.

    Attributes:
        codes: by name, the exit code of each step that ran.
        said: their output.
        summary: the job summary that GitHub shows.
    """

    codes: dict[str, int]
    said: str
    summary: str

    @property
    def green(self) -> bool:
        """Whether every step that ran succeeded."""
        return not any(self.codes.values())


def run_job(shell: Shell, workflow: Path, name: str, context: Mapping[str, str]) -> Job:
    """Run the steps of a job in order, as a runner does.

    Args:
        context: the value of every expression, such as `github.token`; one that is missing fails the test.
    """
    document: dict[str, Any] = yaml.safe_load(workflow.read_text())
    assert document["defaults"]["run"]["shell"] == "bash"
    job = document["jobs"][name]
    output, summary = shell.folder.parent / "output", shell.folder.parent / "summary"
    for file in (output, summary):
        file.write_text("")
    outputs: dict[str, str] = {}

    def fill(value: str) -> str:
        return EXPRESSION.sub(lambda match: {**context, **outputs}[match[1]], value)

    def environment(of: Mapping[str, Any]) -> dict[str, str]:
        return {key: fill(str(value)) for key, value in of.get("env", {}).items()}

    common = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_REPOSITORY": "acme/fleet"}
    common |= environment(document) | environment(job)
    codes: dict[str, int] = {}
    said = ""
    for step in job["steps"]:
        if "run" not in step:
            continue
        # Untrusted text must reach a script only through its environment.
        assert not EXPRESSION.search(step["run"]), step["name"]
        assert step.get("if") in (None, "${{ !cancelled() }}"), step["if"]
        if any(codes.values()) and "if" not in step:
            continue
        ran = shell.run(step["run"], common | environment(step), "-eo", "pipefail")
        codes[step["name"]] = ran.returncode
        said += ran.stdout + ran.stderr
        if "id" in step:
            pairs = (line.partition("=") for line in output.read_text().splitlines())
            outputs |= {f"steps.{step['id']}.outputs.{key}": value for key, _, value in pairs}
    return Job(codes, said, summary.read_text())


class Repository:
    """A repository on GitHub, and a runner with a checkout of it."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._file = shell.folder.parent / "github.json"
        shell.environment["GH_FAKE"] = str(self._file)
        self._file.write_text(json.dumps({"comments": [], "issues": [], "labels": []}))
        self.context = {
            "github.token": "t0ken",
            "github.repository": "acme/fleet",
            "github.server_url": "https://github.example",
            "github.run_id": "77",
            "github.event.pull_request.number": "12",
            "secrets.PULUMI_ACCESS_TOKEN": "",
            **{f"{kind}.{name}": value for name, value in shell.environment.items() for kind in ("vars", "secrets")},
        }

    def say(self, author: str, body: str) -> None:
        """Comment on the pull request."""
        shown = self.shown()
        shown["comments"].append({"id": 90, "issue": "12", "user": {"login": author}, "body": body})
        self._file.write_text(json.dumps(shown))

    def shown(self) -> dict[str, Any]:
        """The comments, issues and labels of the repository."""
        shown: dict[str, Any] = json.loads(self._file.read_text())
        return shown

    def issues(self) -> list[tuple[int, str]]:
        """Number and state of each issue."""
        return [(issue["number"], issue["state"]) for issue in self.shown()["issues"]]
