"""When a round counts as complete: every member re-enrolled, and its new certificate in use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keyfactor_provider.reenrollment.life import Observation, judge
from keyfactor_provider.reenrollment.record import Member, Phase


@dataclass
class Progress:
    """How far a round is.

    Attributes:
        done: the members that count as complete.
        waiting: why each of the others does not, by GUID.
        warnings: what to know of members that count although not all is as one would wish.
    """

    done: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


def round_of(members: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What tells one round of a fleet from another, by the members in its state: each one's status and baseline."""
    return {
        member_id: f"{member['status']} since {member.get('baseline') or 'no certificate'}"
        for member_id, member in members.items()
        if member["phase"] != Phase.LEAVING.value
    }


def progress(members: Mapping[str, Member], seen: Mapping[str, Observation | None]) -> Progress:
    """How far a fleet is, from its members' records and a reading of them."""
    made = Progress()
    for member_id, recorded in members.items():
        reading = seen[member_id]
        member = judge(recorded, reading).member
        if member.phase is Phase.SETTLED:
            made.done.append(member_id)
            made.warnings[member_id] = "is not asked for anything"
        elif member.phase is not Phase.REENROLLED:
            made.waiting[member_id] = f"{member.phase.value}: {member.reason}" if member.reason else member.phase.value
        elif reading is None:
            made.done.append(member_id)
            made.warnings[member_id] = "has re-enrolled and is gone from Command since"
        else:
            _judge_use(made, member_id, reading)
    return made


def _judge_use(made: Progress, member_id: str, reading: Observation) -> None:
    if reading.last_used is None:
        made.done.append(member_id)
        made.warnings[member_id] = "has its new certificate issued, use not seen"
    elif reading.last_used == reading.thumbprint and reading.legacy is None:
        made.done.append(member_id)
    else:
        made.waiting[member_id] = "re-enrolled, its new certificate not used yet"
