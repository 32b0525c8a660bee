"""The resource keyfactor:index:ReenrollmentCompletion."""

import time
from collections.abc import Mapping
from typing import Any, Final

from keyfactor_provider.errors import CompletionFailed, Problem, ProviderError, RecordError
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.waiting import MOST_SECONDS, Wait
from keyfactor_provider.plugin import forms
from keyfactor_provider.plugin.fleets import Call, Differences, Result
from keyfactor_provider.plugin.host import Host, unknown_arguments
from keyfactor_provider.plugin.values import Bag, has_unknown
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.desired import UNKNOWN, check
from keyfactor_provider.reenrollment.record import Member
from keyfactor_provider.text import count

DEFAULT_SECONDS: Final = 3600
_KNOWN: Final = frozenset({"round", "timeout", "maxFailed"})


class Completion:
    """A completion, created once every member of a round has re-enrolled and uses its new certificate.

    A wait that fails or is cancelled leaves no state behind, so the next run waits again.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, _call: Call, news: Bag) -> tuple[Bag, list[Problem]]:
        """The inputs, and every problem with them."""
        values = {"timeout": DEFAULT_SECONDS, **_given(news)}
        problems = [*unknown_arguments(news.values, _KNOWN), *_problems(values)]
        return Bag(values, news.secret), problems

    def diff(self, _call: Call, _old_inputs: Bag, outputs: Bag, news: Bag) -> tuple[bool, Differences]:
        """A new round is a change; the progress of a round that is complete is none."""
        if has_unknown(news.values):
            return True, forms.unknown_differences(news.values)
        before, after = _awaited(outputs), round_of(_members(news))
        shown = {
            f'round["{member_id}"]': ("ADD" if member_id not in before else "UPDATE", True)
            for member_id, awaited in sorted(after.items())
            if before.get(member_id) != awaited
        }
        shown |= {f'round["{member_id}"]': ("DELETE", True) for member_id in sorted(before.keys() - after.keys())}
        # Properties that the dynamic resource left behind are dropped without a wait.
        shown |= dict.fromkeys(sorted(outputs.values.keys() - {"awaited"}), ("DELETE", False))
        return bool(shown), shown

    def preview(self, call: Call, outputs: Bag | None, news: Bag) -> Result:
        """Announces how many members a run will wait for."""
        if has_unknown(news.values):
            return Result(call.id, {"awaited": UNKNOWN}, reads_first=False)
        awaited = round_of(_members(news))
        if outputs is None or _awaited(outputs) != awaited:
            summary = f"will wait at most {float(news.values['timeout']):g} s for {count(len(awaited))}"
            self._host.tell(Message(call.name, "info", "completion-ahead", summary))
        return Result(call.id, {"awaited": awaited}, secret=_secret(news), reads_first=False)

    def create(self, call: Call, news: Bag) -> Result:
        """Waits for the round; a failed wait leaves no state."""
        self._wait(call, news)
        return self._complete(call, news)

    def update(self, call: Call, outputs: Bag, news: Bag) -> Result:
        """Waits if the round is a new one."""
        if _awaited(outputs) != round_of(_members(news)):
            self._wait(call, news)
        return self._complete(call, news)

    def read(self, call: Call, outputs: Bag, inputs: Bag) -> Result:
        """Returns the completion unchanged: it records something that has happened."""
        if not outputs.values:
            raise ProviderError(
                "A ReenrollmentCompletion can't be imported",
                "it represents nothing in Command",
                "Declare it: it is created at once when the round is complete.",
                resource=call.name,
            )
        secret = outputs.secret | inputs.secret
        return Result(call.id, outputs.values, inputs.values, secret, reads_first=False)

    def delete(self, _call: Call, _outputs: Bag) -> None:
        """Does nothing: a completion exists only in the state."""

    def _complete(self, call: Call, news: Bag) -> Result:
        return Result(call.name, {"awaited": round_of(_members(news))}, secret=_secret(news), reads_first=False)

    def _wait(self, call: Call, news: Bag) -> None:
        timeout = float(news.values["timeout"])
        if call.timeout is not None:
            timeout = min(timeout, call.timeout)
        max_failed = str(news.values.get("maxFailed") or "0")
        wait = Wait(self._host.operations.run.progress, call.name, _members(news), timeout, time.monotonic, max_failed)
        progress = "not complete"
        while True:
            step = wait.step()
            for message in step.messages:
                self._host.tell(message)
                progress = message.detail.rstrip(".") or progress
            if step.pause is None:
                return
            if self._host.stopping.wait(step.pause):
                next_step = "The next run waits again."
                raise CompletionFailed("the wait was cancelled", progress, next_step, resource=call.name)


def _given(news: Bag) -> dict[str, Any]:
    values = {name: value for name, value in news.values.items() if name in _KNOWN and value is not None}
    if "maxFailed" in values and values["maxFailed"] is not UNKNOWN:
        amount = values["maxFailed"]
        values["maxFailed"] = str(int(amount)) if isinstance(amount, float) and amount.is_integer() else amount
    return values


def _problems(values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    timeout, awaited = values["timeout"], values.get("round")
    if timeout is not UNKNOWN and (
        isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= MOST_SECONDS
    ):
        reason = f"{timeout!r} is not a time to wait; expected seconds from 0 up to {MOST_SECONDS} (7 days)"
        problems.append(Problem("timeout", reason))
    if values.get("maxFailed") is not UNKNOWN:
        wrong = check("", {"max_failed": values.get("maxFailed")}).problems
        problems += [Problem("maxFailed", problem.reason) for problem in wrong if problem.property == "max_failed"]
    if has_unknown(awaited):
        return problems
    try:
        if not isinstance(awaited, Mapping) or not forms.awaited_members(awaited):
            raise ValueError(f"{awaited!r} names no orchestrator")
    except (RecordError, ValueError, TypeError, AttributeError):
        problems.append(Problem("round", "is not the `round` of an OrchestratorReenrollment; pass that unchanged"))
    return problems


def _secret(news: Bag) -> frozenset[str]:
    return frozenset({"awaited"}) if "round" in news.secret else frozenset()


def _members(news: Bag) -> dict[str, Member]:
    return forms.awaited_members(news.values["round"])


def _awaited(outputs: Bag) -> dict[str, str]:
    """The round that a completion waited for, whichever front end wrote its state."""
    awaited = outputs.values.get("awaited")
    return dict(awaited) if isinstance(awaited, Mapping) else {}
