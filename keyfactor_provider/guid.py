"""GUIDs of orchestrators, compared without regard to case or braces."""

import re

_GUID = re.compile(r"(\{)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?(1)\})", re.IGNORECASE)


def canonical(text: str) -> str:
    """The GUID in lower case with hyphens and without braces.

    Raises:
        ValueError: the text is no GUID; the message repeats it.
    """
    match = _GUID.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not an orchestrator's GUID; "
            "expected 32 hexadecimal digits such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301"
        )
    return match[2].lower()
