"""The progress of roll-outs as plain data (counts, waves and stragglers of each fleet), and what fails a pipeline."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from keyfactor_provider import text
from keyfactor_provider.cli.exits import Exit
from keyfactor_provider.cli.recorded import Fleet
from keyfactor_provider.cli.waves import Progress, progress
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.reenrollment.life import good
from keyfactor_provider.reenrollment.record import DRIFTED, FAILED, Member, Phase, Record
from keyfactor_provider.reenrollment.rollout import has_started
from keyfactor_provider.reenrollment.words import word

Reason = Literal["failed", "overdue", "drift"]
CODES: Final[Mapping[Reason, Exit]] = {"failed": Exit.FAILED, "overdue": Exit.OVERDUE, "drift": Exit.DRIFT}
"""The reasons of `--fail-on`; the first that applies gives the exit code."""

_ORDER: Final = ("failed", "overdue", "drift", "waiting")


@dataclass(frozen=True)
class Straggler:
    """A member that has started but is not done, that is, re-enrolled with its new certificate in use.

    Attributes:
        kind: `failed`, `overdue`, `drift` or `waiting`.
        state: its phase in words.
        since: when it was requested; empty if that is not recorded.
        last_seen, last_error, version: as Command shows them; empty if Command was not read.
    """

    fleet: str
    id: str
    machine: str
    kind: str
    state: str
    reason: str
    since: str
    last_seen: str = ""
    last_error: str = ""
    version: str = ""


@dataclass(frozen=True)
class Standing:
    """The progress of one fleet; every text in it is safe to show.

    Attributes:
        counts: by name; None for what the state does not record.
        progress: the progress of its waves; None if the fleet can't be read.
    """

    fleet: Fleet
    name: str
    counts: Mapping[str, int | None]
    progress: Progress | None
    stragglers: tuple[Straggler, ...]

    @property
    def status(self) -> str:
        """The desired status; empty if the fleet can't be read."""
        return self.fleet.record.status.value if self.fleet.record else ""

    @property
    def wave(self) -> str:
        """The name of the open wave; empty if the fleet has no waves."""
        return self.progress.name if self.progress else ""

    @property
    def trouble(self) -> str:
        """The error that cut the last run short; may be empty."""
        return text.safe(self.fleet.record.trouble, 1000) if self.fleet.record else ""

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`; docs/cli.md describes it."""
        fleet, record = self.fleet, self.fleet.record
        return {
            "name": self.name,
            "engine": fleet.engine,
            "status": self.status or None,
            "wave": self.wave or None,
            "paused": record is not None and record.rollout.paused,
            "halted": self.progress is not None and self.progress.counted.blocked == "halted",
            "counts": dict(self.counts) or None,
            "unreadable": fleet.unreadable or None,
            "trouble": self.trouble or None,
            "waves": [
                {"name": wave.name, "ends": wave.ends} for wave in (self.progress.waves if self.progress else ())
            ],
            "stragglers": [
                {
                    "id": straggler.id,
                    "machine": straggler.machine or None,
                    "kind": straggler.kind,
                    "state": straggler.state,
                    "reason": straggler.reason or None,
                    "since": straggler.since or None,
                    "last_seen": straggler.last_seen or None,
                    "last_error": straggler.last_error or None,
                    "version": straggler.version or None,
                }
                for straggler in self.stragglers
            ],
        }


def standing(fleet: Fleet, agents: Mapping[str, Agent] | None = None) -> Standing:
    """The progress of a fleet.

    Args:
        agents: the members as Command shows them; None if it was not read.
    """
    name, record = text.safe(fleet.name), fleet.record
    if record is None:
        return Standing(fleet, name, {}, None, ())
    tells_use = fleet.timed or agents is not None
    stragglers = [
        _straggler(name, record, member_id, (agents or {}).get(member_id))
        for member_id, member in record.members.items()
        if _lags(member, tells_use)
    ]
    stragglers.sort(key=lambda member: (_ORDER.index(member.kind), member.since or "~", member.machine, member.id))
    return Standing(fleet, name, _counts(fleet, record, tells_use), progress(record), tuple(stragglers))


def failing(standings: Sequence[Standing], reasons: Collection[Reason]) -> list[tuple[Exit, str]]:
    """The exit codes that apply, the decisive one first, with a sentence for each fleet."""
    failures = []
    for reason, code in CODES.items():
        words = "changed outside this stack" if reason == "drift" else reason
        for standing in standings:
            number = standing.counts.get(reason)
            if reason in reasons and number:
                failures.append((code, f"{standing.name}: {text.count(number)} {words}"))
    return failures


def _counts(fleet: Fleet, record: Record, tells_use: bool) -> dict[str, int | None]:
    staying = [member for _, member in record.staying()]
    return {
        "members": len(staying),
        "requested": sum(map(has_started, staying)),
        "pending": len(record.pending_ids()),
        "overdue": len(record.overdue_ids()) if fleet.timed else None,
        "re_enrolled": len(record.reenrolled_ids()),
        "in_use": sum(member.in_use for member in staying) if tells_use else None,
        "queued": len(record.queued_ids()),
        "failed": len(record.having(*FAILED, Phase.LEAVING)),
        "drift": len(record.having(*DRIFTED)),
        "unverified": len(record.having(Phase.UNVERIFIED)),
        "settled": len(record.having(Phase.SETTLED)),
    }


def _lags(member: Member, tells_use: bool) -> bool:
    if member.phase is Phase.REENROLLED:
        return tells_use and has_started(member) and not good(member)
    return member.phase in (Phase.LEAVING, *DRIFTED) or has_started(member)


def _straggler(name: str, record: Record, member_id: str, agent: Agent | None) -> Straggler:
    member = record.members[member_id]
    kind = "waiting"
    if member.phase in (*FAILED, Phase.LEAVING):
        kind = "failed"
    elif member.overdue:
        kind = "overdue"
    elif member.phase in DRIFTED:
        kind = "drift"
    error = ""
    if agent is not None and (agent.last_error_message or agent.last_error_code):
        code = f" (code {agent.last_error_code})" if agent.last_error_code else ""
        error = text.safe(f"{agent.last_error_message}{code}".strip())
    return Straggler(
        fleet=name,
        id=member_id,
        machine=text.safe(agent.machine if agent and agent.machine else member.machine),
        kind=kind,
        state=f"{word(member)}, overdue" if member.overdue else word(member),
        reason=text.safe(member.reason),
        since=text.safe(member.requested_at),
        last_seen=text.safe(agent.last_seen) if agent else "",
        last_error=error,
        version=text.safe(agent.version) if agent else "",
    )
