"""Text from outside made safe to show, and lists of names kept short."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MOST_NAMED: Final = 20
"""No message names more orchestrators than this; the state has the rest."""
MOST_CHARACTERS: Final = 200
MOST_MARKS: Final = 4
"""Combining marks on one character: no living script needs more, and a stack of them covers other lines."""

_READ: Final = 8
"""Characters that are looked at for each one that may be shown: escape sequences and runs of blanks become shorter."""

_ESCAPES: Final = re.compile(
    # ECMA-48: OSC, DCS, APC, PM and SOS with what they carry up to their end, CSI, and all other escape sequences.
    # Without an end only the introducer goes: in a text of the wrong encoding it is part of a letter.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_INVISIBLE: Final = re.compile(
    # Letters, marks and symbols that show nothing (Unicode: Default_Ignorable_Code_Point, and the empty Braille cell).
    # The two variation selectors that emoji need, U+FE0E and U+FE0F, stay.
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
_BRACKETED: Final = re.compile(r"(?<!#)#{2,}+(?=[A-Za-z]*\[)")
"""`##[`, `##vso[` and `##teamcity[`: Azure Pipelines looks for its own anywhere in a line (its agent's Command.cs)."""
_COLONS: Final = re.compile(r"^:{2,}+|(?<=\s):{2,}+(?=[A-Za-z][\w-]*(?:::|\s|$))")
"""`::` at the beginning, and before a command's name where a terminal or an engine could break the line.

GitHub Actions obeys it at the beginning of a line, after blanks too."""


def safe(text: str, most: int = MOST_CHARACTERS) -> str:
    """One printable line of untrusted text, bounded in length, so that it can't forge a line of a log.

    Escape sequences of terminals go. Control characters, line ends, bidirectional marks, invisible and unassigned
    characters become blanks, and runs of blanks become one. Stacks of combining marks are thinned out. Commands of CI
    systems get a blank inside, after which they are text.

    Args:
        most: characters, at least 1; what is longer ends with an ellipsis.
    """
    if len(text) <= most and _is_plain(text):
        return text
    line = flat(text[: most * _READ])
    return line if len(line) <= most and len(text) <= most * _READ else f"{line[: most - 1]}…"


def flat(text: str) -> str:
    """What `safe` makes of the whole text, however long it is."""
    if _is_plain(text):
        return text
    line = _ESCAPES.sub("", text)
    if not line.isascii():
        line = _few_marks(_INVISIBLE.sub(" ", line))
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    line = " ".join(line.split())
    for command in (_BRACKETED, _COLONS):
        line = command.sub(lambda match: " ".join(match[0]), line)
    return line


def named(machine: str, guid: str) -> str:
    """An orchestrator as messages name it: its machine, where it has one, and its GUID."""
    shown = safe(machine)
    return f"{shown} ({guid})" if shown else guid


def listed(names: Sequence[str], most: int = MOST_NAMED, rest: str = "the state has them all") -> str:
    """Names joined by commas, at most `most` of them, with the number of those left out.

    Args:
        rest: where to find those; empty where they are nowhere.
    """
    shown = ", ".join(names[:most])
    where = f" ({rest})" if rest else ""
    return f"{shown} and {len(names) - most} more{where}" if len(names) > most else shown


def count(number: int, noun: str = "orchestrator") -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_plain(text: str) -> bool:
    """Whether it is ASCII that can stay as it is: nearly every machine name, a hundred thousand of them in a run."""
    return (
        text.isascii()
        and text.isprintable()
        and "  " not in text
        and text[:1] != " "
        and text[-1:] != " "
        and "::" not in text
        and "##" not in text
    )


def _few_marks(text: str) -> str:
    kept, run = [], 0
    for char in text:
        run = run + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if run <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)
