"""The course of a roll-out over time, from the recorded times: as coordinates of a chart, and as numbers."""

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
"""The least distance between two labels on the left, so that they stay legible."""
_DAYS: Final = 60
"""The most rows in the table of numbers."""


@dataclass(frozen=True)
class Line:
    """A horizontal line at a number of members."""

    y: float
    label: str


@dataclass(frozen=True)
class Course:
    """One chart.

    Attributes:
        requested, reenrolled: paths in the coordinates of the chart; empty if no member has such a time.
        lines: at zero, at the end of each wave, and at the whole fleet.
        since, until: the ends of the time axis.
        days: for each day with an event: the day, the total requested, the total re-enrolled.
        untimed: how many members have re-enrolled at a time that was not recorded.
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
    """The course of a fleet up to now; None if no times are recorded."""
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
    return sorted(time for text in recorded if (time := moment(text)) is not None)


def _path(times: Sequence[datetime], begin: datetime, end: datetime, members: int) -> str:
    """A stepped line with at most one step per unit of width."""
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
    lines = [Line(_y(0, members), "0"), Line(_y(members, members), str(members))]
    for wave in waves:
        y = _y(wave.ends, members)
        if all(abs(y - line.y) >= _APART for line in lines):
            lines.append(Line(y, str(wave.ends)))
    return tuple(sorted(lines, key=lambda line: line.y))


def _days(requested: Sequence[datetime], reenrolled: Sequence[datetime]) -> tuple[tuple[str, int, int], ...]:
    requests, renewals = (Counter(utc(time)[:10] for time in times) for times in (requested, reenrolled))
    rows, so_far = [], (0, 0)
    for day in sorted(requests.keys() | renewals.keys()):
        so_far = (so_far[0] + requests[day], so_far[1] + renewals[day])
        rows.append((day, *so_far))
    return tuple(rows[-_DAYS:])
