"""What messages call the things that each engine names its own way."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words of one engine; as they stand here, Pulumi's.

    Attributes:
        preview: the command that shows what would be done.
        up: the command that does it.
        claimed_twice: what is said of a member that two fleets name; takes member, owner and name.
    """

    preview: str = "preview"
    up: str = "up"
    claimed_twice: str = '{member} is in fleet "{owner}" and in fleet "{name}"; expected each orchestrator in one fleet'
