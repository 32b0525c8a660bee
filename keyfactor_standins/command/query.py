"""The query language of GET /Agents: `Field -op "value"`, AND, OR and parentheses."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from keyfactor_standins.command.world import Agent, Refused

Test = Callable[[Agent], bool]


@dataclass(frozen=True)
class Field:
    """A field to query or sort by.

    Attributes:
        of: its value for an orchestrator.
        read: converts the text of a query to such a value; raises ValueError.
        operators: those that the search pages list for its type.
    """

    of: Callable[[Agent], Any]
    read: Callable[[str], Any]
    operators: dict[str, Callable[[Any, Any], bool]]


def _time(text: str) -> datetime:
    read = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    return read if read.tzinfo else read.replace(tzinfo=UTC)


_EQUAL = {"eq": operator.eq, "ne": operator.ne}
# Our choice: -le and -ge; the page that would list them is truncated.
_ORDERED = _EQUAL | {"lt": operator.lt, "gt": operator.gt, "le": operator.le, "ge": operator.ge}
_STRING = _EQUAL | {
    "contains": lambda have, wanted: wanted in have,
    "notcontains": lambda have, wanted: wanted not in have,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def _text(of: Callable[[Agent], str]) -> Field:
    # Our choice: case does not matter, as in most databases that Command runs on.
    return Field(lambda agent: of(agent).lower(), str.lower, _STRING)


FIELDS = {
    "identity": _text(lambda agent: agent.username),
    "lastseen": Field(lambda agent: _time(agent.last_seen) if agent.last_seen else None, _time, _ORDERED),
    "platform": Field(lambda agent: agent.agent_platform, int, _ORDERED),
    "status": Field(lambda agent: agent.status, int, _ORDERED),
    "version": _text(lambda agent: agent.version),
    "agentid": _text(lambda agent: agent.agent_id),
    "clientmachine": _text(lambda agent: agent.client_machine),
    "capabilities": _text(lambda agent: ",".join(agent.capabilities)),
}
"""The fields to query: the five documented ones, and the three that Keyfactor's tools use."""

_TOKEN = re.compile(r'\s*(?:(\(|\)|-\w+|"[^"]*"|[^\s()"]+)|$)')


def parse(text: str) -> Test:
    """The test that a query describes.

    Raises:
        Refused: the query is malformed, or names a field that can't be queried.
    """
    test, rest = _either(_words(text))
    if rest:
        raise _malformed(f"The query could not be parsed at {rest[0]!r}.")
    return test


def _malformed(message: str) -> Refused:
    return Refused(message, "0xA011004A")


def _words(text: str) -> list[str]:
    words, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _malformed(f"The query could not be parsed at {text[at:]!r}.")
        if match[1]:
            words.append(match[1])
        at = match.end()
    return words


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
            raise _malformed("The query lacks a closing parenthesis.")
        return test, rest[1:]
    if len(words) < 3:
        raise _malformed("The query could not be parsed.")
    return _comparison(*words[:3]), words[3:]


def _comparison(name: str, dashed: str, value: str) -> Test:
    field = FIELDS.get(name.lower())
    if field is None or not dashed.startswith("-"):
        raise _malformed(f"The query's field or operator is not supported: {name} {dashed}")
    compare = field.operators.get(dashed[1:].lower())
    if value.upper() == "NULL":
        compare = _EQUAL.get(dashed[1:].lower())
    if compare is None:
        raise _malformed(f"The query's field or operator is not supported: {name} {dashed}")
    if value.upper() == "NULL":
        empty = compare is operator.eq
        return lambda agent: (field.of(agent) in (None, "")) is empty
    try:
        wanted = field.read(value.strip('"'))
    except ValueError:
        raise _malformed(f"The value {value} can't be compared with {name}.") from None
    return lambda agent: (have := field.of(agent)) is not None and compare(have, wanted)
