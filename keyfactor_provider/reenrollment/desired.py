"""Validates the arguments of a fleet: the desired state in canonical form, or every problem with them."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal, cast
from uuid import UUID

from keyfactor_provider import guid
from keyfactor_provider.errors import Problem
from keyfactor_provider.status import ReenrollmentStatus

OnRemoval = Literal["unset", "retain"]
OnFailure = Literal["error", "warn"]

OVERDUE_BY_DEFAULT: Final = 7 * 24 * 3600
"""Seconds after which a member of a limited roll-out is overdue by default."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_LONGEST: Final = 3650 * 24 * 3600

GIVEN: Final = (
    "orchestrator_ids",
    "status",
    "triggers",
    "on_removal",
    "on_failure",
    "waves",
    "canary_ids",
    "max_failed",
    "overdue_after",
    "paused",
)
"""Every argument of a fleet, by its name in Python and Terraform."""


class Unknown:
    """The type of UNKNOWN: a value that the engine knows only during a run."""

    def __repr__(self) -> str:
        return "(known after up)"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Rollout:
    """How fast a fleet is rolled out, and what halts it.

    Attributes:
        waves: sizes in canonical text, such as "5" or "10%" (of the members); empty for no waves.
        canary_ids: canonical GUIDs of the members that are requested first.
        max_failed: how many members may be bad before it halts: a number, or a percent of those started so far.
        overdue_after: seconds after which a member is overdue; None for never.
        paused: whether starting further members is suspended.
    """

    waves: tuple[str, ...] = ()
    canary_ids: frozenset[str] = frozenset()
    max_failed: str = "0"
    overdue_after: int | None = None
    paused: bool = False

    @property
    def limited(self) -> bool:
        """Whether there are waves or canaries, so that members may be queued."""
        return bool(self.waves or self.canary_ids)

    @property
    def deadline(self) -> int | None:
        """Seconds after which a member is overdue, including the default of a limited roll-out; None for never."""
        return OVERDUE_BY_DEFAULT if self.overdue_after is None and self.limited else self.overdue_after


ALL_AT_ONCE: Final = Rollout()
"""All members are requested at once."""


@dataclass(frozen=True)
class Desired:
    """A fleet as declared; all its members have the same desired status.

    Attributes:
        fleet: the name that messages use.
        members: canonical GUIDs; at least one.
        triggers: a change starts a new round; empty if none were given.
    """

    fleet: str
    members: frozenset[str]
    status: ReenrollmentStatus
    triggers: Mapping[str, str] = field(default_factory=dict)
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"
    rollout: Rollout = ALL_AT_ONCE


@dataclass(frozen=True)
class Checked:
    """The result of validating a fleet's arguments.

    Attributes:
        desired: in canonical form; None if any argument is unknown or invalid.
        known: the known and valid arguments in canonical form, with defaults for the rest.
        problems: every problem found.
        unknown: the names of the arguments that are not known yet.
    """

    desired: Desired | None
    known: Desired
    problems: tuple[Problem, ...]
    unknown: frozenset[str]

    @property
    def known_members(self) -> frozenset[str]:
        """The canonical GUIDs that are already known."""
        return self.known.members


def check(fleet: str, written: Mapping[str, Any]) -> Checked:
    """Validates and normalises a fleet's arguments; unknown values are left out, never guessed.

    Args:
        fleet: the name of the fleet.
        written: values by the names in GIVEN; UNKNOWN if not known yet, None if not given.
    """
    reader = _Reader(written)
    members = reader.guids("orchestrator_ids", required=True)
    status = reader.status()
    triggers = reader.triggers()
    on_removal = reader.choice("on_removal", ("unset", "retain"))
    on_failure = reader.choice("on_failure", ("error", "warn"))
    rollout = reader.rollout()
    if "orchestrator_ids" not in reader.unknown and members:
        for canary_id in sorted(rollout.canary_ids - members):
            reader.refuse("canary_ids", f"{canary_id} is not a member of the fleet; expected GUIDs of orchestrator_ids")
    known = Desired(
        fleet=fleet,
        members=members,
        status=status,
        triggers=triggers,
        on_removal=cast(OnRemoval, on_removal),
        on_failure=cast(OnFailure, on_failure),
        rollout=rollout,
    )
    complete = not reader.problems and not reader.unknown
    return Checked(known if complete else None, known, tuple(reader.problems), frozenset(reader.unknown))


def rollout_inputs(rollout: Rollout) -> dict[str, Any]:
    """A roll-out in the form that is stored in state; defaults are left out."""
    values = {
        "waves": list(rollout.waves),
        "canary_ids": sorted(rollout.canary_ids),
        "max_failed": rollout.max_failed if rollout.max_failed != "0" else "",
        "overdue_after": rollout.overdue_after,
        "paused": rollout.paused,
    }
    return {name: value for name, value in values.items() if value}


def rollout_from_inputs(inputs: Mapping[str, Any]) -> Rollout:
    """The roll-out that `rollout_inputs` wrote; other keys are ignored.

    Raises:
        ValueError: a value is invalid.
    """
    reader = _Reader(inputs)
    rollout = reader.rollout()
    if reader.problems:
        raise ValueError(f"{reader.problems[0].property}: {reader.problems[0].reason}")
    return rollout


def share(size: str, whole: int) -> Fraction:
    """The exact value of a number, or of a percent of `whole`.

    Args:
        size: canonical text, such as "5" or "10%".
    """
    return Fraction(int(size[:-1]) * whole, 100) if size.endswith("%") else Fraction(int(size))


class _Reader:
    """Reads arguments one by one, and collects every problem and unknown value."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self._written = written
        self.problems: list[Problem] = []
        self.unknown: set[str] = set()

    def refuse(self, name: str, reason: str) -> None:
        self.problems.append(Problem(name, reason))

    def _value(self, name: str) -> Any:
        """The value of an argument; None if it is absent or not known yet."""
        value = self._written.get(name)
        if value is UNKNOWN:
            self.unknown.add(name)
            return None
        return value

    def _items(self, name: str, what: str) -> list[Any] | None:
        """The elements of a list or set; None if it is absent, unknown or not a collection."""
        value = self._value(name)
        if value is None:
            return None
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Collection):
            self.refuse(name, f"{value!r} is not a list of {what}")
            return None
        if not value:
            self.refuse(name, f"the list [] is empty; expected at least one {what.removesuffix('s')}")
        return list(value)

    def guids(self, name: str, *, required: bool) -> frozenset[str]:
        items = self._items(name, "GUIDs")
        if items is None:
            if required and self._written.get(name) is None:
                self.refuse(name, "missing; expected a list of GUIDs")
            return frozenset()
        guids = set()
        for place, item in enumerate(items):
            if item is UNKNOWN:
                self.unknown.add(name)
                continue
            try:
                text = str(item) if isinstance(item, UUID) else item
                if not isinstance(text, str):
                    raise ValueError(f"{item!r} is not an orchestrator's GUID; expected a string")
                guids.add(guid.canonical(text))
            except ValueError as error:
                self.refuse(f"{name}[{place}]", str(error))
        return frozenset(guids)

    def status(self) -> ReenrollmentStatus:
        value = self._value("status")
        if value is None:
            if "status" not in self.unknown:
                self.refuse("status", "missing; expected Requested (1), Required (2) or None (0)")
            return ReenrollmentStatus.NONE
        try:
            return ReenrollmentStatus.parse(value)
        except ValueError as error:
            self.refuse("status", str(error))
            return ReenrollmentStatus.NONE

    def triggers(self) -> dict[str, str]:
        value = self._value("triggers")
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.refuse("triggers", f"{value!r} is not a map of names to strings")
            return {}
        triggers = {}
        for key in sorted(value, key=str):
            item = value[key]
            if item is UNKNOWN:
                self.unknown.add("triggers")
            elif (text := _scalar(item)) is not None:
                triggers[str(key)] = text
            else:
                self.refuse(f"triggers.{key}", f"{item!r} must be a string, number or boolean")
        return triggers

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self._value(name)
        if value is None:
            return choices[0]
        if value not in choices:
            self.refuse(name, f"{value!r} is not one of {' and '.join(repr(choice) for choice in choices)}")
        return str(value)

    def rollout(self) -> Rollout:
        return Rollout(
            canary_ids=self.guids("canary_ids", required=False),
            waves=self.waves(),
            max_failed=self.amount("max_failed", "0"),
            overdue_after=self.seconds("overdue_after"),
            paused=self.flag("paused"),
        )

    def waves(self) -> tuple[str, ...]:
        items = self._items("waves", "sizes") or ()
        sizes = []
        for place, item in enumerate(items):
            if item is UNKNOWN:
                self.unknown.add("waves")
            elif (size := _size(item, least=1)) is None:
                expected = 'expected a number of orchestrators such as 5, or a percent from "1%" to "100%"'
                self.refuse(f"waves[{place}]", f"{item!r} is not the size of a wave; {expected}")
            else:
                sizes.append(size)
        return tuple(sizes)

    def amount(self, name: str, default: str) -> str:
        value = self._value(name)
        if value is None:
            return default
        if (size := amount(value)) is None:
            expected = 'expected a number of orchestrators such as 2, or a percent from "0%" to "100%"'
            self.refuse(name, f"{value!r} is not a number of orchestrators; {expected}")
        return size or default

    def seconds(self, name: str) -> int | None:
        value = self._value(name)
        if value is None:
            return None
        if (seconds := duration(value)) is None:
            self.refuse(name, f'{value!r} is not a duration; expected e.g. "48h", "2d" or a number of seconds')
        return seconds

    def flag(self, name: str) -> bool:
        value = self._value(name)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value is not None:
            self.refuse(name, f"{value!r} is not a boolean; expected true or false")
        return False


def duration(value: object) -> int | None:
    """The seconds of a duration such as "48h", "2d", "90m" or a number of seconds; None if it is not a duration."""
    text = _scalar(value) if not isinstance(value, bool) else None
    match = re.fullmatch(r"([0-9]{1,9}) ?([smhd]?)", (text or "").strip().lower(), re.ASCII)
    if match is None:
        return None
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    return seconds if 0 < seconds <= _LONGEST else None


def amount(value: object) -> str | None:
    """A number or percent of members in canonical text; None if it is neither."""
    size = _size(value, least=0)
    return "0" if size == "0%" else size


def _size(value: object, *, least: int) -> str | None:
    """A number or percent in canonical text; None if it is neither, or out of range."""
    text = _scalar(value) if not isinstance(value, bool) else None
    match = re.fullmatch(r"([0-9]{1,9}) ?(%?)", (text or "").strip(), re.ASCII)
    if match is None or int(match[1]) < least or (match[2] and int(match[1]) > 100):
        return None
    return f"{int(match[1])}{match[2]}"


def _scalar(value: object) -> str | None:
    """A string, number or boolean as text; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float)) else None
