"""Taking figures: pairs of runs side by side, their spread, and the goals they are held to."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """What a figure is held to; its median counts."""

    bound: Literal["at most", "at least", "exactly"]
    value: float

    def met(self, value: float) -> bool:
        """Whether the figure keeps it."""
        if self.bound == "exactly":
            return value == self.value
        return value <= self.value if self.bound == "at most" else value >= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured, against what.
        values: one for each repetition.
        unit: "x" is a ratio; empty is a count.
        goal: None for a figure that is only told.
        aside: what the figure was made from, such as the medians of both sides of a ratio.
    """

    what: str
    values: Sequence[float]
    unit: str
    goal: Goal | None = None
    aside: str = ""

    @property
    def median(self) -> float:
        """The figure itself."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Met, missed, or nothing to meet."""
        if self.goal is None:
            return ""
        return "met" if self.goal.met(self.median) else "MISSED"


@dataclass(frozen=True)
class Section:
    """The rows of one subject, and how they were taken."""

    title: str
    how: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Pairs:
    """Seconds of two things, run in turns."""

    ours: Sequence[float]
    theirs: Sequence[float]

    def ratios(self) -> list[float]:
        """Ours by theirs, pair by pair."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def speedups(self, scale: float = 1.0) -> list[float]:
        """Theirs by ours, pair by pair; theirs was only a `scale`-th part of the work."""
        return [theirs * scale / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def differences(self) -> list[float]:
        """By how many seconds ours is longer, pair by pair."""
        return [ours - theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def aside(self, scale: float = 1.0) -> str:
        """Both medians."""
        return f"{seconds(median(self.ours))} against {seconds(median(self.theirs) * scale)}"


def in_turns(jobs: Sequence[Callable[[], object]], repetitions: int) -> list[list[float]]:
    """The seconds of each job, by job; in each repetition they are run in the other order.

    The machine is shared: what is compared has to stand side by side, and neither may always be first.
    """
    taken: list[list[float]] = [[] for _ in jobs]
    for repetition in range(repetitions):
        order = list(enumerate(jobs))
        for place, job in order if repetition % 2 == 0 else reversed(order):
            taken[place].append(clocked(job))
    return taken


def clocked(job: Callable[[], object]) -> float:
    """The seconds that a job takes; no garbage of an earlier one is collected in its time."""
    gc.collect()
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
