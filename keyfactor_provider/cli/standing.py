"""Where roll-outs stand: counts, waves and stragglers of each fleet, as plain data; and what a pipeline fails on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from keyfactor_provider import text
from keyfactor_provider.cli.durations import utc
from keyfactor_provider.cli.exits import Exit
from keyfactor_provider.cli.recorded import DRIFTED, FAILED, PHASES, QUEUED, Fleet, Member
from keyfactor_provider.command.wire import Agent

Reason = Literal["failed", "overdue", "drift"]
CODES: Final[Mapping[Reason, Exit]] = {"failed": Exit.FAILED, "overdue": Exit.OVERDUE, "drift": Exit.DRIFT}
"""What `--fail-on` takes, in the order in which the exit code is chosen."""

_ORDER: Final = ("failed", "overdue", "drift", "waiting")


@dataclass(frozen=True)
class Straggler:
    """A member that was started and is not done: re-enrolled, with its new certificate in use.

    Attributes:
        kind: `failed`, `overdue`, `drift` or `waiting`.
        state: its phase in the words of the product.
        since: when it was requested; None where no time is recorded.
        last_seen, last_error, version: as Command shows them; empty without a look at it.
    """

    fleet: str
    id: str
    machine: str
    kind: str
    state: str
    reason: str
    since: datetime | None
    last_seen: str = ""
    last_error: str = ""
    version: str = ""


@dataclass(frozen=True)
class Standing:
    """Where one fleet stands; every text in it is safe to show.

    Attributes:
        counts: by name; None for what the state does not record.
        wave: what people call the open wave; empty where the fleet has no waves.
    """

    fleet: Fleet
    name: str
    counts: Mapping[str, int | None]
    wave: str
    stragglers: tuple[Straggler, ...]

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`; docs/cli.md describes it."""
        fleet = self.fleet
        return {
            "name": self.name,
            "engine": fleet.engine,
            "status": fleet.status,
            "wave": self.wave or None,
            "paused": fleet.paused,
            "halted": fleet.halted,
            "counts": dict(self.counts) or None,
            "unreadable": fleet.unreadable or None,
            "trouble": text.safe(fleet.trouble, 1000) or None,
            "waves": [{"name": wave.name, "ends": wave.ends} for wave in fleet.all_waves],
            "stragglers": [
                {
                    "id": one.id,
                    "machine": one.machine or None,
                    "kind": one.kind,
                    "state": one.state,
                    "reason": one.reason or None,
                    "since": utc(one.since) or None,
                    "last_seen": one.last_seen or None,
                    "last_error": one.last_error or None,
                    "version": one.version or None,
                }
                for one in self.stragglers
            ],
        }


def standing(fleet: Fleet, agents: Mapping[str, Agent] | None = None) -> Standing:
    """Where a fleet stands.

    Args:
        agents: what Command shows of the members; None without a look at it.
    """
    if fleet.unreadable:
        return Standing(fleet, text.safe(fleet.name), {}, "", ())
    tells_use = fleet.timed or agents is not None
    stragglers = [
        _straggler(fleet, member, (agents or {}).get(member.id))
        for member in fleet.members.values()
        if _lags(member, tells_use)
    ]
    stragglers.sort(key=lambda one: (_ORDER.index(one.kind), utc(one.since) or "~", one.machine, one.id))
    return Standing(fleet, text.safe(fleet.name), _counts(fleet, tells_use), _wave(fleet), tuple(stragglers))


def failing(standings: Sequence[Standing], reasons: Collection[Reason]) -> list[tuple[Exit, str]]:
    """What a pipeline is to fail on, the decisive exit code first, with a sentence for each fleet."""
    found = []
    for reason, code in CODES.items():
        for one in standings:
            number = one.counts.get(reason)
            if reason in reasons and number:
                verb = {"failed": "failed", "overdue": "overdue", "drift": "changed outside this stack"}[reason]
                found.append((code, f"{one.name}: {text.count(number)} {verb}"))
    return found


def _counts(fleet: Fleet, tells_use: bool) -> dict[str, int | None]:
    staying = fleet.staying
    phases = [member.phase for member in fleet.members.values()]
    return {
        "members": len(staying),
        "requested": sum(member.started for member in staying),
        "pending": phases.count("pending"),
        "overdue": sum(member.overdue for member in staying) if fleet.timed else None,
        "re_enrolled": phases.count("re-enrolled"),
        "in_use": sum(member.in_use for member in staying) if tells_use else None,
        "queued": phases.count(QUEUED),
        "failed": len(fleet.in_phase(FAILED)),
        "drift": len(fleet.in_phase(DRIFTED)),
        "unverified": phases.count("unverified"),
        "settled": phases.count("settled"),
    }


def _wave(fleet: Fleet) -> str:
    if not fleet.all_waves:
        return ""
    place = fleet.wave
    if place is None:
        name = "all waves finished"
    else:
        numbered = [wave for wave in fleet.all_waves if wave.name != "canaries"]
        wave = fleet.all_waves[place]
        name = f"{wave.name} of {len(numbered)}" if wave in numbered else wave.name
    halted = ", halted" if fleet.halted else ""
    return f"{name}{halted}{', paused' if fleet.paused else ''}"


def _lags(member: Member, tells_use: bool) -> bool:
    if member.phase in (QUEUED, "settled"):
        return False
    if member.phase == "re-enrolled" and not tells_use:
        return False
    return member.phase == "leaving" or (member.started and not member.good)


def _straggler(fleet: Fleet, member: Member, agent: Agent | None) -> Straggler:
    kind = "waiting"
    if member.phase in FAILED:
        kind = "failed"
    elif member.overdue:
        kind = "overdue"
    elif member.phase in DRIFTED:
        kind = "drift"
    state = PHASES[member.phase]
    if member.phase == "re-enrolled":
        state = "re-enrolled, not in use yet"
    error = ""
    if agent is not None and (agent.last_error_message or agent.last_error_code):
        code = f" (code {agent.last_error_code})" if agent.last_error_code else ""
        error = text.safe(f"{agent.last_error_message}{code}".strip())
    return Straggler(
        fleet=text.safe(fleet.name),
        id=member.id,
        machine=text.safe(agent.machine if agent and agent.machine else member.machine),
        kind=kind,
        state=f"{state}, overdue" if member.overdue else state,
        reason=text.safe(member.reason),
        since=member.requested_at,
        last_seen=text.safe(agent.last_seen) if agent else "",
        last_error=error,
        version=text.safe(agent.version) if agent else "",
    )
