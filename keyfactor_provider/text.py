"""Makes untrusted text safe to show, and keeps lists of names short."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MOST_NAMED: Final = 20
"""The most orchestrators that a message names; the state has them all."""
MOST_CHARACTERS: Final = 200
MOST_MARKS: Final = 4
"""The most combining marks on one character: no living script needs more, and stacked marks cover other lines."""

_READ: Final = 8
"""Input characters that are examined per character shown, since escape sequences and runs of blanks shrink."""

_ESCAPES: Final = re.compile(
    # ECMA-48: OSC, DCS, APC, PM and SOS with their content up to the terminator, CSI, and all other escape sequences.
    # If there is no terminator, only the introducer is removed: in wrongly decoded text it is part of a letter.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_INVISIBLE: Final = re.compile(
    # Invisible letters, marks and symbols (Unicode: Default_Ignorable_Code_Point, and the empty Braille cell), except
    # U+FE0E and U+FE0F, the variation selectors that emoji need.
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
_BRACKETED: Final = re.compile(r"(?<!#)#{2,}+(?=[A-Za-z]*\[)")
"""`##[`, `##vso[` and `##teamcity[`: Azure Pipelines finds its commands anywhere in a line (its agent's Command.cs)."""
_COLONS: Final = re.compile(r"^:{2,}+|(?<=\s):{2,}+(?=[A-Za-z][\w-]*(?:::|\s|$))")
"""`::` at the beginning, and before a command's name wherever a terminal or an engine could break the line.

GitHub Actions obeys it at the beginning of a line, even after blanks."""


def safe(text: str, most: int = MOST_CHARACTERS) -> str:
    """Untrusted text as one printable line of bounded length, which can't forge a line of a log.

    Terminal escape sequences are removed. Control characters, line ends, bidirectional marks, invisible and unassigned
    characters become blanks, and runs of blanks become one. Stacks of combining marks are thinned out. Commands of CI
    systems are defused with a blank.

    Args:
        most: the most characters, at least 1; longer text is cut and ends with an ellipsis.
    """
    if len(text) <= most and _is_plain(text):
        return text
    line = flat(text[: most * _READ])
    return line if len(line) <= most and len(text) <= most * _READ else f"{line[: most - 1]}…"


def flat(text: str) -> str:
    """Like `safe`, but without a limit on the length."""
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
    """An orchestrator as messages name it: its machine, if it has one, and its GUID."""
    shown = safe(machine)
    return f"{shown} ({guid})" if shown else guid


def listed(names: Sequence[str], most: int = MOST_NAMED, rest: str = "the state has them all") -> str:
    """At most `most` names joined by commas, with the number of names left out.

    Args:
        rest: where to find the others; may be empty.
    """
    shown = ", ".join(names[:most])
    where = f" ({rest})" if rest else ""
    return f"{shown} and {len(names) - most} more{where}" if len(names) > most else shown


def count(number: int, noun: str = "orchestrator") -> str:
    """A number with its noun in the singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_plain(text: str) -> bool:
    """Whether it is ASCII that needs no change, as nearly every one of a run's 100,000 machine names."""
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
