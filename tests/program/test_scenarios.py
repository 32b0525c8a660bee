"""Whole Pulumi programs over the SDK, its provider host and real HTTP, on every engine there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program.scenarios import SCENARIOS, fleet
from tests.support.commands import fresh
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, Stack

START = "2031-03-01T06:00:00Z"
"""What Command's clock shows in the beginning: two engines record the same times."""

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


def played(scenario: Callable[[Stack], None], engine: str, folder: Path) -> Stack:
    with fresh(12) as command:
        command.world(now=START)
        stack = Stack(engine, folder, command)
        scenario(stack)
        return stack


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_on_the_stand_in(scenario: Callable[[Stack], None], tmp_path: Path) -> None:
    played(scenario, "standin", tmp_path)


@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_both_engines_agree(scenario: Callable[[Stack], None], tmp_path: Path) -> None:
    """The same exit codes, the same calls to Command, the same state after each run."""
    ours = played(scenario, "standin", tmp_path / "standin")
    real = played(scenario, "pulumi", tmp_path / "pulumi")
    for mine, theirs in zip(ours.trace, real.trace, strict=True):
        assert mine == theirs


@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
def test_ignored_changes_of_the_members_leave_them_as_they_are(tmp_path: Path) -> None:
    """On the real engine alone: the stand-in refuses ignore_changes."""
    with fresh(12) as command:
        stack, ids = Stack("pulumi", tmp_path, command), command.ids()
        ignoring = ["orchestrator_ids"]
        stack.fleets(fleet("edge", ids[:2], ignore_changes=ignoring))
        assert stack.run("up").posts == [(1, tuple(ids[:2]))]
        stack.fleets(fleet("edge", ids[:5], ignore_changes=ignoring))
        assert stack.run("preview", "--expect-no-changes").exit_code == 0
        stack.fleets(fleet("edge", ids[:5], "Required", ignore_changes=ignoring))
        assert stack.run("up").posts == [(2, tuple(ids[:2]))]
        stack.fleets(fleet("edge", ids[:5], ignore_changes=[f'orchestrator_ids["{ids[0]}"]']))
        assert stack.run("preview").says("ignore_changes names orchestrator_ids[", "a part of a set")
