"""What all resources of one plugin process share."""

from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from keyfactor_provider.terraform.diagnostics import Telling
from keyfactor_provider.terraform.neighbours import Neighbours

if TYPE_CHECKING:
    from keyfactor_provider.operations.operations import Operations


class Shared:
    """What the provider hands to each of its resources.

    Attributes:
        tell: takes what operations say into the answer to the call in which they say it.
        stopping: done when Terraform wants what is under way to end soon.
        looks: carries out the looks at Command of all waits, one after another: however many completions wait, at most
            one of them stands in the way of a call that reads or posts, and none that is to stop has to wait its turn.
        readable: whether the settings are known, so that Command can be read.
        server: host and port of Command, once they are known.
        neighbours: the plugin processes of the other provider configurations, where they can be known.
    """

    def __init__(self) -> None:
        self.tell = Telling()
        self.stopping: Future[None] = Future()
        self.looks = ThreadPoolExecutor(1, "look")
        self.readable = True
        self.server: str | None = None
        self.neighbours: Neighbours | None = None
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

    def claim(self, members: Iterable[str]) -> frozenset[str]:
        """Claims members for a fleet of this provider configuration; those that fleets of another one have claimed."""
        if self.neighbours is None or self.server is None:
            return frozenset()
        return self.neighbours.claim(self.server, members)

    def claimed_elsewhere(self) -> frozenset[str]:
        """The members that fleets of other provider configurations have claimed so far: their flags stay."""
        if self.neighbours is None or self.server is None:
            return frozenset()
        return self.neighbours.claimed(self.server)

    def note_read(self, name: str) -> None:
        """Remembers that a resource was read in this process."""
        self._read.add(name)

    def was_read(self, name: str) -> bool:
        """Whether it was."""
        return name in self._read

    def stop(self) -> None:
        """Tells every wait to end, also those that have yet to begin."""
        # A signal and Terraform may say so at the same time.
        with suppress(InvalidStateError):
            self.stopping.set_result(None)
