"""Every mutation of a rule fails a test."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
FAST = ("tests/reenrollment", "tests/operations", "tests/model/test_operations.py")
"""The tests that must fail: those of the decisions, in this order, then the model."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, in which one line at a time is mutated."""
    copy = tmp_path_factory.mktemp("house")
    for each in ("keyfactor_provider", "tests", "keyfactor_standins"):
        shutil.copytree(ROOT / each, copy / each, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule)
def test_what_is_broken_is_there_to_be_broken(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule)
def test_a_broken_rule_fails_a_test(mutation: Mutation, house: Path) -> None:
    file = house / mutation.file
    whole = file.read_text()
    file.write_text(whole.replace(mutation.old, mutation.new))
    try:
        line = [sys.executable, "-m", "pytest", "-x", "-m", "not long", *FAST]
        ran = subprocess.run(line, cwd=house, capture_output=True, text=True, check=False)
    finally:
        file.write_text(whole)
    assert ran.returncode == 1, ran.stdout
