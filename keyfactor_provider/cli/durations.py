"""Spans of time as people write and read them."""

import re
from datetime import datetime
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN: Final = re.compile(r"([0-9]{1,9})\s*([smhdw]?)")


def seconds(span: object) -> int:
    """The seconds of a span such as `90`, `"30m"`, `"48h"` or `"7d"`.

    Raises:
        ValueError: it is none; the text repeats it.
    """
    if isinstance(span, (int, float)) and not isinstance(span, bool) and span >= 0:
        return int(span)
    match = _SPAN.fullmatch(span.strip()) if isinstance(span, str) else None
    if match is None:
        raise ValueError(f"{span!r} is not a span of time; expected seconds, or a number with s, m, h, d or w")
    return int(match[1]) * _UNITS[match[2] or "s"]


def utc(moment: datetime | None) -> str:
    """A moment as RFC 3339 in UTC, to the second; empty where there is none."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was, in its largest whole unit, such as `3 d`; empty where there is none."""
    if moment is None:
        return ""
    past = max(0, int((now - moment).total_seconds()))
    unit = next((unit for unit in ("d", "h", "m") if past >= _UNITS[unit]), "s")
    return f"{past // _UNITS[unit]} {'min' if unit == 'm' else unit}"
