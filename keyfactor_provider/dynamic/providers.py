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

from keyfactor_provider.dynamic.host import HOST, has_unknown, plain
from keyfactor_provider.errors import (
    CommandError,
    InputError,
    Problem,
    ProviderError,
    ReenrollmentFailed,
    SettingsError,
)
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.reenrollment.desired import UNKNOWN, Checked

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
        raw = {key: plain(value) for key, value in news.items() if key != _PROVIDER}
        if _ORCHESTRATORS in raw:
            # The engine put the old members there: the program says ignore_changes.
            raw["orchestrator_ids"] = list(raw.pop(_ORCHESTRATORS))
        preview = bool(raw.pop("preview", False))
        if not preview:
            # What comes from a resource that failed is left out: only --continue-on-error gets here, and
            # holds this fleet back after its check.
            raw = {"orchestrator_ids": UNKNOWN, "status": UNKNOWN, **raw}
        checked = HOST.operations().check(raw, _olds, preview=preview)
        failures = [CheckFailure(problem.property, problem.reason) for problem in checked.problems]
        return CheckResult(_inputs(checked, news, preview=preview), failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        if has_unknown(_news) or not _news.keys() >= _NEEDED:
            return DiffResult(changes=True)
        return DiffResult(changes=HOST.operations().diff(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        _refuse_missing(props)
        return CreateResult(props["fleet"], HOST.operations().create(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _refuse_missing(_news)
        return UpdateResult(HOST.operations().update(_olds, _news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            state, inputs = HOST.operations().read(props)
        except (CommandError, SettingsError) as error:
            raise _with_program_hint(error) from None
        return ReadResult(id_, state, inputs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        try:
            HOST.operations().delete(_props)
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
        return DiffResult(changes=changed)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["fleet"], _without_provider(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_without_provider(_news))


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
