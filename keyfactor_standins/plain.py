"""Text of orchestrators and programs as a terminal may show it."""

import json
import re

_BRACKETED = re.compile(r"(?<!#)#{2,}+(?=[A-Za-z]*\[)")


def printable(text: str) -> str:
    """The text with what a terminal would obey written as in JSON, and a blank inside the commands of CI systems.

    `::` is one at the beginning of a line alone, and no text begins a line here.
    """
    written = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    return _BRACKETED.sub(lambda match: " ".join(match[0]), written.replace("\x7f", "\\u007f"))
