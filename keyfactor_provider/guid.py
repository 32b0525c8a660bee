"""GUIDs of orchestrators, compared without regard to case or braces."""

import re
from typing import Final

_GUID: Final = re.compile(
    r"(\{)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?(1)\})", re.IGNORECASE | re.ASCII
)
_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def canonical(text: str) -> str:
    """The GUID in lower case with hyphens and without braces.

    Raises:
        ValueError: the text is not a GUID; the message repeats it.
    """
    match = _GUID.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not an orchestrator's GUID; "
            "expected 32 hexadecimal digits such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301"
        )
    return match[2].lower()


def is_canonical(text: str) -> bool:
    """Whether a text is a GUID in the form that `canonical` returns."""
    return _CANONICAL.fullmatch(text) is not None
