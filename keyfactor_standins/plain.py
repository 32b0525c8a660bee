"""Makes text of orchestrators and programs safe for a terminal."""

import json
import re

_BRACKETED = re.compile(r"(?<!#)#{2,}+(?=[A-Za-z]*\[)")


def printable(text: str) -> str:
    """The text with control characters escaped as in JSON, and with the commands of CI systems broken by a blank.

    `::` is such a command only at the beginning of a line, where no text stands here.
    """
    escaped = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    return _BRACKETED.sub(lambda match: " ".join(match[0]), escaped.replace("\x7f", "\\u007f"))
