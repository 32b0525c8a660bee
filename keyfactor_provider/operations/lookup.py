"""Which orchestrators Command has: every page, filtered here, because few fields can be queried there."""

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
"""What a look-up gives of each."""

PLATFORMS: Final = ("Unknown", ".NET", "Java", "Mac", "Android", "Native", "Bash", "Universal")
"""AgentPlatform by number (Keyfactor API: GET Agents, 11.x)."""

_PLATFORMS: Final = {
    **{name: frozenset({number}) for number, name in enumerate(PLATFORMS)},
    # From 24.4 on Command counts the Universal Orchestrator as 1; by number one gets exactly that number.
    "Universal": frozenset({1, 7}),
}
"""The numbers that a platform's name means."""

STATUSES: Final = {1: "New", 2: "Approved", 3: "Disapproved"}
"""An agent's Status by number (same page)."""


class Ids(list[str]):
    """GUIDs of a look-up, and the filters in it under which orchestrators come and go by themselves."""

    def __init__(self, ids: Iterable[str], unstable: Collection[str]) -> None:
        super().__init__(ids)
        self.unstable = tuple(unstable)


@dataclass(frozen=True)
class Filter:
    """What to look for; an orchestrator must match every filter that is given, and none that is excluded.

    Attributes:
        machine: patterns for ClientMachine, where * and ? stand for any text; case does not matter.
        platform: names or numbers of PLATFORMS; `Universal` means 1 and 7, as Command 24.4 and later give the first for
            it and older ones the second. `.NET` means 1 alone, and so includes those.
        capability: capabilities of which it must have one, whole and in any case.
        identity: patterns for its Username.
        exclude: GUIDs, or patterns for ClientMachine.
        status: names or numbers of STATUSES.
        seen_within: how long ago it may have been seen last.
        with_certificate: True for those that Command expects a client certificate of, False for the others, which sign
            in with OAuth or Basic and never re-enroll.
        at_least: fewer than so many are refused.
        at_most: more than so many are refused.
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
        """The filters given that must not rule a fleet: its members would leave and come back."""
        return tuple(name for name in ("status", "seen_within") if getattr(self, name))

    def describe(self) -> str:
        """The filters as messages name them."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("at_")}
        given = [
            f"{name} {value if isinstance(value, timedelta | bool) else _any_of(value)}"
            for name, value in values.items()
            if value not in (None, (), [])
        ]
        return ", ".join(given) or "no filter"


@dataclass(frozen=True)
class LookupResult:
    """What a look-up gave.

    Attributes:
        orchestrators: in the order of their GUIDs.
        unmatched: entries of `exclude` that excluded nothing.
        unstable: see Filter.
    """

    orchestrators: tuple[Orchestrator, ...]
    unmatched: tuple[str, ...] = ()
    unstable: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ids(self) -> Ids:
        """Their GUIDs, for the members of a fleet."""
        return Ids((agent.id for agent in self.orchestrators), self.unstable)

    def __len__(self) -> int:
        return len(self.orchestrators)

    def __iter__(self) -> Iterator[Orchestrator]:
        return iter(self.orchestrators)


def check(wanted: Filter) -> tuple[frozenset[int], frozenset[int]]:
    """The platforms and statuses that a filter means, by their numbers; empty where it names none.

    Raises:
        InputError: a platform or status that Command does not have, or bounds that exclude each other.
    """
    platforms = _numbers("platform", wanted.platform, _PLATFORMS)
    statuses = _numbers("status", wanted.status, {name: frozenset({number}) for number, name in STATUSES.items()})
    _check_bounds(wanted)
    return platforms, statuses


def find(everyone: Iterable[Orchestrator], wanted: Filter, now: datetime | None = None) -> LookupResult:
    """The orchestrators that match.

    Args:
        everyone: every agent that Command lists.
        now: what `seen_within` counts from; the present.

    Raises:
        InputError: see `check`.
        LookupRefused: fewer or more were found than the bounds allow.
    """
    platforms, statuses = check(wanted)
    since = (now or datetime.now(UTC)) - wanted.seen_within if wanted.seen_within else None
    excluded, used = _Excluded(wanted.exclude), set[str]()
    found = []
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
        why = excluded.why(agent)
        used.update(why)
        if matches and not why:
            found.append(agent)
    found.sort(key=lambda agent: agent.id)
    _guard(wanted, found)
    unmatched = tuple(entry for entry in wanted.exclude if entry not in used)
    return LookupResult(tuple(found), unmatched, wanted.unstable)


class _Excluded:
    def __init__(self, entries: Iterable[str]) -> None:
        self._ids: dict[str, str] = {}
        self._machines: list[str] = []
        for entry in entries:
            try:
                self._ids[guid.canonical(entry)] = entry
            except ValueError:
                self._machines.append(entry)

    def why(self, agent: Orchestrator) -> list[str]:
        """The entries that exclude an agent."""
        named = [self._ids[agent.id]] if agent.id in self._ids else []
        return named + [entry for entry in self._machines if _like(agent.machine, (entry,))]


def _like(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def _any_of(values: Iterable[str | int]) -> str:
    return safe(" or ".join(map(str, values)))


def _has_one(capabilities: Iterable[str], wanted: Iterable[str]) -> bool:
    return not {each.lower() for each in capabilities}.isdisjoint(each.lower() for each in wanted)


def _numbers(name: str, given: Sequence[str | int], meanings: Mapping[str, frozenset[int]]) -> frozenset[int]:
    known = {meaning.lower(): numbers for meaning, numbers in meanings.items()}
    known |= {str(number): frozenset({number}) for numbers in meanings.values() for number in numbers}
    wrong = [each for each in given if str(each).strip().lower() not in known]
    if wrong:
        expected = ", ".join(f"{meaning} ({max(numbers)})" for meaning, numbers in meanings.items())
        raise InputError(
            "The look-up of orchestrators",
            [Problem(name, f"Unknown {name} {safe(repr(each))}; expected one of {expected}") for each in wrong],
        )
    return frozenset().union(*(known[str(each).strip().lower()] for each in given))


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
