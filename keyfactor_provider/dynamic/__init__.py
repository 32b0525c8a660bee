"""Front end: the Pulumi dynamic resources.

The path of the provider classes (`keyfactor_provider.dynamic`) stands in every stack's state: it never
changes. The providers run in the SDK's provider host, the resources in the program.
"""

from collections.abc import Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from keyfactor_provider.dynamic.host import HOST, has_unknown, plain
from keyfactor_provider.dynamic.needs import needs_of, resolved
from keyfactor_provider.dynamic.program import Run
from keyfactor_provider.errors import (
    CommandError,
    InputError,
    Problem,
    ProviderError,
    ReenrollmentFailed,
    SettingsError,
)
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.desired import UNKNOWN, Checked
from keyfactor_provider.reenrollment.record import FAILED, Phase
from keyfactor_provider.status import ReenrollmentStatus

if TYPE_CHECKING:
    from keyfactor_provider.operations.lookup import Found

_PROVIDER: Final = "__provider"
_ORCHESTRATORS: Final = "orchestrators"
_NEEDED: Final = frozenset({_ORCHESTRATORS, "status"})


class OrchestratorReenrollment(Resource, module="keyfactor", name="OrchestratorReenrollment"):
    """A fleet of orchestrators that are to enroll for a new client-authentication certificate.

    Args:
        name: of the resource, and of the fleet in messages.
        orchestrator_ids: their GUIDs; order, duplicates, case and braces do not matter.
        status: what to set: a ReenrollmentStatus, 0, 1 or 2, or its name.
        triggers: any texts; a change of them starts a new round.
        on_removal: whether a request that still stands is taken back when a member leaves or the
            resource is destroyed ("unset"), or left ("retain").
        on_failure: whether failed orchestrators end the run with an error or a warning.
        opts: as of any resource.

    Raises:
        pulumi.RunError: the engine is too old, a secret stands in plain config, or the members come from
            a look-up that must not rule a fleet.
    """

    members: pulumi.Output[Mapping[str, Any]]
    """What is recorded of each, by GUID: status, phase, baseline, reason and more."""

    def __init__(
        self,
        name: str,
        *,
        orchestrator_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
        status: pulumi.Input[ReenrollmentStatus | int | str],
        triggers: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        on_removal: pulumi.Input[Literal["unset", "retain"]] = "unset",
        on_failure: pulumi.Input[Literal["error", "warn"]] = "error",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        run = Run.current()
        orchestrator_ids = _members(name, orchestrator_ids)
        needs = needs_of(opts, orchestrator_ids, status, triggers, on_removal, on_failure)
        gate = [run.gate] if needs else []
        run.holds_back(self._resource_type_name, name, needs)
        made = pulumi.ResourceOptions.merge(None, opts)
        made.ignore_changes = _ignored(name, made.ignore_changes)
        hooks = pulumi.ResourceHookBinding(
            before_create=[*gate],
            before_update=[*gate],
            after_create=[run.verdict],
            after_update=[run.verdict],
        )
        super().__init__(
            ReenrollmentProvider(),
            name,
            {
                "fleet": name,
                "orchestrator_ids": orchestrator_ids,
                "status": status,
                "members": None,
                # The SDK waits for every property of every resource in turn, over and over (wait_for_rpcs): what
                # need not be one is none.
                **({} if triggers is None else {"triggers": triggers}),
                **({} if on_removal in (None, "unset") else {"on_removal": on_removal}),
                **({} if on_failure in (None, "error") else {"on_failure": on_failure}),
                **({"preview": True} if pulumi.runtime.is_dry_run() else {}),
            },
            pulumi.ResourceOptions.merge(made, pulumi.ResourceOptions(hooks=hooks)),
        )

    @property
    def failed_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Refused by Command, not reached, or not there; the next run asks them alone."""
        return self._having(*FAILED)

    @property
    def pending_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Asked, and not re-enrolled yet at the last reading."""
        return self._having(Phase.PENDING)

    @property
    def reenrolled_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Hold a certificate other than at the start of the round."""
        return self._having(Phase.REENROLLED)

    def _having(self, *phases: Phase) -> pulumi.Output[Sequence[str]]:
        wanted = {phase.value for phase in phases}
        return self.members.apply(
            lambda members: sorted(each for each, member in (members or {}).items() if member["phase"] in wanted)
        )


class ReenrollmentCompletion(Resource, module="keyfactor", name="ReenrollmentCompletion"):
    """The completion of a fleet's round, for the next wave to depend on.

    It is created once every member has re-enrolled and uses its new certificate. It waits in the program,
    before it is created: a wait that fails or is killed leaves nothing behind, and the next run waits again.

    Args:
        name: of the resource.
        fleet: the fleet to wait for.
        timeout: seconds after which the run fails, naming those still to come.
        opts: as of any resource.
    """

    def __init__(
        self,
        name: str,
        *,
        fleet: OrchestratorReenrollment,
        timeout: pulumi.Input[float] = 3600,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        run = Run.current()
        run.holds_back(self._resource_type_name, name, [*needs_of(opts), lambda: resolved(fleet)])
        run.awaits(name, fleet.members)
        before = [run.gate, run.wait]
        hooks = pulumi.ResourceHookBinding(before_create=[*before], before_update=[*before])
        super().__init__(
            CompletionProvider(),
            name,
            {
                "fleet": fleet._name,
                "awaited": fleet.members.apply(lambda members: round_of(members or {})),
                "timeout": timeout,
            },
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks, depends_on=[fleet])),
        )


def orchestrators(
    *,
    machine: str | Sequence[str] = (),
    platform: str | int | Sequence[str | int] = (),
    capability: str | Sequence[str] = (),
    identity: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    status: str | int | Sequence[str | int] = (),
    seen_within: timedelta | None = None,
    at_least: int = 0,
    at_most: int | None = None,
) -> "Found":
    """Looks up orchestrators in Command, over every page of its list, while the program runs.

    `.ids` of the answer are the members for a fleet. Every argument that is given must match; of several
    values in one argument, any.

    Args:
        machine: ClientMachine; * and ? stand for any text, case does not matter.
        platform: Unknown, .NET, Java, Mac, Android, Native, Bash or Universal, or its number.
        capability: a whole capability, in any case.
        identity: Username, with * and ?.
        exclude: GUIDs, or ClientMachine with * and ?.
        status: New, Approved or Disapproved, or its number. Not for the members of a fleet.
        seen_within: how long ago it was seen at most. Not for the members of a fleet.
        at_least: fewer are refused.
        at_most: more are refused.

    Raises:
        pulumi.RunError: Command can't be read, an argument is wrong, or a bound is broken.
    """
    from keyfactor_provider.operations.lookup import Filter, find

    wanted = Filter(
        machine=_several(machine),
        platform=_several(platform),
        capability=_several(capability),
        identity=_several(identity),
        exclude=_several(exclude),
        status=_several(status),
        seen_within=seen_within,
        at_least=at_least,
        at_most=at_most,
    )
    try:
        found = find(Run.current().everyone(), wanted)
    except ProviderError as error:
        raise pulumi.RunError(str(error)) from None
    if found.unmatched:
        pulumi.log.warn(f"The look-up with {wanted.describe()}: exclude {', '.join(found.unmatched)} excludes nobody.")
    return found


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


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, (str, int)) else tuple(value)


def _members(name: str, orchestrator_ids: Any) -> Any:
    """The members as the SDK takes them, which knows lists alone.

    Raises:
        pulumi.RunError: they come from a look-up under whose filters members come and go.
    """
    # Any attribute of an Output is another Output, so its kind is looked at first.
    if isinstance(orchestrator_ids, list) and (unstable := getattr(orchestrator_ids, "unstable", ())):
        raise pulumi.RunError(
            f'Fleet "{name}": its members come from a look-up by {" and ".join(unstable)}, under which they '
            "would leave and enter the fleet by themselves. Use machine, platform, capability or identity."
        )
    if isinstance(orchestrator_ids, (Set, KeysView, ValuesView, Iterator)):
        return list(orchestrator_ids)
    return orchestrator_ids


def _ignored(name: str, properties: Sequence[str] | None) -> list[str] | None:
    """`ignore_changes` in the names of the inputs that the engine keeps, where the members are a map.

    Raises:
        pulumi.RunError: a part of the members is named; what is left of a set has no place of its own.
    """
    if properties is None:
        return None
    parts = [each for each in properties if each.startswith(("orchestrator_ids[", "orchestrators[", "orchestrators."))]
    if parts:
        raise pulumi.RunError(
            f'Fleet "{name}": ignore_changes names {parts[0]}, a part of a set. '
            "Expected orchestrator_ids, which ignores every change of the members."
        )
    return [_ORCHESTRATORS if each == "orchestrator_ids" else each for each in properties]
