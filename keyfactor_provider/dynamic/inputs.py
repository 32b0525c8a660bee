"""What a program writes as arguments, made into what the SDK can carry, and refused where it is written."""

import sys
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence, Set
from types import FrameType
from typing import Any, Final
from uuid import UUID

import pulumi

from keyfactor_provider.errors import InputError, Problem
from keyfactor_provider.reenrollment.desired import UNKNOWN, check

MISSING: Final = "nothing (None)"
"""A None that an Output came to: the SDK leaves None out, as it does what a failed resource never gave."""

_SDK: Final = ("keyfactor_provider", "pulumi")


def members(value: Any) -> Any:
    """The members as the SDK takes them, which knows lists of texts alone."""
    if isinstance(value, (pulumi.Output, Awaitable)):
        return pulumi.Output.from_input(value).apply(lambda found: pulumi.Output.from_input(_settled(found)))
    plain = _listed(value)
    if not isinstance(plain, list):
        return plain
    return [
        pulumi.Output.from_input(item).apply(_member) if _is_later(item) else item if item is None else _member(item)
        for item in plain
    ]


def later(value: Any) -> Any:
    """A value, with the None that an Output comes to kept."""
    if isinstance(value, (pulumi.Output, Awaitable)):
        return pulumi.Output.from_input(value).apply(lambda found: MISSING if found is None else found)
    return value


def given(value: Any) -> Any:
    """What comes from an engine: MISSING as the None that it stands for, a None in a list as what is not known."""
    if isinstance(value, list):
        return [UNKNOWN if item is None else None if item == MISSING else item for item in value]
    return None if isinstance(value, str) and value == MISSING else value


def refuse_wrong(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuses invalid values, as far as the program itself knows them.

    Args:
        name: what messages call the fleet.
        arguments: as they were written, those that are None left out unless they are needed.

    Raises:
        pulumi.RunError: names the line of the program, and every such value.
    """
    checked = check(name, {key: _known(value) for key, value in arguments.items()})
    if checked.problems:
        refuse(name, checked.problems)


def refuse(name: str, problems: Sequence[Problem]) -> None:
    """Ends the program with the line of it that declares a fleet, and what is wrong there.

    Raises:
        pulumi.RunError: always.
    """
    error = InputError(name, problems)
    raise pulumi.RunError(f"{_line_of_program()}{error}")


def has_later(value: Any) -> bool:
    """Whether the program does not know all of a value while it runs."""
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
    """Any collection as a list; what is none stays as it is, for the message that refuses it."""
    if isinstance(value, (str, bytes, Mapping)):
        return value
    return list(value) if isinstance(value, (Sequence, Set, Iterator, Iterable)) else value


def _settled(value: Any) -> Any:
    plain = _listed(value)
    return [_member(item) for item in plain] if isinstance(plain, list) else MISSING if plain is None else plain


def _member(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else MISSING if value is None else value


def _line_of_program() -> str:
    """`FILE:LINE: ` of the innermost code that is neither the SDK's nor this project's; empty where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _SDK:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}: "
        frame = frame.f_back
    return ""
