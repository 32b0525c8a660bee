"""The decisions of `reenrollment` on a fleet, without an engine or a network."""

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.children import die_with_parent
from bench.measure import Goal, Row, Section, in_turns
from keyfactor_provider.reenrollment import fleet, life
from keyfactor_provider.reenrollment.desired import Desired, check
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import from_state, to_state
from keyfactor_provider.status import ReenrollmentStatus

HOW = """In a new Python process, without an engine or a network. `plan` is `fleet.members_of`, `observe` and `start`:
from the desired state and an observation to the requests. `create` is everything that `reenrollment` does in a create:
the plan, the responses of Command for each member (`life.accepted`), and the state (`to_state`). `check` validates the
inputs of the program. `diff` is `from_state` and `fleet.forecast` where nothing changes. The sizes run in turns, in
reversed order in every repetition. Linear: the time per member of 100,000 over that of 1,000, repetition by repetition;
1 is exactly linear."""

SIZES = (1_000, 10_000, 100_000)
_REPETITIONS = 7
_LOOPS = {1_000: 20, 10_000: 3, 100_000: 1}
"""How often a job runs in one measurement."""

_IN_TIME = Goal("at most", 0.5)
_LINEAR = Goal("at most", 1.5)
"""More than 1, since 100,000 members no longer fit a processor cache."""


AT = life.moment(datetime(2026, 11, 26, tzinfo=UTC))


class Subject:
    """A fleet of one size, and the operations to time."""

    def __init__(self, size: int) -> None:
        seeded = random.Random(size)
        ids = [str(uuid.UUID(int=seeded.getrandbits(128), version=4)) for _ in range(size)]
        self.inputs = {"orchestrator_ids": ids, "status": "Requested"}
        self.desired = Desired("fleet", frozenset(ids), ReenrollmentStatus.REQUESTED)
        self.observed: dict[str, life.Observation | None] = {
            agent_id: life.Observation("None", f"{seeded.getrandbits(160):040X}", f"edge-{number:06}.plant.example")
            for number, agent_id in enumerate(ids)
        }
        self.state = self.create()

    def check(self) -> None:
        """Validate the inputs."""
        assert not check("fleet", self.inputs).problems

    def plan(self) -> fleet.Plan:
        """Decide."""
        plan = fleet.observe(fleet.members_of(Record("fleet"), self.desired), {}, self.observed, AT)
        fleet.start(plan, self.desired.rollout, self.observed)
        return plan

    def create(self) -> dict[str, Any]:
        """Make the state of a new fleet."""
        plan = self.plan()
        for member_id, status in plan.requests.items():
            plan.members[member_id] = life.accepted(plan.members[member_id], status, AT)
        return to_state(fleet.recorded(self.desired, plan.members, ""))

    def diff(self) -> None:
        """Find nothing to do."""
        assert not fleet.forecast(from_state(self.state), self.desired).changes


def deciding() -> Section:
    """The section."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.deciding"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=die_with_parent,
        env=dict(os.environ),
    )
    taken: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    rows = []
    for what, by_size in taken.items():
        for size in SIZES:
            values = by_size[str(size)]
            rows.append(Row(f"{what}: {size:,} members", values, "s", _IN_TIME))
        small, large = by_size[str(SIZES[0])], by_size[str(SIZES[-1])]
        ratios = [big / SIZES[-1] / (little / SIZES[0]) for big, little in zip(large, small, strict=True)]
        rows.append(
            Row(
                f"{what}: time per member, {SIZES[-1]:,} over {SIZES[0]:,}",
                ratios,
                "x",
                _LINEAR,
                f"at best {min(large) / SIZES[-1] * 1e6:.2g} µs a member of {SIZES[-1]:,}",
            )
        )
    return Section("Deciding", HOW, rows)


def _child() -> None:
    """Print the seconds by operation and size."""
    taken: dict[str, dict[int, list[float]]] = {}
    for what in ("plan", "create", "check", "diff"):
        subjects = [Subject(size) for size in SIZES]
        jobs = [_loop(getattr(subject, what), _LOOPS[len(subject.observed)]) for subject in subjects]
        times = in_turns(jobs, _REPETITIONS)
        taken[what] = {
            size: [value / _LOOPS[size] for value in values] for size, values in zip(SIZES, times, strict=True)
        }
    print(json.dumps(taken))


def _loop(job: Callable[[], object], loops: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(loops):
            job()

    return run


if __name__ == "__main__":
    _child()
