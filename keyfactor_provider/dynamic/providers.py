"""The providers of the dynamic resources, which run in the SDK's provider host."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from keyfactor_provider.dynamic import forms
from keyfactor_provider.dynamic.host import HOST, time_allowed
from keyfactor_provider.errors import CommandError, ProviderError, ReenrollmentFailed, SettingsError
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.reenrollment.desired import Checked, amount, check
from keyfactor_provider.reenrollment.fleet import forecast
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import from_state, to_state


class _Stateless(ResourceProvider):
    """A provider that is pickled by its path alone: no credentials in the state, and no leak in the pickler."""

    serialize_as_secret_always = False

    def __getstate__(self) -> None:
        return None

    def configure(self, req: ConfigureRequest) -> None:
        HOST.configure(req)


class ReenrollmentProvider(_Stateless):
    """The provider of OrchestratorReenrollment."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        written = forms.written(news, _olds)
        HOST.reports_failures_to(written.failures)
        checked = check(written.fleet, written.values)
        before = HOST.operations().before
        problems = [
            *checked.problems,
            *before.claim(written.fleet, checked.known_members),
            *before.check_settings(required=not written.preview),
        ]
        failures = [CheckFailure(problem.property, problem.reason) for problem in problems]
        if written.partly:
            failures.append(CheckFailure("orchestrator_ids", "ignore_changes names a part of this set; name all of it"))
        if failures:
            HOST.note_failure()
        if not failures and written.preview:
            HOST.previewed[written.fleet] = (checked, written)
            if not _olds:
                _announce(Record(written.fleet), checked, written)
        if checked.desired is None:
            return CheckResult(forms.unknown_inputs(checked, news, preview=written.preview), failures)
        return CheckResult(forms.inputs(checked.desired), failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        record = from_state(_olds)
        previewed = HOST.previewed.get(str(_news.get("fleet")))
        if not forms.is_known(_news):
            if previewed is not None:
                _announce(record, *previewed)
            return DiffResult(changes=None)
        desired = forms.desired_of(_news)
        ahead = forecast(record, desired)
        looks = ahead.unfinished and desired.fleet not in HOST.read
        changes = ahead.changes or looks or not HOST.operations().before.unchanged(desired.fleet, record)
        # A refresh calls diff too, with the arguments swapped and without a check before it.
        if previewed is not None and previewed[0].desired == desired:
            _announce(record, *previewed)
        # With None the engine compares the inputs itself, and only then does replace_on_changes work.
        return DiffResult(changes=None if changes and record.desired() != desired else changes)

    def create(self, props: dict[str, Any]) -> CreateResult:
        desired = forms.desired_of(props)
        record = HOST.operations().run.apply(Record(desired.fleet), desired, within=time_allowed())
        return CreateResult(desired.fleet, to_state(record))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        desired = forms.desired_of(_news)
        record = HOST.operations().run.apply(from_state(_olds), desired, within=time_allowed())
        return UpdateResult(to_state(record))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            record, drift = HOST.operations().run.read(from_state(props))
        except (CommandError, SettingsError) as error:
            raise _with_program_hint(error) from None
        HOST.read.add(record.fleet)
        HOST.previewed.pop(record.fleet, None)
        inputs = forms.inputs(record.desired())
        inputs[forms.ORCHESTRATORS] |= drift
        return ReadResult(id_, to_state(record), inputs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        try:
            HOST.operations().run.destroy(from_state(_props), within=time_allowed())
        except ReenrollmentFailed as error:
            raise (_with_program_hint(error) if error.__cause__ else copy(error)) from None


class CompletionProvider(_Stateless):
    """The provider of ReenrollmentCompletion. It only records; the program does the waiting."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        problems = []
        budget = news.get("max_failed")
        if budget is not None and not isinstance(budget, Unknown) and amount(budget) is None:
            reason = f'{budget!r} is not a number of orchestrators; expected such as 2, or "5%"'
            problems.append(CheckFailure("max_failed", reason))
        timeout = news.get("timeout")
        wrong = not isinstance(timeout, (int, float, Unknown)) or isinstance(timeout, bool)
        if wrong or (isinstance(timeout, (int, float)) and not 0 <= timeout <= MOST_SECONDS):
            reason = f"{timeout!r} is not a time to wait; expected seconds from 0 up to {MOST_SECONDS} (7 days)"
            problems.append(CheckFailure("timeout", reason))
        return CheckResult(news, problems)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = forms.has_unknown(_news) or _olds.get("awaited") != _news.get("awaited")
        return DiffResult(changes=None if changed else False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["fleet"], _without_provider(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_without_provider(_news))


def _announce(record: Record, checked: Checked, written: forms.Written) -> None:
    before = HOST.operations().before
    if checked.desired is None:
        known = record if record.members else None
        unknown = sorted(checked.unknown)
        before.announce_unknown(written.fleet, known, checked.known_members, unknown, written.after)
    else:
        looks = written.fleet not in HOST.read
        before.announce(record, checked.desired, forecast(record, checked.desired), looks=looks)


def _without_provider(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if key != forms.PROVIDER}


def _with_program_hint(error: ProviderError) -> ProviderError:
    """A copy of the error with a hint: in an outage, every fleet of the process raises the same error object."""
    hinted = copy(error)
    hinted.next_step += (
        " Refresh and destroy use the stack config of the last `pulumi up`; if it has changed since, run them with "
        "--run-program."
    )
    return hinted


# This path is part of every stack's state and never changes.
ReenrollmentProvider.__module__ = CompletionProvider.__module__ = "keyfactor_provider.dynamic"
