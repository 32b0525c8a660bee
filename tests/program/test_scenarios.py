"""Whole Pulumi programs over the SDK, its provider host and real HTTP, on every engine there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from standins.command.process import running
from tests.program.scenarios import SCENARIOS
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


def _played(scenario: Callable[[Stack], None], engine: str, folder: Path) -> Stack:
    with running("--orchestrators", "12") as command:
        stack = Stack(engine, folder, command)
        scenario(stack)
        return stack


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_on_the_stand_in(scenario: Callable[[Stack], None], tmp_path: Path) -> None:
    _played(scenario, "standin", tmp_path)


@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_both_engines_agree(scenario: Callable[[Stack], None], tmp_path: Path) -> None:
    """The same exit codes, the same calls to Command, the same state after each run."""
    ours = _played(scenario, "standin", tmp_path / "standin")
    real = _played(scenario, "pulumi", tmp_path / "pulumi")
    for mine, theirs in zip(ours.trace, real.trace, strict=True):
        assert mine == theirs
