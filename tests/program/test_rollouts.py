"""Roll-outs over several runs, on every engine there is; update plans on the real CLI alone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.program.rollouts import ROLLOUTS
from tests.program.scenarios import fleet
from tests.program.test_scenarios import played
from tests.support.commands import fresh
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

real = pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(12) as command:
        yield command


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=lambda rollout: rollout.__name__)
def test_on_the_stand_in(rollout: Callable[[Stack], None], tmp_path: Path) -> None:
    played(rollout, "standin", tmp_path)


@real
@pytest.mark.parametrize("rollout", ROLLOUTS, ids=lambda rollout: rollout.__name__)
def test_both_engines_agree(rollout: Callable[[Stack], None], tmp_path: Path) -> None:
    """The same exit codes, the same calls to Command, the same state after each run."""
    ours, theirs = (played(rollout, engine, tmp_path / engine) for engine in ("standin", "pulumi"))
    for mine, real_one in zip(ours.trace, theirs.trace, strict=True):
        assert mine == real_one


@pytest.fixture
def stack(command: Command, tmp_path: Path) -> Stack:
    """A fleet of six in waves of two, of which the first has been requested, on the real CLI."""
    stack = Stack("pulumi", tmp_path, command, {"PULUMI_EXPERIMENTAL": "true"})
    stack.fleets(fleet("edge", command.ids()[:6], waves=[2]))
    return stack


def planned(stack: Stack) -> list[str]:
    """What a plan that is saved now would do to the fleet."""
    ran = stack.run("preview", "--refresh", "--save-plan", str(stack.folder / "plan.json"))
    assert ran.exit_code == 0, ran.text
    plan = json.loads((stack.folder / "plan.json").read_text())
    (steps,) = [each["steps"] for urn, each in plan["resourcePlans"].items() if urn.endswith("::edge")]
    found: list[str] = steps
    return found


@real
def test_a_saved_plan_of_a_healthy_rollout_opens_the_next_wave(stack: Stack) -> None:
    ids = stack.command.ids()
    assert planned(stack) == ["create"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[:2]))]), ran.text
    assert planned(stack) == ["same"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, []), ran.text
    stack.command.world(reenroll=ids[:2])
    assert planned(stack) == ["update"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[2:4]))]), ran.text


@real
def test_a_saved_plan_of_a_halted_rollout_retries_and_starts_nobody(stack: Stack) -> None:
    ids = stack.command.ids()
    stack.command.faults(refused=ids[:1])
    assert stack.run("up").exit_code == 1
    stack.command.world(reenroll=ids[1:2])
    assert planned(stack) == ["update"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (1, [(1, (ids[0],))]), ran.text
    stack.command.faults(refused=[])
    assert planned(stack) == ["update"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[0],))]), ran.text


@real
def test_a_saved_plan_of_a_paused_rollout_changes_nothing_more(stack: Stack) -> None:
    ids = stack.command.ids()
    assert stack.run("up").exit_code == 0
    stack.command.world(reenroll=ids[:2])
    stack.fleets(fleet("edge", ids[:6], waves=[2], paused=True))
    assert planned(stack) == ["update"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, []), ran.text
    assert planned(stack) == ["same"]
    ran = stack.run("up", "--refresh", "--plan", str(stack.folder / "plan.json"))
    assert (ran.exit_code, ran.posts) == (0, []), ran.text
