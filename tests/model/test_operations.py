"""In random histories of orchestrators, programs and calls, requests and records follow the rules.

The machine runs the operations of one process per run, on a model of Command; `rules` judges every step.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Fleets


def _run(examples: int, steps: int, *, random: bool) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call, unused-ignore]
        Fleets,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            derandomize=not random,
            database=None,
        ),
    )


def test_every_run_of_every_stack_does_what_the_rules_say() -> None:
    _run(examples=60, steps=12, random=False)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_run_of_every_stack_does_what_the_rules_say_for_long() -> None:
    _run(examples=30_000, steps=30, random=True)
