"""Figures: measured in pairs, with their spread and their goals."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """A bound for the median of a figure."""

    bound: Literal["at most", "at least", "exactly"]
    value: float

    def met(self, value: float) -> bool:
        """Whether a value meets the goal."""
        if self.bound == "exactly":
            return value == self.value
        return value <= self.value if self.bound == "at most" else value >= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured, compared with what.
        values: one per repetition.
        unit: "x" for a ratio; empty for a count.
        goal: None for a figure that is only reported.
        aside: what the figure was computed from, such as the medians of both sides of a ratio.
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
        """Whether the goal is met; empty without a goal."""
        if self.goal is None:
            return ""
        return "met" if self.goal.met(self.median) else "MISSED"


@dataclass(frozen=True)
class Section:
    """The rows of one subject, and how they were measured."""

    title: str
    how: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Pairs:
    """The seconds of two jobs, run in turns."""

    ours: Sequence[float]
    theirs: Sequence[float]

    def ratios(self) -> list[float]:
        """Ours by theirs, pair by pair."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def speedups(self, scale: float = 1.0) -> list[float]:
        """Theirs by ours, pair by pair; theirs did only 1/`scale` of the work."""
        return [theirs * scale / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def differences(self) -> list[float]:
        """Ours minus theirs in seconds, pair by pair."""
        return [ours - theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def aside(self, scale: float = 1.0) -> str:
        """Both medians."""
        return f"{seconds(median(self.ours))} against {seconds(median(self.theirs) * scale)}"


def in_turns(jobs: Sequence[Callable[[], object]], repetitions: int) -> list[list[float]]:
    """The seconds of each job, by job; the order is reversed in every repetition.

    The machine is shared, so jobs that are compared run next to each other, and neither is always first.
    """
    taken: list[list[float]] = [[] for _ in jobs]
    for repetition in range(repetitions):
        order = list(enumerate(jobs))
        for place, job in order if repetition % 2 == 0 else reversed(order):
            taken[place].append(clocked(job))
    return taken


def clocked(job: Callable[[], object]) -> float:
    """The seconds that a job takes, without collecting the garbage of an earlier one."""
    gc.collect()
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def seconds(value: float) -> str:
    """A readable time."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
