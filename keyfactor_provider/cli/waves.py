"""The waves of a roll-out: where each ends, in exact integer arithmetic, and which one is open."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SIZE: Final = re.compile(r"([0-9]{1,9})(%)?")


@dataclass(frozen=True)
class Wave:
    """One wave.

    Attributes:
        name: `canaries`, `wave 1`, ...
        ends: how many members have been started when it is full, those of earlier waves included.
    """

    name: str
    ends: int


def waves(members: int, canaries: int, sizes: Sequence[str]) -> tuple[Wave, ...]:
    """The waves of a fleet: the canaries first, then one for each size, of which the last repeats until all are in.

    Raises:
        ValueError: a size is neither a number nor a percentage.
    """
    found = [Wave("canaries", canaries)] if canaries else []
    ends, number = canaries, 0
    steps = [_step(size, members) for size in sizes] or [members]
    while ends < members:
        ends = min(members, ends + steps[min(number, len(steps) - 1)])
        number += 1
        found.append(Wave(f"wave {number}", ends))
    return tuple(found)


def open_wave(all_waves: Sequence[Wave], finished: int) -> int | None:
    """The place of the first wave that is not finished; None when all are."""
    return next((place for place, wave in enumerate(all_waves) if finished < wave.ends), None)


def allowed(max_failed: str, started: int) -> int:
    """How many members may go bad: a number, or a percentage of those started so far, rounded down."""
    number, percent = _parsed(max_failed)
    return started * number // 100 if percent else number


def _step(size: str, members: int) -> int:
    number, percent = _parsed(size)
    return max(1, -(-members * number // 100) if percent else number)


def _parsed(size: str) -> tuple[int, bool]:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{size!r} is neither a number nor a percentage")
    return int(match[1]), match[2] is not None
