"""Requests a status for many members in batches; splits rejected batches, and retries others only when that is safe."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Final

from keyfactor_provider.command.client import CommandClient, StatusMisread
from keyfactor_provider.command.retrying import Deadline, pause_after
from keyfactor_provider.command.wire import Encoding
from keyfactor_provider.errors import BadAnswer, CommandError, Rejected, Unreachable
from keyfactor_provider.status import ReenrollmentStatus

ENOUGH_REFUSALS: Final = 5
"""Single members with the same 400, and none accepted, after which the request itself is taken to be at fault."""

_ENCODINGS: Final[tuple[Encoding, ...]] = ("integer", "string", "digits")
"""In the order in which `auto` tries them: first the one on the vendor's page, then those that its clients send."""
_LISTED: Final = "listed in FailedOrchestratorIds"
_BAD_REQUEST: Final = 400
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """The outcome for members that a status was requested for.

    Attributes:
        deadline: the time limit for everything that the batch needs, including reading its members again.
        accepted: members whose flag Command says it set.
        rejected: the reason for each member that Command rejected.
        unsent: members of a call that was not sent, or certainly not carried out.
        open: members of a call that Command may have carried out.
        error: what went wrong, if anything did.
    """

    deadline: Deadline
    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    unsent: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    error: CommandError | None = None


class Encodings:
    """The encoding of a status that one server accepts.

    Args:
        setting: one of the encodings, or `auto` for the first that the server accepts.
    """

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.accepted: Encoding | None = None
        self._candidates = [encoding for encoding in _ENCODINGS if setting in ("auto", encoding)]

    def candidates(self) -> tuple[Encoding, ...]:
        """The encodings to try, the most likely first; only the accepted one once it is known."""
        return (self.accepted,) if self.accepted else tuple(self._candidates)

    def misread(self, encoding: Encoding) -> None:
        """Excludes an encoding that the server read as another status."""
        self.accepted = None
        self._candidates.remove(encoding)


@dataclass(frozen=True)
class _Batch:
    members: tuple[str, ...]
    deadline: Deadline
    attempts: int = 1
    after: CommandError | None = None


class _AllRejected(Exception):
    """Command rejected a call in every encoding; `errors` has the error for each."""

    def __init__(self, errors: dict[Encoding, Rejected]) -> None:
        super().__init__(errors)
        self.errors = errors


class Requests:
    """Sends batches while it is iterated over, and yields the outcome of each; raises no CommandError.

    After an outcome with `open` members and a transient error, the caller reads those members and, before it takes the
    next outcome, calls `retry` with those that still need the request. If it does not, nothing more is sent. An error
    that ends the iteration early is in the last outcome, with the members not sent in `unsent`.

    Args:
        sending: called with the members of each call before it is sent.
        failed: called with the error that ended the iteration early.
        outage: an error that every call would get; if set, nothing is sent.
        until: time on the client's clock after which nothing more is sent; None for no limit.

    Attributes:
        sent: whether any call was sent.
    """

    def __init__(
        self,
        client: CommandClient,
        members: Sequence[str],
        status: ReenrollmentStatus,
        encodings: Encodings,
        *,
        sending: Callable[[Sequence[str]], None],
        failed: Callable[[CommandError], None],
        outage: CommandError | None = None,
        until: float | None = None,
    ) -> None:
        self.sent = False
        self._client = client
        self._status = status
        self._encodings = encodings
        self._sending = sending
        self._failed = failed
        self._outage = outage
        self._until = until
        size = client.settings.batch_size
        self._waiting = [tuple(members[start : start + size]) for start in range(0, len(members), size)]
        self._waiting.reverse()
        self._retried: tuple[str, ...] | None = None
        self._alone: dict[str, dict[Encoding, Rejected]] = {}
        self._any_accepted = self._any_listed = False

    def retry(self, members: Sequence[str]) -> None:
        """Sets which `open` members of the last outcome still need the request, by a reading since then."""
        self._retried = tuple(members)

    def __iter__(self) -> Iterator[Outcome]:
        retry: _Batch | None = None
        while self._outage is None and (retry or self._waiting):
            batch, retry = retry or _Batch(self._waiting.pop(), self._client.deadline(self._until)), None
            if self._until is not None and self._client.clock() >= self._until:
                yield self._last(batch.deadline, self._timed_out(), unsent=batch.members)
                return
            try:
                listed = self._post(batch)
            except _AllRejected as refusal:
                if self._split(batch, refusal.errors):
                    continue
                break
            except CommandError as error:
                if not error.outcome_open:
                    yield self._last(batch.deadline, error, unsent=batch.members)
                    return
                pause = pause_after(error, batch.attempts)
                if not error.transient or self._client.clock() + pause >= batch.deadline.until:
                    yield self._last(batch.deadline, error, open=batch.members)
                    return
                self._client.sleep(pause)
                yield Outcome(batch.deadline, open=batch.members, error=error)
                retried, self._retried = self._retried, None
                if retried and self._may_retry(batch, error):
                    retry = replace(batch, members=retried, attempts=batch.attempts + 1, after=error)
                elif retried is None or retried:
                    yield self._last(batch.deadline, error, open=retried or ())
                    return
            else:
                accepted = tuple(member for member in batch.members if member not in listed)
                self._any_accepted |= bool(accepted)
                self._any_listed |= bool(listed)
                rejected = {member: _LISTED for member in batch.members if member in listed}
                yield Outcome(batch.deadline, accepted=accepted, rejected=rejected)
        if self._outage is not None or self._alone:
            yield self._last(self._client.deadline(), self._outage)

    def _post(self, batch: _Batch) -> frozenset[str]:
        """The members that Command lists as failed.

        Raises:
            _AllRejected: Command rejected the call itself, in each encoding.
            CommandError: anything else.
        """
        errors: dict[Encoding, Rejected] = {}
        if not (candidates := self._encodings.candidates()):
            raise self._always_misread()
        for encoding in candidates:
            self._sending(batch.members)
            self.sent = True
            try:
                listed = self._client.set_status(batch.members, self._status, encoding, deadline=batch.deadline)
            except Rejected as error:
                errors[encoding] = error
                if error.status == _BAD_REQUEST:
                    continue
                break
            except StatusMisread:
                self._encodings.misread(encoding)
                raise
            if len(listed) < len(batch.members):
                self._encodings.accepted = encoding
            return listed
        raise _AllRejected(errors)

    def _may_retry(self, batch: _Batch, error: CommandError) -> bool:
        """Whether to retry an open call after this error.

        An Unreachable is retried until the deadline, a BadAnswer once.
        """
        if isinstance(error, StatusMisread):
            return bool(self._encodings.candidates())
        return (
            isinstance(error, Unreachable)
            or batch.after is None
            or isinstance(batch.after, Unreachable | StatusMisread)
        )

    def _split(self, batch: _Batch, errors: dict[Encoding, Rejected]) -> bool:
        """Replaces a rejected batch by its parts; returns whether to continue."""
        if len(batch.members) > 1:
            self._waiting += self._parts(batch.members)
            return True
        self._alone[batch.members[0]] = errors
        return not (self._at_fault() and len(self._alone) >= ENOUGH_REFUSALS)

    def _parts(self, members: Sequence[str]) -> list[tuple[str, ...]]:
        """The parts of a rejected batch, in reverse order of sending.

        While nothing has been accepted, single members from all over the batch are sent first: they show whether the
        server rejects any such request or only some members.
        """
        probes: list[int] = []
        if not (self._any_accepted or self._any_listed):
            last = len(members) - 1
            probes = sorted({last * number // (ENOUGH_REFUSALS - 1) for number in range(ENOUGH_REFUSALS)}, reverse=True)
        rest = tuple(member for place, member in enumerate(members) if place not in probes)
        middle = (len(rest) + 1) // 2
        return [half for half in (rest[middle:], rest[:middle]) if half] + [(members[place],) for place in probes]

    def _at_fault(self) -> bool:
        """Whether the request seems to be at fault: nothing accepted, and the same rejection for each single member."""
        kinds = {
            tuple((name, error.status, error.code, _GUID.sub("", error.came_back)) for name, error in errors.items())
            for errors in self._alone.values()
        }
        return not (self._any_accepted or self._any_listed) and len(kinds) == 1

    def _last(
        self,
        deadline: Deadline,
        error: CommandError | None,
        *,
        unsent: Sequence[str] = (),
        open: Sequence[str] = (),
    ) -> Outcome:
        """The last outcome, with all members that no outcome had yet."""
        rest = [*unsent, *(member for batch in reversed(self._waiting) for member in batch)]
        self._waiting.clear()
        rejected: dict[str, str] = {}
        if self._alone and self._at_fault():
            rest += self._alone
            error = error or self._fault_of_the_request()
        else:
            rejected = {member: self._reason(errors) for member, errors in self._alone.items()}
        if error is not None and error is not self._outage:
            self._failed(error)
        if error is not None and open:
            # Tells the caller not to read these members for a retry.
            error = copy(error)
            error.transient = False
        return Outcome(deadline, rejected=rejected, unsent=tuple(rest), open=tuple(open), error=error)

    def _reason(self, errors: Mapping[Encoding, Rejected]) -> str:
        """Why a member was rejected, by the error for the encoding that the server accepts, if it is known."""
        known = self._encodings.accepted
        return (errors[known] if known and known in errors else next(iter(errors.values()))).came_back

    def _timed_out(self) -> CommandError:
        return CommandError(
            f"Setting status {self._status.value}",
            "the timeout of the operation has passed",
            "Raise the resource's timeout, or run again: what was accepted is recorded.",
        )

    def _always_misread(self) -> BadAnswer:
        setting = self._client.settings.vocabulary.setting("statusEncoding")
        next_step = f"Set {setting} to auto." if self._encodings.setting != "auto" else "Report this with its version."
        return BadAnswer(
            f"Command read every request with status {self._status.value} as another status",
            f"it echoes another status than the one requested, with {setting} set to {self._encodings.setting}",
            next_step,
        )

    def _fault_of_the_request(self) -> Rejected:
        errors = next(iter(self._alone.values()))
        error = next(iter(errors.values()))
        setting = self._client.settings.vocabulary.setting("statusEncoding")
        if len(errors) > 1:
            next_step = f"The status was sent as {', '.join(errors)} ({setting}). {error.next_step}"
        elif self._encodings.setting == "auto":
            next_step = error.next_step
        else:
            next_step = f"This server may expect the status in another form: set {setting} to auto. {error.next_step}"
        return Rejected(
            f"Command rejected every request with status {self._status.value}",
            error.came_back,
            next_step,
            status=error.status,
            code=error.code,
        )
