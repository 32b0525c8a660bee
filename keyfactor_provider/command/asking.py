"""Asking for many members: in batches, splitting one that is refused, never repeating an open one unseen."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.retrying import Deadline
from keyfactor_provider.errors import CommandError, Rejected
from keyfactor_provider.status import ReenrollmentStatus

ENOUGH_REFUSALS: Final = 5
"""Single members with the same 400, and none accepted: the fault is the request's, not theirs."""

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

StillDue = Callable[[Sequence[str], Deadline], Sequence[str]]


@dataclass
class Outcome:
    """What became of the members of one operation that were asked for one status.

    Attributes:
        accepted: Command said that it set their flag.
        refused: why Command did not, by member.
        unreached: members of a call that failed or was not sent; True where it may have been carried out.
        trouble: the error that ended it early, if one did.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unreached: dict[str, bool] = field(default_factory=dict)
    trouble: CommandError | None = None


def ask(
    client: CommandClient,
    members: Sequence[str],
    status: ReenrollmentStatus,
    *,
    still_due: StillDue,
    written: Callable[[Sequence[str]], None],
) -> Outcome:
    """Asks Command to set the flag of the members; never raises what Command does.

    Args:
        still_due: reads members of a call whose outcome is open, and gives those that still have to be
            asked; it may raise CommandError.
        written: told the members of each call before it is sent.
    """
    return _Asking(client, status, still_due, written).run(list(members))


class _Asking:
    def __init__(
        self,
        client: CommandClient,
        status: ReenrollmentStatus,
        still_due: StillDue,
        written: Callable[[Sequence[str]], None],
    ) -> None:
        self._client = client
        self._status = status
        self._still_due = still_due
        self._written = written
        self._outcome = Outcome()
        self._alone: dict[str, Rejected] = {}

    def run(self, members: list[str]) -> Outcome:
        size = self._client.settings.batch_size
        todo = [members[start : start + size] for start in range(0, len(members), size)]
        todo.reverse()
        while todo and self._outcome.trouble is None:
            refusal = self._send(todo.pop())
            if refusal is None:
                continue
            due, error = refusal
            if len(due) > 1:
                todo += self._parts(due)
                continue
            self._alone[due[0]] = error
            if self._at_fault() and len(self._alone) >= ENOUGH_REFUSALS:
                break
        self._outcome.unreached |= {member: False for batch in todo for member in batch}
        self._judge_refusals()
        return self._outcome

    def _send(self, batch: list[str]) -> tuple[list[str], Rejected] | None:
        """One call, and after an open outcome as many more as its time allows for those still due.

        Returns:
            The members of a call that Command refused as a whole, and its refusal; None for any other end.
        """
        deadline = self._client.deadline()
        due, was_open = batch, False

        def attempt() -> None:
            nonlocal due, was_open
            if was_open:
                due, was_open = list(self._still_due(due, deadline)), False
            if not due:
                return
            self._written(due)
            try:
                self._accept(due, self._client.ask(due, self._status, deadline=deadline))
            except CommandError as error:
                was_open |= error.outcome_open
                raise

        def open_and_passing(error: BaseException) -> bool:
            return isinstance(error, CommandError) and error.outcome_open and error.transient

        try:
            self._client.retrying(deadline, open_and_passing)(attempt)
        except Rejected as error:
            return due, error
        except CommandError as error:
            # A reading that failed since tells nothing about the call before it: until one comes, it stays open.
            self._outcome.unreached |= dict.fromkeys(due, was_open)
            self._outcome.trouble = error
        return None

    def _parts(self, batch: list[str]) -> list[list[str]]:
        """What to send in place of a refused batch, the last first.

        While nothing was accepted, single members from afar go first: they tell a request that this server
        never takes from one that names a bad member.
        """
        probes: list[int] = []
        if not (self._outcome.accepted or self._outcome.refused):
            last = len(batch) - 1
            probes = sorted({last * number // (ENOUGH_REFUSALS - 1) for number in range(ENOUGH_REFUSALS)}, reverse=True)
        rest = [member for place, member in enumerate(batch) if place not in probes]
        middle = (len(rest) + 1) // 2
        return [half for half in (rest[middle:], rest[:middle]) if half] + [[batch[place]] for place in probes]

    def _accept(self, batch: Sequence[str], failed: frozenset[str]) -> None:
        for member in batch:
            if member in failed:
                self._outcome.refused[member] = "listed in FailedOrchestratorIds"
            else:
                self._outcome.accepted.append(member)

    def _at_fault(self) -> bool:
        """Whether everything points at the request: nothing accepted, the same refusal for each alone."""
        refusals = {(error.status, error.code, _GUID.sub("", error.came_back)) for error in self._alone.values()}
        return not self._outcome.accepted and not self._outcome.refused and len(refusals) == 1

    def _judge_refusals(self) -> None:
        if not self._alone:
            return
        if not self._at_fault():
            self._outcome.refused |= {member: error.came_back for member, error in self._alone.items()}
            return
        self._outcome.unreached |= dict.fromkeys(self._alone, False)
        error = next(iter(self._alone.values()))
        other = "string" if self._client.settings.status_encoding != "string" else "integer"
        self._outcome.trouble = self._outcome.trouble or Rejected(
            f"Every request for status {self._status.value} was refused, whoever it named",
            error.came_back,
            f"This server may want the status as a {other}: "
            f"set {self._client.settings.vocabulary.setting('statusEncoding')} to {other}.",
            status=error.status,
            code=error.code,
        )
