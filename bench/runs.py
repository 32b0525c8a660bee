"""Whole runs of many fleets, compared with dynamic resources that do nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.idle import FLEET, IDLE, POSTING
from bench.measure import Goal, Pairs, Row, Section, seconds
from bench.stack import Stack
from keyfactor_standins.command.process import Command, running

HOW = """The wall time of `python -m keyfactor_standins.engine`, process starts included: `up --skip-preview` of a new
stack with N fleets of one member each, then its `preview --expect-no-changes` and `refresh --skip-preview`. It is
compared with a stack of N dynamic resources with the same names and arguments on the same engine. For preview and
refresh, these are resources whose provider does nothing (the SDK's check, diff and read); for `up`, each has the same
hooks and sends one POST over a kept-alive httpx client. Both provider classes are importable and have no state. Runs
are paired, in reversed order in every repetition; every run must succeed, and every `up` of fleets must post once per
fleet. For one fleet the figure is the difference in seconds, for more the ratio."""

_REPETITIONS = {1: 7, 100: 5, 1_000: 3}
_ONE = Goal("at most", 0.45)
_MANY = Goal("at most", 1.15)


class Runs:
    """The stacks of one size."""

    def __init__(self, command: Command, folder: Path, size: int) -> None:
        self._command, self._folder, self._size = command, folder, size
        self._ids = command.ids()[:size]
        self._count = 0
        self.pairs: dict[str, tuple[list[float], list[float]]] = {}

    def measure(self, repetitions: int) -> None:
        """Measure every command in pairs."""
        fleets, idle = self._stack(*FLEET), self._stack(*IDLE)
        fleets.run("up")
        idle.run("up")
        for repetition in range(repetitions):
            self._pair("up that creates", repetition, self._fleets_up, lambda: self._stack(*POSTING).run("up"))
            for command, *options in (("preview", "--expect-no-changes"), ("refresh",)):
                self._pair(
                    "no-change preview" if command == "preview" else command,
                    repetition,
                    partial(fleets.run, command, *options),
                    partial(idle.run, command, *options),
                )

    def _pair(self, what: str, repetition: int, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
        taken = self.pairs.setdefault(what, ([], []))
        jobs = list(zip(taken, (ours, theirs), strict=True))
        for times, job in jobs if repetition % 2 == 0 else reversed(jobs):
            times.append(job())

    def _fleets_up(self) -> float:
        stack = self._stack(*FLEET)
        self._command.forget()
        taken = stack.run("up")
        posts = len(self._command.posts())
        assert posts == self._size, f"{posts} posts for {self._size} fleets"
        return taken

    def _stack(self, module: str, resource: str) -> Stack:
        """A new stack, which desires the status that each member does not have."""
        self._count += 1
        stack = Stack(self._folder / f"{self._size}-{self._count}", self._command, module, resource)
        flags = self._command.flags()
        stack.declare(
            [
                {
                    "name": f"fleet-{number:04}",
                    "orchestrator_ids": [agent_id],
                    "status": "Required" if flags[agent_id] == "Requested" else "Requested",
                }
                for number, agent_id in enumerate(self._ids)
            ]
        )
        return stack


def whole_runs() -> Section:
    """The section."""
    return Section("Whole runs", HOW, list(_rows()))


def _rows() -> Iterator[Row]:
    for size, repetitions in _REPETITIONS.items():
        with running("--orchestrators", str(size)) as command, TemporaryDirectory() as folder:
            runs = Runs(command, Path(folder), size)
            runs.measure(repetitions)
        for what, (ours, theirs) in runs.pairs.items():
            pairs = Pairs(ours, theirs)
            if size == 1:
                yield Row(f"{what}, 1 fleet: more than idle", pairs.differences(), "s", _ONE, pairs.aside())
            else:
                aside = f"{pairs.aside()}, {seconds((median(ours) - median(theirs)) / size)} more a fleet"
                yield Row(f"{what}, {size:,} fleets: over idle", pairs.ratios(), "x", _MANY, aside)
