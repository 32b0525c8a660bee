"""Finds orchestrators: filters the whole list here, because Command can query few of the fields."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from keyfactor_provider import guid
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import InputError, LookupRefused, Problem
from keyfactor_provider.text import safe

Orchestrator = Agent
"""An orchestrator as a look-up returns it."""

PLATFORMS: Final = ("Unknown", ".NET", "Java", "Mac", "Android", "Native", "Bash", "Universal")
"""AgentPlatform by number (Keyfactor API: GET Agents, 11.x)."""

_PLATFORMS: Final = {
    **{name: frozenset({number}) for number, name in enumerate(PLATFORMS)},
    # Command 24.4 and later report the Universal Orchestrator as 1. A filter by number matches that number only.
    "Universal": frozenset({1, 7}),
}
"""The AgentPlatform numbers that each name matches."""

STATUSES: Final = {1: "New", 2: "Approved", 3: "Disapproved"}
"""An agent's Status by number (same page)."""


class Ids(list[str]):
    """The GUIDs found by a look-up, with the filters it used whose matches change over time."""

    def __init__(self, ids: Iterable[str], unstable: Collection[str]) -> None:
        super().__init__(ids)
        self.unstable = tuple(unstable)


@dataclass(frozen=True)
class Filter:
    """What to look for: an orchestrator must match every filter that is set, and no entry of `exclude`.

    Attributes:
        machine: patterns for ClientMachine with the wildcards * and ?; case-insensitive.
        platform: names or numbers of PLATFORMS. `Universal` matches 1 (Command 24.4 and later) and 7 (earlier). `.NET`
            matches 1, so it includes the Universal Orchestrators of Command 24.4 and later.
        capability: full names of capabilities, case-insensitive; it must have at least one of them.
        identity: patterns for Username.
        exclude: GUIDs, or patterns for ClientMachine.
        status: names or numbers of STATUSES.
        seen_within: the longest time since it was last seen.
        with_certificate: True for orchestrators that Command expects to present a client certificate, False for those
            that sign in with OAuth or Basic and never re-enroll.
        at_least: the look-up fails if it finds fewer.
        at_most: the look-up fails if it finds more.
    """

    machine: Sequence[str] = ()
    platform: Sequence[str | int] = ()
    capability: Sequence[str] = ()
    identity: Sequence[str] = ()
    exclude: Sequence[str] = ()
    status: Sequence[str | int] = ()
    seen_within: timedelta | None = None
    with_certificate: bool | None = None
    at_least: int = 0
    at_most: int | None = None

    @property
    def unstable(self) -> tuple[str, ...]:
        """The filters set here that must not choose a fleet's members, because members would leave and come back."""
        return tuple(name for name in ("status", "seen_within") if getattr(self, name))

    def describe(self) -> str:
        """The filters that are set, as text for messages."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if not item.name.startswith("at_")}
        filters = [
            f"{name} {value if isinstance(value, timedelta | bool) else _any_of(value)}"
            for name, value in values.items()
            if value not in (None, (), [])
        ]
        return ", ".join(filters) or "no filter"


@dataclass(frozen=True)
class LookupResult:
    """The result of a look-up.

    Attributes:
        orchestrators: sorted by GUID.
        unmatched: entries of `exclude` that match no orchestrator.
        unstable: see `Filter`.
    """

    orchestrators: tuple[Orchestrator, ...]
    unmatched: tuple[str, ...] = ()
    unstable: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ids(self) -> Ids:
        """The GUIDs, to use as the members of a fleet."""
        return Ids((agent.id for agent in self.orchestrators), self.unstable)

    def __len__(self) -> int:
        return len(self.orchestrators)

    def __iter__(self) -> Iterator[Orchestrator]:
        return iter(self.orchestrators)


def check(wanted: Filter) -> tuple[frozenset[int], frozenset[int]]:
    """The numbers of the platforms and of the statuses that a filter matches; empty if it does not filter by them.

    Raises:
        InputError: an unknown platform or status, or bounds that contradict each other.
    """
    platforms = _numbers("platform", wanted.platform, _PLATFORMS)
    statuses = _numbers("status", wanted.status, {name: frozenset({number}) for number, name in STATUSES.items()})
    _check_bounds(wanted)
    return platforms, statuses


def find(everyone: Iterable[Orchestrator], wanted: Filter, now: datetime | None = None) -> LookupResult:
    """The orchestrators that match a filter.

    Args:
        everyone: every agent that Command lists.
        now: the time that `seen_within` is measured from; None for the present.

    Raises:
        InputError: see `check`.
        LookupRefused: the number of matches is outside the bounds.
    """
    platforms, statuses = check(wanted)
    since = (now or datetime.now(UTC)) - wanted.seen_within if wanted.seen_within else None
    excluded, used = _Excluded(wanted.exclude), set[str]()
    matching = []
    for agent in everyone:
        matches = (
            (not wanted.machine or _like(agent.machine, wanted.machine))
            and (not wanted.identity or _like(agent.identity, wanted.identity))
            and (not platforms or agent.platform in platforms)
            and (not statuses or agent.status in statuses)
            and (not wanted.capability or _has_one(agent.capabilities, wanted.capability))
            and wanted.with_certificate in (None, agent.thumbprint is not None)
            and (since is None or ((seen := agent.seen_at) is not None and seen >= since))
        )
        entries = excluded.entries(agent)
        used.update(entries)
        if matches and not entries:
            matching.append(agent)
    matching.sort(key=lambda agent: agent.id)
    _guard(wanted, matching)
    unmatched = tuple(entry for entry in wanted.exclude if entry not in used)
    return LookupResult(tuple(matching), unmatched, wanted.unstable)


class _Excluded:
    def __init__(self, entries: Iterable[str]) -> None:
        self._ids: dict[str, str] = {}
        self._machines: list[str] = []
        for entry in entries:
            try:
                self._ids[guid.canonical(entry)] = entry
            except ValueError:
                self._machines.append(entry)

    def entries(self, agent: Orchestrator) -> list[str]:
        """The entries that exclude an agent."""
        named = [self._ids[agent.id]] if agent.id in self._ids else []
        return named + [entry for entry in self._machines if _like(agent.machine, (entry,))]


def _like(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def _any_of(values: Iterable[str | int]) -> str:
    return safe(" or ".join(map(str, values)))


def _has_one(capabilities: Iterable[str], wanted: Iterable[str]) -> bool:
    return not set(map(str.lower, capabilities)).isdisjoint(map(str.lower, wanted))


def _numbers(name: str, values: Sequence[str | int], meanings: Mapping[str, frozenset[int]]) -> frozenset[int]:
    known = {meaning.lower(): numbers for meaning, numbers in meanings.items()}
    known |= {str(number): frozenset({number}) for numbers in meanings.values() for number in numbers}
    wrong = [value for value in values if str(value).strip().lower() not in known]
    if wrong:
        expected = ", ".join(f"{meaning} ({max(numbers)})" for meaning, numbers in meanings.items())
        raise InputError(
            "The look-up of orchestrators",
            [Problem(name, f"Unknown {name} {safe(repr(value))}; expected one of {expected}") for value in wrong],
        )
    return frozenset().union(*(known[str(value).strip().lower()] for value in values))


def _check_bounds(wanted: Filter) -> None:
    if wanted.at_least < 0 or (wanted.at_most is not None and wanted.at_most < max(wanted.at_least, 1)):
        reason = f"at_least is {wanted.at_least} and at_most {wanted.at_most}; expected 0 <= at_least <= at_most"
        raise InputError("The look-up of orchestrators", [Problem("at_least, at_most", reason)])


def _guard(wanted: Filter, found: Sequence[Orchestrator]) -> None:
    number = len(found)
    if number < wanted.at_least:
        bound = f"at_least {wanted.at_least}"
    elif wanted.at_most is not None and number > wanted.at_most:
        bound = f"at_most {wanted.at_most}"
    else:
        return
    raise LookupRefused(
        f"The look-up of orchestrators with {wanted.describe()}",
        f"{number} found, {bound} expected",
        "Nothing was requested. Correct the filters, or the bound if the number is right.",
    )
