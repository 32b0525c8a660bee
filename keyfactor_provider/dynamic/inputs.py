"""A program's arguments: converted to values that the SDK can carry, and refused at the line that is wrong."""

import sys
from collections.abc import Awaitable, Iterable, Mapping
from types import FrameType
from typing import Any, Final
from uuid import UUID

import pulumi

from keyfactor_provider.errors import InputError
from keyfactor_provider.reenrollment.desired import UNKNOWN, check

MISSING: Final = "nothing (None)"
"""Stands for a None in an Output, which the SDK would drop just as it drops values of failed resources."""

_SDK: Final = ("keyfactor_provider", "pulumi")


def members(value: Any) -> Any:
    """The members as a list of strings, the only collection that the SDK accepts."""
    if _is_later(value):
        return pulumi.Output.from_input(value).apply(lambda resolved: pulumi.Output.from_input(_settled(resolved)))
    plain = _listed(value)
    if not isinstance(plain, list):
        return plain
    return [
        pulumi.Output.from_input(item).apply(_member) if _is_later(item) else item if item is None else _member(item)
        for item in plain
    ]


def later(value: Any) -> Any:
    """A value in which MISSING replaces an Output's None."""
    if _is_later(value):
        return pulumi.Output.from_input(value).apply(lambda resolved: MISSING if resolved is None else resolved)
    return value


def given(value: Any) -> Any:
    """A value from the engine: MISSING becomes None again, and a None in a list becomes UNKNOWN."""
    if isinstance(value, list):
        return [UNKNOWN if item is None else None if item == MISSING else item for item in value]
    return None if isinstance(value, str) and value == MISSING else value


def refuse_wrong(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuses invalid values among those that the program already knows.

    Args:
        name: of the fleet in messages.
        arguments: as written; optional ones that are None are left out.

    Raises:
        pulumi.RunError: names the line of the program and each invalid value.
    """
    checked = check(name, {key: _known(value) for key, value in arguments.items()})
    if checked.problems:
        raise pulumi.RunError(f"{_line_of_program()}{InputError(name, checked.problems)}")


def has_later(value: Any) -> bool:
    """Whether a value contains an Output or awaitable, so that the program does not know it yet."""
    if isinstance(value, Mapping):
        return any(has_later(item) for item in value.values())
    return _is_later(value) or (isinstance(value, list) and any(map(_is_later, value)))


def _is_later(value: Any) -> bool:
    return isinstance(value, (pulumi.Output, Awaitable))


def _known(value: Any) -> Any:
    if _is_later(value):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    """Any collection as a list; other values stay as they are, for the message that refuses them."""
    if isinstance(value, (str, bytes, Mapping)):
        return value
    return list(value) if isinstance(value, Iterable) else value


def _settled(value: Any) -> Any:
    plain = _listed(value)
    return [_member(item) for item in plain] if isinstance(plain, list) else MISSING if plain is None else plain


def _member(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else MISSING if value is None else value


def _line_of_program() -> str:
    """`FILE:LINE: ` of the innermost frame outside the SDK and this project; empty if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _SDK:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}: "
        frame = frame.f_back
    return ""
