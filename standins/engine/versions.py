"""Version ranges as Pulumi writes them: `>=3.238.0 <4.0.0 || 5.0.0` (github.com/blang/semver, ParseRange)."""

import operator
import re

from standins.engine.errors import EngineError

_COMPARE = {
    "": operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!": operator.ne,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a range.

    Raises:
        EngineError: the range is malformed.
    """
    have = _numbers(version)
    return any(
        all(_COMPARE[sign](have, _numbers(number)) for sign, number in _terms(part))
        for part in wanted.split("||")
    )


def _terms(part: str) -> list[tuple[str, str]]:
    text = re.sub(r"([=!<>]+)\s+", r"\1", part.strip())
    terms = []
    for word in text.split():
        found = re.fullmatch(r"([=!<>]*)v?(\d+\.\d+\.\d+)", word)
        if found is None or found.group(1) not in _COMPARE:
            raise EngineError(
                f"the version range {part.strip()!r} is malformed at {word!r}; write it like >=3.238.0"
            )
        terms.append((found.group(1), found.group(2)))
    if not terms:
        raise EngineError("the version range is empty; write it like >=3.238.0")
    return terms


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
