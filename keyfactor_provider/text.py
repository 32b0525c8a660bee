"""Text from outside made safe to show, and lists of names kept short."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MOST_NAMED: Final = 20
"""No message names more orchestrators than this; the state has the rest."""
MOST_CHARACTERS: Final = 200

_EXECUTED: Final = re.compile(r"^\s*(::|##\[|##vso\[)")
"""Line prefixes that CI systems execute (GitHub Actions, Azure Pipelines)."""


def safe(text: str, most: int = MOST_CHARACTERS) -> str:
    """One printable line of untrusted text, bounded in length.

    Control characters, ANSI and OSC escapes, bidirectional marks and line ends become spaces, so that no orchestrator,
    server or proxy can forge a line of a log or a command of a CI system.
    """
    bounded = text[: most * 8]
    flat = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in bounded)
    line = " ".join(flat.split())
    line = _EXECUTED.sub(lambda match: match[0].replace(":", ";").replace("#", ";"), line)
    return line if len(line) <= most and len(text) <= len(bounded) else f"{line[: most - 1]}…"


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Names joined by commas, at most `most` of them, with the number of those left out."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more (the state has them all)" if len(names) > most else shown


def count(number: int, noun: str = "orchestrator") -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
