"""The resource keyfactor:index:OrchestratorReenrollment."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from keyfactor_provider import guid
from keyfactor_provider.errors import (
    CommandError,
    InputError,
    MissingSettings,
    Problem,
    ProviderError,
    ReenrollmentFailed,
    SettingsError,
)
from keyfactor_provider.messages import Message
from keyfactor_provider.plugin import forms
from keyfactor_provider.plugin.host import Host, unknown_arguments
from keyfactor_provider.plugin.names import ARGUMENTS
from keyfactor_provider.plugin.values import Bag, has_unknown
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.desired import check
from keyfactor_provider.reenrollment.fleet import forecast, recorded
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.text import count, listed

_KNOWN: Final = frozenset({*ARGUMENTS.values(), forms.ORCHESTRATORS})

Differences = Mapping[str, tuple[str, bool]]
"""By property path: ADD, UPDATE or DELETE, and whether the property is an input."""


@dataclass(frozen=True)
class Call:
    """The context of a call for a resource.

    Attributes:
        name: the name of the resource, also used in messages.
        timeout: the seconds that `customTimeouts` allows for the operation; None for no limit.
    """

    urn: str
    name: str
    id: str = ""
    timeout: float | None = None


@dataclass(frozen=True)
class Result:
    """A resource after a call.

    Attributes:
        inputs: only set by Read.
        secret: the names of the properties that are secret.
        failure: why the run has to fail although the state is kept; empty if nothing failed.
        reads_first: whether the engine should call Read before it plans an update.
    """

    id: str
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any] | None = None
    secret: frozenset[str] = field(default_factory=frozenset)
    failure: str = ""
    reads_first: bool = True


class Reenrollment:
    """A set of orchestrators that must enroll for a new client-authentication certificate."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def check(self, call: Call, news: Bag) -> tuple[Bag, list[Problem]]:
        """The canonical inputs, and every problem with them."""
        checked = check(call.name, forms.given(news.values))
        claimed = self._host.operations.before.claim(call.name, checked.known_members)
        problems = [
            *unknown_arguments(news.values, _KNOWN),
            *(_renamed(problem) for problem in [*checked.problems, *claimed]),
            *self._host.check(call.name, call.urn),
        ]
        if checked.desired is None or problems:
            return Bag(forms.unknown_inputs(checked, news.values), forms.secret_inputs(news)), problems
        return Bag(forms.inputs_of(checked.desired), forms.secret_inputs(news)), problems

    def diff(self, call: Call, old_inputs: Bag, outputs: Bag, news: Bag) -> tuple[bool, Differences]:
        """Whether there is anything to do, and what a preview shows of it; never calls Command."""
        record = forms.record_of(outputs.values)
        if has_unknown(news.values):
            return True, forms.unknown_differences(news.values)
        desired = forms.desired_of(call.name, news.values)
        ahead = forecast(record, desired)
        shown = forms.differences(old_inputs.values, outputs.values, record, desired, ahead)
        unfinished = ahead.unfinished and not self._host.reads_first
        return ahead.changes or unfinished or not forms.is_native(outputs.values), shown

    def preview(self, call: Call, outputs: Bag | None, news: Bag) -> Result:
        """Announces what a run will do."""
        record = forms.record_of(outputs.values) if outputs else Record(call.name)
        checked = check(call.name, forms.given(news.values))
        secret = forms.secret_outputs(news, *([outputs] if outputs else []))
        if checked.desired is None:
            self._host.operations.before.announce_unknown(
                call.name, record if record.members else None, checked.known_members, sorted(checked.unknown), ()
            )
            return Result(call.id, forms.expected(news.values, call.name), secret=secret)
        ahead = forecast(record, checked.desired)
        if outputs and not ahead.changes and not (ahead.unfinished and forms.is_native(outputs.values)):
            self._host.tell(rewritten(call.name, outputs))
            after = recorded(checked.desired, record.members, record.trouble)
            return Result(call.id, forms.outputs_of(after), secret=secret)
        self._host.operations.before.announce(record, checked.desired, ahead, looks=not self._host.reads_first)
        return Result(call.id, forms.expected(news.values, call.name), secret=secret)

    def create(self, call: Call, news: Bag) -> Result:
        """Requests the members that the roll-out lets start."""
        return self._apply(call, Record(call.name), news, forms.secret_outputs(news))

    def update(self, call: Call, outputs: Bag, news: Bag) -> Result:
        """Brings the members to the desired state; up-to-date state of a dynamic resource is only rewritten."""
        record = forms.record_of(outputs.values)
        secret = forms.secret_outputs(news, outputs)
        desired = forms.desired_of(call.name, news.values)
        ahead = forecast(record, desired)
        if not forms.is_native(outputs.values) and not ahead.changes:
            after = recorded(desired, record.members, record.trouble)
            return Result(call.id, forms.outputs_of(after), secret=secret)
        return self._apply(call, record, news, secret)

    def read(self, call: Call, outputs: Bag, inputs: Bag) -> Result:
        """The members as Command shows them now, or the orchestrators to import.

        The engine reads in a refresh, and also before a preview and an `up`, with the settings of the last `up`.
        """
        if not outputs.values:
            return self._import(call)
        record = forms.record_of(outputs.values)
        try:
            after, drift = self._host.operations.run.read(record)
        except MissingSettings as error:
            # A pull request has no secrets, so the recorded state is the best that a preview can use.
            detail = f"{error.next_step} The recorded state is shown instead."
            self._host.tell(Message(call.name, "warning", "not-read", error.what, detail))
            return Result(call.id, outputs.values, inputs.values, outputs.secret | inputs.secret)
        except (CommandError, SettingsError) as error:
            raise _with_program_hint(error) from None
        observed = forms.inputs_of(after.desired())
        observed[forms.ORCHESTRATORS] |= drift
        return Result(call.id, forms.outputs_of(after), observed, forms.secret_outputs(outputs, inputs))

    def delete(self, call: Call, outputs: Bag) -> None:
        """Clears the flags that the fleet owns."""
        try:
            self._host.operations.run.destroy(forms.record_of(outputs.values), within=call.timeout)
        except ReenrollmentFailed as error:
            raise (_with_program_hint(error) if error.__cause__ else copy(error)) from None

    def _apply(self, call: Call, record: Record, news: Bag, secret: frozenset[str]) -> Result:
        desired = forms.desired_of(call.name, news.values)
        # Fails here, before anything is recorded, if settings are wrong or missing.
        self._host.operations.require_settings()
        after = self._host.operations.run.apply(record, desired, within=call.timeout)
        self._host.tell(report.outcome(after, record))
        failure = report.failure(after)
        if failure is not None and after.on_failure == "warn":
            self._host.tell(report.tolerated(failure))
            failure = None
        text = f"{failure.what}: {failure.came_back.rstrip('.')}. {failure.next_step}".rstrip() if failure else ""
        return Result(call.name, forms.outputs_of(after), secret=secret, failure=text)

    def _import(self, call: Call) -> Result:
        record = self._host.operations.run.adopt(call.name, _guids(call.id))
        return Result(call.name, forms.outputs_of(record), forms.inputs_of(record.desired()))


def _guids(ids: str) -> list[str]:
    wrong, members = [], []
    for text in ids.split(","):
        try:
            members.append(guid.canonical(text.strip()))
        except ValueError:
            wrong.append(repr(text.strip()))
    if wrong:
        expected = "expected GUIDs such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301, separated by commas"
        raise InputError("import", [Problem("id", f"{listed(wrong)} is not an orchestrator's GUID; {expected}")])
    return members


def rewritten(name: str, outputs: Bag) -> Message:
    """The announcement of an update that only rewrites the state of a fleet."""
    if forms.is_native(outputs.values):
        return Message(name, "info", "recorded", "will record the last outcome again; nothing is requested")
    size = count(len(outputs.values.get("members") or ()))
    return Message(name, "info", "moved", f"will take over the record of {size}; nothing is requested")


def _renamed(problem: Problem) -> Problem:
    """The problem with its argument named as programs of this front end write it."""
    name, mark, rest = problem.property.partition("[")
    key, dot, more = name.partition(".")
    return Problem(f"{ARGUMENTS.get(key, key)}{dot}{more}{mark}{rest}", problem.reason)


def _with_program_hint(error: ProviderError) -> ProviderError:
    """A copy of the error with a hint. The original is raised again for other fleets during an outage."""
    hinted = copy(error)
    hinted.next_step += (
        " The engine passes on the provider settings of the last `pulumi up`. If they have changed since, add "
        "--refresh --run-program to `pulumi preview` or `pulumi up`, and --run-program to a refresh or destroy."
    )
    return hinted
