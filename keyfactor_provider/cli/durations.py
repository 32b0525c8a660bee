"""Recorded times in a form for people."""

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = {"d": 86400, "h": 3600, "min": 60}


def utc(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(recorded: str) -> datetime | None:
    """The moment of a recorded time; None if it is empty or invalid."""
    try:
        time = datetime.fromisoformat(recorded)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def ago(recorded: str, now: datetime) -> str:
    """How long ago a recorded time was, in its largest whole unit, such as `3 d`; empty if there is no time."""
    then = moment(recorded)
    if then is None:
        return ""
    past = max(0, int((now - then).total_seconds()))
    unit, size = next(((unit, size) for unit, size in _UNITS.items() if past >= size), ("s", 1))
    return f"{past // size} {unit}"
