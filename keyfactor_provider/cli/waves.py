"""The waves of a roll-out for people: where each ends, and the name of the open one."""

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
        ends: how many members have started once it is full, including those of earlier waves.
    """

    name: str
    ends: int


@dataclass(frozen=True)
class Progress:
    """The progress of a fleet's waves.

    Attributes:
        waves: in order; empty if all members are requested at once.
        place: the index of the open wave; None if all are finished, or there are none.
        counted: the state of the roll-out.
    """

    waves: tuple[Wave, ...]
    place: int | None
    counted: Tally

    @property
    def name(self) -> str:
        """The name of the open wave, and why it is blocked; empty if there are no waves."""
        if not self.waves:
            return ""
        blocked = f", {self.counted.blocked}" if self.counted.blocked else ""
        if self.place is None:
            return f"all waves finished{blocked}"
        wave = self.waves[self.place]
        of = "" if wave.name == "canaries" else f" of {sum(wave.name != 'canaries' for wave in self.waves)}"
        return f"{wave.name}{of}{blocked}"

    @property
    def next_room(self) -> int:
        """The most queued members that one run may start, whatever it observes of those that have started."""
        if self.counted.blocked == "paused" or not self.waves:
            return 0
        ends = next((wave.ends for wave in self.waves if wave.ends > self.counted.started), self.counted.members)
        return min(len(self.counted.queued), max(0, ends - self.counted.started))


def progress(record: Record) -> Progress:
    """The progress of a fleet's waves, judged by the record."""
    members = dict(record.staying())
    counted = tally(members, record.rollout)
    if not record.rollout.limited:
        return Progress((), None, counted)
    # A canary that re-enrolled without a request does not count.
    named = [members[guid] for guid in record.rollout.canary_ids if guid in members]
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
