"""The waves of a roll-out for people: where each ends, and what the open one is called."""

from dataclasses import dataclass
from math import ceil

from keyfactor_provider.reenrollment.desired import share
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.rollout import Tally, has_started, tally


@dataclass(frozen=True)
class Wave:
    """One wave.

    Attributes:
        name: `canaries`, `wave 1`, ...
        ends: how many members have been started when it is full, those of earlier waves included.
    """

    name: str
    ends: int


@dataclass(frozen=True)
class Progress:
    """How far the waves of a fleet are.

    Attributes:
        waves: in their order; empty where everybody is requested at once.
        place: of the open wave; None when all are finished, or there are none.
        counted: what the core counts.
    """

    waves: tuple[Wave, ...]
    place: int | None
    counted: Tally

    @property
    def name(self) -> str:
        """What people call the open wave, and why it is blocked; empty where there are no waves."""
        if not self.waves:
            return ""
        blocked = f", {self.counted.blocked}" if self.counted.blocked else ""
        if self.place is None:
            return f"all waves finished{blocked}"
        wave = self.waves[self.place]
        of = "" if wave.name == "canaries" else f" of {sum(each.name != 'canaries' for each in self.waves)}"
        return f"{wave.name}{of}{blocked}"

    @property
    def next_room(self) -> int:
        """How many of the queued one run may start at most, whatever it finds of those that have started."""
        if self.counted.blocked == "paused" or not self.waves:
            return 0
        ends = next((wave.ends for wave in self.waves if wave.ends > self.counted.started), self.counted.members)
        return min(len(self.counted.queued), max(0, ends - self.counted.started))


def progress(record: Record) -> Progress:
    """How far the waves of a fleet are, by what is recorded."""
    members = dict(record.staying())
    counted = tally(members, record.rollout)
    if not record.rollout.limited:
        return Progress((), None, counted)
    # A canary that re-enrolled without having been requested counts nowhere.
    named = [members[one] for one in record.rollout.canary_ids if one in members]
    canaries = sum(has_started(member) or member.queued for member in named)
    waves = [Wave("canaries", canaries)] if canaries else []
    sizes = [max(1, ceil(share(size, len(members)))) for size in record.rollout.waves or ("100%",)]
    ends, number = canaries, 0
    while ends < len(members):
        ends = min(len(members), ends + sizes[min(number, len(sizes) - 1)])
        number += 1
        waves.append(Wave(f"wave {number}", ends))
    finished = not counted.queued and counted.finished == counted.started
    place = None if finished else next((i for i, wave in enumerate(waves) if counted.finished < wave.ends), None)
    return Progress(tuple(waves), place, counted)
