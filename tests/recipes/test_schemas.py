"""Every pipeline of the recipes is valid by the schemas in `check-jsonschema`, and its shell scripts parse."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stacks import ROOT

GITHUB = ("--builtin-schema", "vendor.github-workflows")
TIMEOUT = ("--builtin-schema", "custom.github-workflows-require-timeout")
GITLAB = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
AZURE = ("--builtin-schema", "vendor.azure-pipelines", "--regex-variant", "python")
WORKFLOWS = sorted((ROOT / "examples").glob("*/.github/workflows/*.yml"))
AZURE_PAGE = ROOT / "docs" / "recipes" / "azure.md"


def blocks(page: Path) -> list[str]:
    """The YAML in a page."""
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def valid(file: Path, schema: tuple[str, ...]) -> bool:
    """Check a file without network access."""
    line = [str(Path(sys.executable).with_name("check-jsonschema")), *schema, str(file)]
    return subprocess.run(line, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
@pytest.mark.parametrize("schema", [GITHUB, TIMEOUT], ids=["schema", "timeout"])
def test_each_workflow_of_github_is_valid(workflow: Path, schema: tuple[str, ...]) -> None:
    assert valid(workflow, schema)


def test_the_pipeline_of_gitlab_is_valid() -> None:
    assert valid(ROOT / "examples" / "ci-gitlab" / ".gitlab-ci.yml", GITLAB)


def test_the_pipeline_of_azure_is_valid_and_a_misspelt_one_is_not(tmp_path: Path) -> None:
    (content,) = blocks(AZURE_PAGE)
    file = tmp_path / "azure-pipelines.yml"
    file.write_text(content)
    assert valid(file, AZURE)
    file.write_text(content.replace("steps:", "step:"))
    assert not valid(file, AZURE)


def test_the_shell_of_azure_parses() -> None:
    (content,) = blocks(AZURE_PAGE)
    document: dict[str, Any] = yaml.safe_load(content)
    scripts = [step["bash"] for job in document["jobs"] for step in job["steps"] if "bash" in step]
    assert len(scripts) == 7
    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_files_of_the_operator_are_documents_of_kubernetes() -> None:
    page = ROOT / "docs" / "recipes" / "kubernetes-operator.md"
    kinds = [document["kind"] for block in blocks(page) for document in yaml.safe_load_all(block)]
    assert kinds == ["ServiceAccount", "ClusterRoleBinding", "Secret", "Stack", "CronJob"]
