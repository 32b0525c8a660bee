"""What all resources of one plugin process share."""

import threading
from typing import TYPE_CHECKING

from keyfactor_provider.terraform.diagnostics import Telling

if TYPE_CHECKING:
    from keyfactor_provider.operations.run import Operations


class Shared:
    """What the provider hands to each of its resources.

    Attributes:
        tell: takes what operations say into the answer to the call in which they say it.
        stopping: set when Terraform wants what is under way to end soon.
        readable: whether the settings are known, so that Command can be read.
    """

    def __init__(self) -> None:
        self.tell = Telling()
        self.stopping = threading.Event()
        self.readable = True
        self._operations: Operations | None = None
        self._read: set[str] = set()

    @property
    def operations(self) -> "Operations":
        """What this process does to Command; there once the provider is configured."""
        assert self._operations is not None, "Terraform configures a provider before it uses it"
        return self._operations

    @operations.setter
    def operations(self, operations: "Operations") -> None:
        self._operations = operations

    def note_read(self, name: str) -> None:
        """Remembers that a resource was read in this process."""
        self._read.add(name)

    def was_read(self, name: str) -> bool:
        """Whether it was."""
        return name in self._read

    def close(self) -> None:
        """Closes the connections to Command."""
        if self._operations is not None:
            self._operations.close()
