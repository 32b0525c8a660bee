"""The functions getOrchestrator and getOrchestrators."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

import msgspec

from keyfactor_provider import guid
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import InputError, LookupRefused, Problem
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.lookup import Filter, find
from keyfactor_provider.plugin.host import Host, unknown_arguments
from keyfactor_provider.plugin.names import camel
from keyfactor_provider.text import listed, named, safe

AGENT_FIELDS: Final = {name: camel(name) for name in Agent.__struct_fields__}
"""The attributes of an orchestrator in results, by their names in Python."""

HOURS: Final = "seenWithinHours"
FILTERS: Final = {field.name: HOURS if field.name == "seen_within" else camel(field.name) for field in fields(Filter)}
"""The filters of a look-up, by their names in Python."""

_SEVERAL: Final = frozenset(field.name for field in fields(Filter) if field.default == ())
_WHOLE: Final = frozenset({"at_least", "at_most"})
_MOST_HOURS: Final = 10 * 365 * 24


class Lookups:
    """Looks up orchestrators in Command."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def one(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One orchestrator by its GUID or machine name; never a guess among several of the same name.

        Raises:
            InputError, LookupRefused: the argument is invalid, or not exactly one matches.
            CommandError, SettingsError: Command can't be read.
        """
        problems = unknown_arguments(arguments, frozenset({"identifier"}))
        identifier = arguments.get("identifier")
        if not isinstance(identifier, str) or not identifier:
            problems.append(Problem("identifier", f"{identifier!r} is not the GUID or the machine of an orchestrator"))
        if problems:
            raise InputError("getOrchestrator", problems)
        agents = self._find(str(identifier))
        if len(agents) != 1:
            names = listed([named(agent.machine, agent.id) for agent in agents])
            raise LookupRefused(
                f"looking up the orchestrator {safe(str(identifier))!r}",
                f"{len(agents)} have this machine name: {names}" if agents else "not found in Command",
                "Use its GUID." if agents else "Correct identifier.",
                resource="getOrchestrator",
            )
        return _shown(agents[0])

    def many(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The orchestrators that match every given filter.

        Raises:
            InputError, LookupRefused: a filter is invalid, or fewer or more match than allowed.
            CommandError, SettingsError: Command can't be read.
        """
        found = find(self._host.operations.lookups.everyone(), _filter(arguments))
        if found.unmatched:
            detail = f"Correct or remove: {listed([safe(entry) for entry in found.unmatched])}."
            summary = "some entries of exclude match no orchestrator"
            self._host.tell(Message("getOrchestrators", "warning", "exclude", summary, detail))
        return {
            "ids": list(found.ids),
            "orchestrators": [_shown(agent) for agent in found],
            "unstable": [FILTERS[name] for name in found.unstable],
        }

    def _find(self, identifier: str) -> list[Agent]:
        lookups = self._host.operations.lookups
        try:
            agent = lookups.agent(guid.canonical(identifier))
        except ValueError:
            return [agent for agent in lookups.everyone() if agent.machine.lower() == identifier.lower()]
        return [agent] if agent else []


def _filter(arguments: Mapping[str, Any]) -> Filter:
    problems = unknown_arguments(arguments, frozenset(FILTERS.values()))
    values: dict[str, Any] = {}
    for field in fields(Filter):
        name = FILTERS[field.name]
        value = arguments.get(name)
        if value is None:
            continue
        try:
            values[field.name] = _value(field.name, value)
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    if problems:
        raise InputError("getOrchestrators", problems)
    return Filter(**values)


def _value(name: str, value: Any) -> Any:
    """A filter's value in Python's type; raises ValueError if the filter does not take it."""
    if name in _SEVERAL:
        items = value if isinstance(value, list) else [value]
        texts = [str(int(item)) if isinstance(item, float) and item.is_integer() else item for item in items]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{value!r} is not a list of strings")
        return tuple(texts)
    if name == "seen_within":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_HOURS:
            raise ValueError(f"{value!r} is not a time; expected hours above 0, up to {_MOST_HOURS}")
        return timedelta(hours=value)
    if name in _WHOLE:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise ValueError(f"{value!r} is not a whole number")
        return int(value)
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    return value


def _shown(agent: Agent) -> dict[str, Any]:
    values = msgspec.structs.asdict(agent)
    return {
        theirs: list(value) if isinstance(value, tuple) else value
        for name, theirs in AGENT_FIELDS.items()
        if (value := values[name]) is not None
    }
