"""The state that all resources of one plugin process share."""

from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from keyfactor_provider.terraform.diagnostics import Telling
from keyfactor_provider.terraform.neighbours import Neighbours

if TYPE_CHECKING:
    from keyfactor_provider.operations.operations import Operations


class Shared:
    """The state that the provider passes to each of its resources.

    Attributes:
        tell: adds the messages of operations to the response of the current call.
        stopping: done once Terraform wants calls to end soon.
        looks: runs the observations of all waits one at a time, so that at most one delays a call that reads or posts,
            and a wait that should stop is never blocked.
        readable: whether the settings are known, so that Command can be read.
        server: host and port of Command, once they are known.
        neighbours: the plugin processes of the other provider configurations, if they can be determined.
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
        """The operations on Command; available once the provider is configured."""
        assert self._operations is not None, "Terraform configures a provider before it uses it"
        return self._operations

    @operations.setter
    def operations(self, operations: "Operations") -> None:
        self._operations = operations

    def claim(self, members: Iterable[str]) -> frozenset[str]:
        """Claims members for a fleet; returns those that fleets of other provider configurations have claimed."""
        if self.neighbours is None or self.server is None:
            return frozenset()
        return self.neighbours.claim(self.server, members)

    def claimed_elsewhere(self) -> frozenset[str]:
        """The members that fleets of other provider configurations have claimed, whose flags must stay."""
        if self.neighbours is None or self.server is None:
            return frozenset()
        return self.neighbours.claimed(self.server)

    def note_read(self, name: str) -> None:
        """Records that a resource was refreshed in this process."""
        self._read.add(name)

    def was_read(self, name: str) -> bool:
        """Whether a resource was refreshed in this process."""
        return name in self._read

    def stop(self) -> None:
        """Ends every wait, including those that have not started yet."""
        # A signal and StopProvider may arrive at the same time.
        with suppress(InvalidStateError):
            self.stopping.set_result(None)
