"""Whole runs of many fleets, next to as many dynamic resources that do nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.idle import FLEET, IDLE, POSTING
from bench.measure import Goal, Pairs, Row, Section, seconds
from bench.stack import Stack
from keyfactor_standins.command.process import Command, running

HOW = """The wall time of `python -m keyfactor_standins.engine`, processes' starts included: `up --skip-preview` of
a new stack with so many fleets of one member each, `preview --expect-no-changes` of it, and `refresh --skip-
preview`; next to a stack of as many dynamic resources with the same names and arguments, on the same
engine. Of preview and refresh they are resources whose provider does nothing (the SDK's own check, diff
and read); of `up` each has the same hooks and posts once over a kept-alive httpx client. Both provider
classes are importable and have no state. In pairs, the order reversed each time; every run has to end
with exit code 0, and every `up` of fleets has to have posted as often as there are fleets. For one fleet
the figure is the difference in seconds, for more the ratio."""

_REPETITIONS = {1: 7, 100: 5, 1_000: 3}
_ONE = Goal("at most", 0.45)
_MANY = Goal("at most", 1.15)


class Runs:
    """The stacks of one size."""

    def __init__(self, command: Command, folder: Path, size: int) -> None:
        self._command, self._folder, self._size = command, folder, size
        self._ids = command.ids()[:size]
        self._made = 0
        self.pairs: dict[str, tuple[list[float], list[float]]] = {}

    def measure(self, repetitions: int) -> None:
        """Every command, in pairs."""
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
        assert posts == self._size, f"{posts} posts of {self._size} fleets"
        return taken

    def _stack(self, module: str, resource: str) -> Stack:
        """A new one, whose members are to be asked for the status that they do not have."""
        self._made += 1
        stack = Stack(self._folder / f"{self._size}-{self._made}", self._command, module, resource)
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
    """The whole section."""
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
                each = f"{seconds((median(ours) - median(theirs)) / size)} more a fleet"
                aside = f"{pairs.aside()}, {each}"
                yield Row(f"{what}, {size:,} fleets: over idle", pairs.ratios(), "x", _MANY, aside)
