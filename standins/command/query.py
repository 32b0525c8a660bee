"""The query language of GET /Agents: `Field -op "value"`, AND, OR and parentheses."""

import re
from collections.abc import Callable
from typing import Any

from standins.command.world import Agent, Refused

FIELDS: dict[str, Callable[[Agent], Any]] = {
    "identity": lambda agent: agent.username,
    "lastseen": lambda agent: agent.last_seen,
    "platform": lambda agent: agent.agent_platform,
    "status": lambda agent: agent.status,
    "version": lambda agent: agent.version,
    "agentid": lambda agent: agent.agent_id,
    "clientmachine": lambda agent: agent.client_machine,
    "capabilities": lambda agent: ",".join(agent.capabilities),
}
"""What can be queried: the documented five, and the three that Keyfactor's own tools use."""

_TOKEN = re.compile(r'\s*(\(|\)|-\w+|"[^"]*"|[^\s()"]+)')
_WORDS = {"eq", "ne", "lt", "gt", "le", "ge", "contains", "notcontains", "startswith", "endswith"}

Test = Callable[[Agent], bool]


def parse(text: str) -> Test:
    """The test that a query is.

    Raises:
        Refused: the query can't be read, or names a field that can't be queried.
    """
    words = _TOKEN.findall(text)
    test, rest = _either(words)
    if rest:
        raise Refused(f"The query could not be parsed at {rest[0]!r}.", "0xA011004A")
    return test


def _either(words: list[str]) -> tuple[Test, list[str]]:
    test, rest = _both(words)
    while rest and rest[0].upper() == "OR":
        left, (right, rest) = test, _both(rest[1:])
        test = _any(left, right)
    return test, rest


def _both(words: list[str]) -> tuple[Test, list[str]]:
    test, rest = _clause(words)
    while rest and rest[0].upper() == "AND":
        left, (right, rest) = test, _clause(rest[1:])
        test = _all(left, right)
    return test, rest


def _any(left: Test, right: Test) -> Test:
    return lambda agent: left(agent) or right(agent)


def _all(left: Test, right: Test) -> Test:
    return lambda agent: left(agent) and right(agent)


def _clause(words: list[str]) -> tuple[Test, list[str]]:
    if words and words[0] == "(":
        test, rest = _either(words[1:])
        if not rest or rest[0] != ")":
            raise Refused("The query lacks a closing parenthesis.", "0xA011004A")
        return test, rest[1:]
    if len(words) < 3:
        raise Refused("The query could not be parsed.", "0xA011004A")
    name, operator, value = words[0], words[1].lstrip("-").lower(), words[2]
    field = FIELDS.get(name.lower())
    if field is None or operator not in _WORDS:
        raise Refused(f"The query's field or operator is not supported: {name} {words[1]}", "0xA011004A")
    return _comparison(field, operator, None if value == "NULL" else value.strip('"')), words[3:]


def _comparison(field: Callable[[Agent], Any], operator: str, value: str | None) -> Test:
    def test(agent: Agent) -> bool:
        have = field(agent)
        if value is None:
            return (have in (None, "")) is (operator == "eq")
        if isinstance(have, int):
            return _ordered(operator, have, int(value) if value.lstrip("-").isdigit() else -1)
        text, wanted = (have or "").lower(), value.lower()
        if operator in ("contains", "notcontains"):
            return (wanted in text) is (operator == "contains")
        if operator in ("startswith", "endswith"):
            return bool(text.startswith(wanted) if operator == "startswith" else text.endswith(wanted))
        return _ordered(operator, text, wanted)

    return test


def _ordered(operator: str, have: Any, wanted: Any) -> bool:
    return bool(
        {
            "eq": have == wanted,
            "ne": have != wanted,
            "lt": have < wanted,
            "gt": have > wanted,
            "le": have <= wanted,
            "ge": have >= wanted,
        }.get(operator, False)
    )
