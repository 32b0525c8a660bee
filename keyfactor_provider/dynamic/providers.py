"""The providers of the dynamic resources, which run in the SDK's provider host."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Final

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

from keyfactor_provider.dynamic.host import HOST, has_unknown, plain, time_allowed
from keyfactor_provider.dynamic.inputs import given
from keyfactor_provider.errors import (
    CommandError,
    InputError,
    Problem,
    ProviderError,
    ReenrollmentFailed,
    SettingsError,
)
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.reenrollment.desired import UNKNOWN, Checked, Desired
from keyfactor_provider.reenrollment.record import Record

_PROVIDER: Final = "__provider"
_ORCHESTRATORS: Final = "orchestrators"
_NEEDED: Final = frozenset({_ORCHESTRATORS, "status"})


class _Stateless(ResourceProvider):
    """A provider that is stored by its path alone: no credentials in state, and no leak in the pickler."""

    serialize_as_secret_always = False

    def __getstate__(self) -> None:
        return None

    def configure(self, req: ConfigureRequest) -> None:
        HOST.configure(req)


class ReenrollmentProvider(_Stateless):
    """OrchestratorReenrollment in the provider host."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        raw = {key: given(plain(value)) for key, value in news.items() if key != _PROVIDER}
        preview, run = raw.pop("preview", None), raw.pop("run", None)
        HOST.reports_failures_to(preview or run)
        partly = _ignored_in_part(raw, _olds)
        raw.update(_members(raw, _olds, known=bool(preview) or run is not None))
        preview = bool(preview)
        if not preview:
            # What comes from a resource that failed is left out: only --continue-on-error gets here, and
            # holds this fleet back after its check.
            raw = {"orchestrator_ids": UNKNOWN, "status": UNKNOWN, **raw}
        checked = HOST.operations().check(raw, _olds, preview=preview)
        failures = [CheckFailure(problem.property, problem.reason) for problem in checked.problems]
        if partly:
            failures.append(CheckFailure("orchestrator_ids", "ignore_changes names a part of this set; name all of it"))
        if failures:
            HOST.note_failure()
        return CheckResult(_inputs(checked, news, preview=preview), failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        if has_unknown(_news) or not _news.keys() >= _NEEDED:
            return DiffResult(changes=None)
        changes = HOST.operations().diff(_olds, _news)
        # An unknown answer lets the engine compare the inputs itself, which alone makes replace_on_changes work.
        itself = changes and Record.from_state(_olds).desired() != Desired.from_inputs(_news)
        return DiffResult(changes=None if itself else changes)

    def create(self, props: dict[str, Any]) -> CreateResult:
        _refuse_missing(props)
        return CreateResult(props["fleet"], HOST.operations().create(props, within=time_allowed()))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _refuse_missing(_news)
        return UpdateResult(HOST.operations().update(_olds, _news, within=time_allowed()))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            state, inputs = HOST.operations().read(props)
        except (CommandError, SettingsError) as error:
            raise _with_program_hint(error) from None
        return ReadResult(id_, state, inputs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        try:
            HOST.operations().delete(_props, within=time_allowed())
        except ReenrollmentFailed as error:
            raise (_with_program_hint(error) if error.__cause__ else copy(error)) from None


class CompletionProvider(_Stateless):
    """ReenrollmentCompletion in the provider host: it only records; the waiting is the program's."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        timeout = news.get("timeout")
        wrong = not isinstance(timeout, (int, float, Unknown)) or isinstance(timeout, bool)
        if wrong or (isinstance(timeout, (int, float)) and not 0 < timeout <= MOST_SECONDS):
            reason = f"{timeout!r} is not a time to wait; expected seconds above 0, up to 7 days (604800)"
            return CheckResult(news, [CheckFailure("timeout", reason)])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = has_unknown(_news) or _olds.get("awaited") != _news.get("awaited")
        return DiffResult(changes=None if changed else False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["fleet"], _without_provider(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_without_provider(_news))


def _members(raw: dict[str, Any], olds: Mapping[str, Any], *, known: bool) -> dict[str, Any]:
    """The members that a check is about, whatever `ignore_changes` made of them, in whichever name it was given.

    Args:
        raw: loses the members under the engine's name for them.
        olds: the inputs of the last run.
        known: members that are left out were left out by the engine, and not because nobody knows them.
    """
    stored = raw.pop(_ORCHESTRATORS, None)
    if stored is None and known and "orchestrator_ids" not in raw:
        stored = plain(olds.get(_ORCHESTRATORS))
    return {} if stored is None else {"orchestrator_ids": list(stored)}


def _ignored_in_part(raw: Mapping[str, Any], olds: Mapping[str, Any]) -> bool:
    """Whether the engine put back some of the old members and not all: a part of a set has no place of its own."""
    return _ORCHESTRATORS in raw and set(raw[_ORCHESTRATORS]) != set(olds.get(_ORCHESTRATORS) or raw[_ORCHESTRATORS])


def _inputs(checked: Checked, news: Mapping[str, Any], *, preview: bool) -> dict[str, Any]:
    """What the engine keeps as inputs; what it can't know yet stays unknown, which only a preview takes."""
    if checked.desired is not None:
        return checked.desired.to_inputs()
    made = {key: news[key] for key in ("fleet", "status", "triggers", "on_removal", "on_failure") if key in news}
    if "orchestrator_ids" not in checked.unknown:
        made[_ORCHESTRATORS] = dict.fromkeys(sorted(checked.known_members), news.get("status"))
    elif preview:
        made[_ORCHESTRATORS] = Unknown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    return made


def _refuse_missing(inputs: Mapping[str, Any]) -> None:
    if missing := sorted(_NEEDED - inputs.keys()):
        problems = [
            Problem(name.replace(_ORCHESTRATORS, "orchestrator_ids"), "missing: it is None") for name in missing
        ]
        raise InputError(f'Fleet "{inputs["fleet"]}"', problems)


def _without_provider(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if key != _PROVIDER}


def _with_program_hint(error: ProviderError) -> ProviderError:
    """A copy, without a traceback of its own: an outage's error is raised for every fleet of the process."""
    hinted = copy(error)
    hinted.next_step += (
        " Refresh and destroy use the stack config of the last up: if it changed since, run them with --run-program."
    )
    return hinted


# The path in every stack's state, which never changes.
ReenrollmentProvider.__module__ = CompletionProvider.__module__ = "keyfactor_provider.dynamic"
