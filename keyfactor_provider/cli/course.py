"""The course of a roll-out over time, from the recorded times, as the coordinates of a picture and as numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyfactor_provider.cli.durations import utc
from keyfactor_provider.cli.recorded import Fleet

WIDTH: Final = 440
HEIGHT: Final = 240
LEFT: Final = 44
RIGHT: Final = 430
TOP: Final = 34
BOTTOM: Final = 206
_APART: Final = 16
"""Between two labels at the left, so that they can be read."""
_DAYS: Final = 60
"""Rows of the table of numbers."""


@dataclass(frozen=True)
class Line:
    """A horizontal line at a number of members."""

    y: float
    label: str


@dataclass(frozen=True)
class Course:
    """One picture.

    Attributes:
        requested, reenrolled: paths in the coordinates of the picture; empty where nobody has such a time.
        lines: the ends of the waves, and of the whole fleet.
        since, until: what the time axis begins and ends with.
        days: per day with an event: the day, requested so far, re-enrolled so far.
        untimed: how many members have re-enrolled at a time that nobody recorded.
    """

    requested: str
    reenrolled: str
    requested_count: int
    reenrolled_count: int
    lines: tuple[Line, ...]
    since: str
    until: str
    days: tuple[tuple[str, int, int], ...]
    untimed: int


def course(fleet: Fleet, at: datetime) -> Course | None:
    """The course of a fleet until now; None where no time is recorded."""
    staying = fleet.staying
    requested = sorted(member.requested_at for member in staying if member.requested_at)
    reenrolled = sorted(member.reenrolled_at for member in staying if member.reenrolled_at)
    if not requested and not reenrolled:
        return None
    begin, end = min([*requested, *reenrolled]), max([at, *requested, *reenrolled])
    if begin == end:
        return None
    done = sum(member.phase == "re-enrolled" for member in staying)
    return Course(
        requested=_path(requested, begin, end, len(staying)),
        reenrolled=_path(reenrolled, begin, end, len(staying)),
        requested_count=len(requested),
        reenrolled_count=len(reenrolled),
        lines=_lines(fleet, len(staying)),
        since=utc(begin)[:16].replace("T", " "),
        until=utc(end)[:16].replace("T", " "),
        days=_days(requested, reenrolled),
        untimed=done - len(reenrolled),
    )


def _path(times: Sequence[datetime], begin: datetime, end: datetime, members: int) -> str:
    """A line of steps, of at most one step for each unit of width."""
    if not times:
        return ""
    span = (end - begin).total_seconds()
    steps: dict[int, int] = {}
    for number, moment in enumerate(times, 1):
        steps[round(LEFT + (RIGHT - LEFT) * (moment - begin).total_seconds() / span)] = number
    path = [f"M{LEFT} {_y(0, members):g}"]
    for x, number in steps.items():
        path.append(f"H{x}V{_y(number, members):g}")
    return "".join([*path, f"H{RIGHT}"])


def _y(number: int, members: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * number / members, 1)


def _lines(fleet: Fleet, members: int) -> tuple[Line, ...]:
    found = [Line(_y(0, members), "0"), Line(_y(members, members), str(members))]
    for wave in fleet.all_waves:
        y = _y(wave.ends, members)
        if all(abs(y - line.y) >= _APART for line in found):
            found.append(Line(y, str(wave.ends)))
    return tuple(sorted(found, key=lambda line: line.y))


def _days(requested: Sequence[datetime], reenrolled: Sequence[datetime]) -> tuple[tuple[str, int, int], ...]:
    asked, done = (Counter(utc(moment)[:10] for moment in times) for times in (requested, reenrolled))
    rows, so_far = [], (0, 0)
    for day in sorted(asked.keys() | done.keys()):
        so_far = (so_far[0] + asked[day], so_far[1] + done[day])
        rows.append((day, *so_far))
    return tuple(rows[-_DAYS:])
