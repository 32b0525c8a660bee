"""Asking for many members: in batches, splitting one that is refused, never repeating an open one unseen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from keyfactor_provider.command.client import CommandClient, Patience
from keyfactor_provider.errors import CommandError, Rejected
from keyfactor_provider.status import ReenrollmentStatus

ENOUGH_REFUSALS: Final = 3
"""Single members with the same 400, and none accepted: the fault is the request's, not theirs."""


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
    still_due: Callable[[Sequence[str], Patience], Sequence[str]],
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
        still_due: Callable[[Sequence[str], Patience], Sequence[str]],
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
        while todo:
            batch = todo.pop()
            try:
                self._send(batch)
            except Rejected as error:
                if len(batch) > 1:
                    middle = len(batch) // 2
                    todo += [batch[middle:], batch[:middle]]
                else:
                    self._alone[batch[0]] = error
                    # The largest rest next: members refused for their own sake may stand side by side.
                    todo.sort(key=len)
                if self._at_fault() and len(self._alone) >= ENOUGH_REFUSALS:
                    self._give_up(todo, None)
                    break
            except CommandError as error:
                self._outcome.unreached |= dict.fromkeys(batch, error.outcome_open)
                self._give_up(todo, error)
                break
        self._judge_refusals()
        return self._outcome

    def _send(self, batch: list[str]) -> None:
        """One call, and after an open outcome as many more as its time allows for those still due.

        Members that a reading shows to be no longer due leave the batch, so that nobody asks or judges them again.
        """
        patience = self._client.patience()

        def attempt() -> None:
            if retrying.statistics.get("attempt_number", 1) > 1:
                self._reread(batch, patience)
            if batch:
                self._written(batch)
                self._accept(batch, self._client.ask(batch, self._status, patience=patience))

        def open_and_passing(error: BaseException) -> bool:
            return isinstance(error, CommandError) and error.outcome_open and error.transient

        retrying = self._client.retrying(patience, open_and_passing)
        retrying(attempt)

    def _reread(self, batch: list[str], patience: Patience) -> None:
        try:
            batch[:] = self._still_due(batch, patience)
        except CommandError as error:
            # The call before may have been carried out, whatever keeps its members from being read.
            error.outcome_open = True
            raise

    def _accept(self, batch: Sequence[str], failed: frozenset[str]) -> None:
        for member in batch:
            if member in failed:
                self._outcome.refused[member] = "listed in FailedOrchestratorIds"
            else:
                self._outcome.accepted.append(member)

    def _give_up(self, todo: list[list[str]], error: CommandError | None) -> None:
        self._outcome.unreached |= {member: False for batch in todo for member in batch}
        self._outcome.trouble = error

    def _at_fault(self) -> bool:
        """Whether everything points at the request: nothing accepted, the same refusal for each alone."""
        texts = {str(error.came_back).replace(member, "") for member, error in self._alone.items()}
        return not self._outcome.accepted and not self._outcome.refused and len(texts) == 1

    def _judge_refusals(self) -> None:
        if not self._alone:
            return
        if not self._at_fault():
            self._outcome.refused |= {member: error.came_back for member, error in self._alone.items()}
            return
        self._outcome.unreached |= dict.fromkeys(self._alone, False)
        error = next(iter(self._alone.values()))
        other = "string" if self._client.settings.status_encoding == "integer" else "integer"
        self._outcome.trouble = Rejected(
            f"Every request for status {self._status.value} was refused, whoever it named",
            error.came_back,
            f"This server may want the status as a {other}: "
            f"set {self._client.settings.naming.full('statusEncoding')} to {other}.",
            status=error.status,
            code=error.code,
        )
