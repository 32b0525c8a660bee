"""What the program wants of a fleet, in one canonical form, or every reason why it can't be meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from keyfactor_provider import guid
from keyfactor_provider.errors import Problem
from keyfactor_provider.status import ReenrollmentStatus

OnRemoval = Literal["unset", "retain"]
OnFailure = Literal["error", "warn"]


class Unknown:
    """A value that an engine knows only after `up` or `apply`."""

    def __repr__(self) -> str:
        return "(known after up)"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Desired:
    """A fleet as declared: its members all want the same status.

    Attributes:
        fleet: the name that messages use.
        members: canonical GUIDs; at least one.
        triggers: a change of it starts a new round; empty where none were given.
    """

    fleet: str
    members: frozenset[str]
    status: ReenrollmentStatus
    triggers: Mapping[str, str]
    on_removal: OnRemoval = "unset"
    on_failure: OnFailure = "error"

    def to_inputs(self) -> dict[str, Any]:
        """The inputs an engine keeps and compares: a map by GUID, so that one more is one line."""
        inputs: dict[str, Any] = {
            "fleet": self.fleet,
            "orchestrators": dict.fromkeys(sorted(self.members), self.status.value),
            "status": self.status.value,
            "on_removal": self.on_removal,
            "on_failure": self.on_failure,
        }
        if self.triggers:
            inputs["triggers"] = dict(self.triggers)
        return inputs

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, Any]) -> "Desired":
        """The desired that `to_inputs` wrote; the values are trusted."""
        return cls(
            fleet=inputs["fleet"],
            members=frozenset(inputs["orchestrators"]),
            status=ReenrollmentStatus(inputs["status"]),
            triggers=inputs.get("triggers") or {},
            on_removal=inputs["on_removal"],
            on_failure=inputs["on_failure"],
        )


@dataclass(frozen=True)
class Checked:
    """What validation made of raw inputs.

    Attributes:
        desired: the canonical desired; None while something it needs is unknown, or is wrong.
        known_members: the canonical GUIDs that are known already.
        problems: every violation found.
        unknown: the properties that an engine can't know yet.
    """

    desired: Desired | None
    known_members: frozenset[str]
    problems: tuple[Problem, ...]
    unknown: frozenset[str]


def check(raw: Mapping[str, Any]) -> Checked:
    """Validates and normalises what a program wrote; unknown values are left out, never guessed."""
    problems: list[Problem] = []
    unknown: set[str] = set()

    def refuse(name: str, reason: str) -> None:
        problems.append(Problem(name, reason))

    members = _members(raw.get("orchestrator_ids"), refuse, unknown)
    status = ReenrollmentStatus.NONE
    if raw.get("status") is UNKNOWN:
        unknown.add("status")
    elif raw.get("status") is None:
        refuse("status", "missing; expected Requested (1), Required (2) or None (0)")
    else:
        try:
            status = ReenrollmentStatus.parse(raw["status"])
        except ValueError as error:
            refuse("status", str(error))
    triggers = _triggers(raw.get("triggers"), refuse, unknown)
    options = {
        name: _choice(name, raw.get(name), choices, refuse, unknown)
        for name, choices in (("on_removal", ("unset", "retain")), ("on_failure", ("error", "warn")))
    }
    desired = None
    if not problems and not unknown:
        desired = Desired(
            fleet=str(raw["fleet"]),
            members=members,
            status=status,
            triggers=triggers,
            on_removal=cast(OnRemoval, options["on_removal"]),
            on_failure=cast(OnFailure, options["on_failure"]),
        )
    return Checked(desired, members, tuple(problems), frozenset(unknown))


def _members(value: Any, refuse: Any, unknown: set[str]) -> frozenset[str]:
    name = "orchestrator_ids"
    if value is UNKNOWN:
        unknown.add(name)
        return frozenset()
    if isinstance(value, str) or not isinstance(value, Sequence):
        refuse(
            name,
            f"{value!r} is not a list of GUIDs" if value is not None else "missing; expected a list of GUIDs",
        )
        return frozenset()
    if not value:
        refuse(name, "the list [] is empty; expected at least one orchestrator's GUID")
    members = set()
    for place, item in enumerate(value):
        if item is UNKNOWN:
            unknown.add(name)
            continue
        try:
            if not isinstance(item, str):
                raise ValueError(f"{item!r} is not an orchestrator's GUID; expected text")
            members.add(guid.canonical(item))
        except ValueError as error:
            refuse(f"{name}[{place}]", str(error))
    return frozenset(members)


def _triggers(value: Any, refuse: Any, unknown: set[str]) -> dict[str, str]:
    if value is UNKNOWN:
        unknown.add("triggers")
        return {}
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        refuse("triggers", f"{value!r} is not a map of names to texts")
        return {}
    triggers = {}
    for key in sorted(value):
        item = value[key]
        if item is UNKNOWN:
            unknown.add("triggers")
        elif isinstance(item, bool):
            triggers[key] = str(item).lower()
        elif isinstance(item, (int, float)):
            triggers[key] = str(int(item)) if float(item).is_integer() else str(item)
        elif isinstance(item, str):
            triggers[key] = item
        else:
            refuse(f"triggers.{key}", f"{item!r} is not a text, a number or a truth value")
    return triggers


def _choice(name: str, value: Any, choices: tuple[str, ...], refuse: Any, unknown: set[str]) -> str:
    if value is UNKNOWN:
        unknown.add(name)
    elif value is not None and value not in choices:
        refuse(name, f"{value!r} is not one of {' and '.join(repr(choice) for choice in choices)}")
    elif value is not None:
        return str(value)
    return choices[0]
