"""The same machine on the whole path: a program, the SDK, an engine, a provider host, HTTP and Command."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from standins.command.process import Command, running
from tests.model.command import World
from tests.model.engine import EngineStack, EngineWorld
from tests.model.machine import Fleets

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        yield command


def _run(command: Command, folder: Path, seconds: float, examples: int, steps: int, *, random: bool) -> None:
    """So many examples, or as many as the time is enough for."""
    until = time.monotonic() + seconds

    class OnTheEngine(Fleets):
        def setting(self, names: Sequence[str]) -> tuple[World, list[Any]]:
            if time.monotonic() > until:  # what is left of the examples costs next to nothing
                return super().setting(names)
            world = EngineWorld(command=command)
            return world, [EngineStack(name, world, folder) for name in names]

    run_state_machine_as_test(
        OnTheEngine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=not random,
            database=None,
        ),
    )


@pytest.mark.timeout(300)
def test_runs_on_the_engine_keep_what_must_hold_of_any_run(command: Command, tmp_path: Path) -> None:
    _run(command, tmp_path, seconds=30, examples=20, steps=8, random=False)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_runs_on_the_engine_keep_what_must_hold_of_any_run_for_long(command: Command, tmp_path: Path) -> None:
    _run(command, tmp_path, seconds=1200, examples=200, steps=15, random=True)
