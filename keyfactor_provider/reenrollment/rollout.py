"""Rolling a fleet out: which members have started, which are bad, and which may start in this run.

docs/rollout.md has the rules: waves like Ansible's `serial`, canaries that go first, and a budget of bad members.
Nothing here is stored; everything is counted from the recorded members.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor

from keyfactor_provider.reenrollment.desired import Rollout, share
from keyfactor_provider.reenrollment.life import NONE, good
from keyfactor_provider.reenrollment.record import Member, Phase

_NOT_STARTED = frozenset({Phase.REENROLLED, Phase.SETTLED, Phase.LEAVING})
_BAD = frozenset({Phase.REJECTED, Phase.MISSING})


@dataclass(frozen=True)
class Tally:
    """The state of a roll-out.

    Attributes:
        members: the number of members.
        started: how many were requested in this round, or selected and failed.
        finished: how many of these are good or bad.
        bad: GUIDs of started members that are rejected, not found or overdue.
        budget: how many members may be bad.
        bad_canaries: GUIDs of the canaries that are bad.
        open_canaries: GUIDs of the canaries that are not good yet; the other members wait for them.
        lost_canaries: whether all canaries re-enrolled without a request, so that none of them tests anything.
        queued: GUIDs of the members that have not started.
        wave: the number of the current wave, starting at 1; the canaries are wave 0.
        room: how many more members, apart from canaries, the current wave lets start.
        blocked: why no further members start: "halted", "paused", or empty.
    """

    members: int
    started: int
    finished: int
    bad: tuple[str, ...]
    budget: int
    bad_canaries: tuple[str, ...]
    open_canaries: tuple[str, ...]
    lost_canaries: bool
    queued: tuple[str, ...]
    wave: int
    room: int
    blocked: str

    @property
    def over_budget(self) -> bool:
        """Whether more members are bad than allowed, or any canary is."""
        return len(self.bad) > self.budget or bool(self.bad_canaries)


def has_started(member: Member) -> bool:
    """Whether a member was selected in this round, or has a flag set."""
    if member.desired is NONE or member.queued:
        return False
    return bool(member.requested_at) or member.requested_status is not None or member.phase not in _NOT_STARTED


def is_bad(member: Member) -> bool:
    """Whether a started member counts against the budget."""
    return member.desired is not NONE and (member.phase in _BAD or member.overdue)


def tally(members: Mapping[str, Member], rollout: Rollout) -> Tally:
    """Counts the members of a fleet; removed ones must not be among them."""
    started = {member_id for member_id, member in members.items() if has_started(member)}
    bad = sorted(member_id for member_id in started if is_bad(members[member_id]))
    finished = sum(1 for member_id in started if good(members[member_id])) + len(bad)
    queued = sorted(member_id for member_id, member in members.items() if member.queued)
    named = rollout.canary_ids & members.keys()
    canaries = {member_id for member_id in named if member_id in started or members[member_id].queued}
    budget = floor(share(rollout.max_failed, len(started)))
    bad_canaries = tuple(sorted(canaries.intersection(bad)))
    wave, upto = _wave(rollout, len(canaries), len(members), finished)
    blocked = "paused" if rollout.paused else ""
    if rollout.limited and (len(bad) > budget or bad_canaries):
        blocked = "halted"
    return Tally(
        members=len(members),
        started=len(started),
        finished=finished,
        bad=tuple(bad),
        budget=budget,
        bad_canaries=bad_canaries,
        open_canaries=tuple(sorted(member_id for member_id in canaries if not good(members[member_id]))),
        lost_canaries=bool(named) and not canaries and bool(queued),
        queued=tuple(queued),
        wave=wave,
        room=max(0, upto - len(started)),
        blocked=blocked,
    )


def select(counted: Tally, rollout: Rollout) -> tuple[str, ...]:
    """GUIDs of the queued members that start in this run: canaries first, the others once every canary is good."""
    if counted.blocked:
        return ()
    if not rollout.limited:
        return counted.queued
    if canaries := tuple(member_id for member_id in counted.queued if member_id in rollout.canary_ids):
        return canaries
    return () if counted.open_canaries else counted.queued[: counted.room]


def _wave(rollout: Rollout, canaries: int, members: int, finished: int) -> tuple[int, int]:
    """The number of the current wave, and how many members may have started by its end."""
    upto = canaries
    if finished < upto:
        return 0, upto
    for number, size in enumerate(_sizes(rollout, members), 1):
        upto += size
        if finished < upto or upto >= members:
            return number, upto
    more = (finished - upto) // size + 1
    return number + more, upto + more * size


def _sizes(rollout: Rollout, members: int) -> Iterator[int]:
    """The number of members that each wave adds; the last size repeats."""
    for size in rollout.waves or ("100%",):
        yield max(1, ceil(share(size, members)))
