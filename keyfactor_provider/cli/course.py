"""The course of a roll-out over time, from the recorded times, as the coordinates of a picture and as numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyfactor_provider.cli.durations import moment, utc
from keyfactor_provider.cli.waves import Wave
from keyfactor_provider.reenrollment.record import Record

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


def course(record: Record, waves: Sequence[Wave], at: datetime) -> Course | None:
    """The course of a fleet until now; None where no time is recorded."""
    staying = [member for _, member in record.staying()]
    requested = _times(member.requested_at for member in staying)
    reenrolled = _times(member.reenrolled_at for member in staying)
    if not requested and not reenrolled:
        return None
    begin, end = min([*requested, *reenrolled]), max([at, *requested, *reenrolled])
    if begin == end:
        return None
    return Course(
        requested=_path(requested, begin, end, len(staying)),
        reenrolled=_path(reenrolled, begin, end, len(staying)),
        requested_count=len(requested),
        reenrolled_count=len(reenrolled),
        lines=_lines(waves, len(staying)),
        since=utc(begin)[:16].replace("T", " "),
        until=utc(end)[:16].replace("T", " "),
        days=_days(requested, reenrolled),
        untimed=len(record.reenrolled_ids()) - len(reenrolled),
    )


def _times(recorded: Iterable[str]) -> list[datetime]:
    return sorted(found for each in recorded if (found := moment(each)) is not None)


def _path(times: Sequence[datetime], begin: datetime, end: datetime, members: int) -> str:
    """A line of steps, of at most one step for each unit of width."""
    if not times:
        return ""
    span = (end - begin).total_seconds()
    steps: dict[int, int] = {}
    for number, time in enumerate(times, 1):
        steps[round(LEFT + (RIGHT - LEFT) * (time - begin).total_seconds() / span)] = number
    path = [f"M{LEFT} {_y(0, members):g}"]
    for x, number in steps.items():
        path.append(f"H{x}V{_y(number, members):g}")
    return "".join([*path, f"H{RIGHT}"])


def _y(number: int, members: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * number / members, 1)


def _lines(waves: Sequence[Wave], members: int) -> tuple[Line, ...]:
    found = [Line(_y(0, members), "0"), Line(_y(members, members), str(members))]
    for wave in waves:
        y = _y(wave.ends, members)
        if all(abs(y - line.y) >= _APART for line in found):
            found.append(Line(y, str(wave.ends)))
    return tuple(sorted(found, key=lambda line: line.y))


def _days(requested: Sequence[datetime], reenrolled: Sequence[datetime]) -> tuple[tuple[str, int, int], ...]:
    asked, done = (Counter(utc(time)[:10] for time in times) for times in (requested, reenrolled))
    rows, so_far = [], (0, 0)
    for day in sorted(asked.keys() | done.keys()):
        so_far = (so_far[0] + asked[day], so_far[1] + done[day])
        rows.append((day, *so_far))
    return tuple(rows[-_DAYS:])
