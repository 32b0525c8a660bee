"""What messages call the things that each engine names its own way."""

from collections.abc import Callable
from dataclasses import dataclass


def _in_two_fleets(members: str, count: int, owner: str, name: str) -> str:
    verb = "is" if count == 1 else "are"
    return f'{members} {verb} in fleet "{owner}" and in fleet "{name}"; expected each orchestrator in one fleet'


@dataclass(frozen=True)
class Words:
    """The words of one engine; as they stand here, Pulumi's.

    Attributes:
        preview: the command that shows what would be done.
        up: the command that does it.
        claimed_twice: what is said of members that two fleets name; takes them, their number, and both fleets.
    """

    preview: str = "preview"
    up: str = "up"
    claimed_twice: Callable[[str, int, str, str], str] = _in_two_fleets
