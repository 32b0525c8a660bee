"""What a planned run would do to each fleet, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyfactor_provider import text
from keyfactor_provider.cli.sources import Action, Told
from keyfactor_provider.version import RELEASE

REQUESTS: Final = ("first", "retried", "drifted", "status_changed")
"""The groups of members that the run would request."""
GROUPS: Final = (*REQUESTS, "cleared", "removed", "moved", "kept", "queued")


@dataclass(frozen=True)
class Ahead:
    """What a run would do to one fleet.

    Attributes:
        name: safe to show.
        groups: GUIDs by what will happen to them, one of GROUPS: `removed` members are cleared because they leave the
            fleet, `moved` ones go to another fleet of the plan, `kept` ones leave and keep their flag.
        machines: recorded machine names by GUID, safe to show.
        unchanged: how many members need nothing.
        reenrolled: how many of those have re-enrolled in this round.
        unknown: full sentences that say what can't be known, and why.
        wave: the name of the open wave before the run; empty if the fleet has no waves.
        more: how many queued members the run may request in addition, if it finds the open wave finished.
        at_most: how many orchestrators the run may request; None if that can't be known.
        withheld: whether its members must not be named.
    """

    name: str
    action: Action
    status: str = ""
    new_round: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)
    unchanged: int = 0
    reenrolled: int = 0
    unknown: tuple[str, ...] = ()
    wave: str = ""
    more: int = 0
    at_most: int | None = 0
    withheld: bool = False

    def count(self, *groups: str) -> int:
        """How many members are in the groups."""
        return sum(len(self.groups.get(group, ())) for group in groups)

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`."""
        return {
            "name": self.name,
            "action": self.action,
            "status": self.status or None,
            "new_round": self.new_round,
            "wave": self.wave or None,
            "requests_at_most": self.at_most,
            "counts": {group: self.count(group) for group in GROUPS}
            | {"unchanged": self.unchanged, "re_enrolled": self.reenrolled},
            "orchestrators": None
            if self.withheld
            else {
                group: [{"id": guid, "machine": self.machines.get(guid)} for guid in ids]
                for group, ids in self.groups.items()
            },
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True)
class Outlook:
    """What a run would do to all fleets of a plan, and the messages of its engine."""

    fleets: tuple[Ahead, ...]
    messages: tuple[Told, ...]
    incomplete: str = ""
    refreshed: bool = True

    def count(self, *groups: str) -> int:
        """How many members of all fleets are in the groups."""
        return sum(fleet.count(*groups) for fleet in self.fleets)

    def excess(self, most: int) -> str:
        """Why the run may request more than `most` orchestrators; empty if it can't."""
        if unknown := [fleet.name for fleet in self.fleets if fleet.at_most is None]:
            return f"--max-requests {most}: can't tell how many orchestrators {text.listed(unknown)} will request"
        total = sum(fleet.at_most or 0 for fleet in self.fleets)
        if total <= most:
            return ""
        numbers = [f"{fleet.name} {fleet.at_most}" for fleet in self.fleets if fleet.at_most]
        return f"--max-requests {most}: the run may request {text.count(total)} ({text.listed(numbers)})"

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`."""
        numbers = [fleet.at_most for fleet in self.fleets]
        return {
            "version": 1,
            "release": RELEASE,
            "requests_at_most": None if None in numbers else sum(number or 0 for number in numbers),
            "incomplete": self.incomplete or None,
            "refreshed": self.refreshed,
            "fleets": [fleet.to_json() for fleet in self.fleets],
            "messages": [{"severity": told.severity, "text": told.text} for told in self.messages],
        }
