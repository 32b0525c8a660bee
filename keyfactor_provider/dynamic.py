"""Front end: the Pulumi dynamic resources.

The path of the provider classes (`keyfactor_provider.dynamic`) stands in every stack's state: it never
changes. The providers run in the SDK's provider host, the resources in the program.
"""

import os
import sys
import threading
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import grpc
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
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from keyfactor_provider.errors import ProviderError, Unauthorized, Unreachable
from keyfactor_provider.program import Need, Run
from keyfactor_provider.reenrollment.wish import UNKNOWN, Checked
from keyfactor_provider.status import ReenrollmentStatus

if TYPE_CHECKING:
    from keyfactor_provider.lookup import Found

_PROVIDER: Final = "__provider"
_ORCHESTRATORS: Final = "orchestrators"


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

    failed_orchestrator_ids: pulumi.Output[Sequence[str]]
    """Refused by Command, not reached, or not there; the next run asks them alone."""
    pending_orchestrator_ids: pulumi.Output[Sequence[str]]
    """Asked, and not re-enrolled yet at the last reading."""
    reenrolled_orchestrator_ids: pulumi.Output[Sequence[str]]
    """Hold a certificate other than at the start of the round."""
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
        _refuse_unstable(name, orchestrator_ids)
        needs = _needs(opts, orchestrator_ids, status, triggers, on_removal, on_failure)
        gate = [run.gate] if needs else []
        run.holds_back(self._resource_type_name, name, needs)
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
                "triggers": triggers,
                "on_removal": on_removal,
                "on_failure": on_failure,
                "preview": pulumi.runtime.is_dry_run(),
                "failed_orchestrator_ids": None,
                "pending_orchestrator_ids": None,
                "reenrolled_orchestrator_ids": None,
                "members": None,
            },
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks)),
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
        run.holds_back(self._resource_type_name, name, [*_needs(opts), lambda: _resolved(fleet)])
        run.awaits(name, self, fleet.members)
        before = [run.gate, run.wait]
        hooks = pulumi.ResourceHookBinding(before_create=[*before], before_update=[*before])
        super().__init__(
            CompletionProvider(),
            name,
            {"fleet": fleet._name, "awaited": fleet.members.apply(_round), "timeout": timeout},
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
    from keyfactor_provider.lookup import Filter, find

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
        pulumi.log.warn(f"The look-up with {wanted.describe()}: nothing matches exclude {found.unmatched}.")
    return found


class _Stateless(ResourceProvider):
    """A provider that is stored by its path alone: no credentials in state, and no leak in the pickler."""

    serialize_as_secret_always = False

    def __getstate__(self) -> None:
        return None

    def configure(self, req: ConfigureRequest) -> None:
        _host.configure(req)


class ReenrollmentProvider(_Stateless):
    """OrchestratorReenrollment in the provider host."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        raw = {key: _plain(value) for key, value in news.items() if key != _PROVIDER}
        checked = _host.operations().check(raw, _olds, preview=bool(raw.pop("preview", False)))
        failures = [CheckFailure(problem.property, problem.reason) for problem in checked.problems]
        return CheckResult(_inputs(checked, news), failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        if _has_unknown(_news):
            return DiffResult(changes=True)
        return DiffResult(changes=_host.operations().diff(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["fleet"], _host.operations().create(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_host.operations().update(_olds, _news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            state, inputs = _host.operations().read(props)
        except (Unauthorized, Unreachable) as error:
            raise _with_program_hint(error) from None
        return ReadResult(id_, state, inputs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        try:
            _host.operations().delete(_props)
        except ProviderError as error:
            raise _with_program_hint(error) from None


class CompletionProvider(_Stateless):
    """ReenrollmentCompletion in the provider host: it only records; the waiting is the program's."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        timeout = news.get("timeout")
        wrong = not isinstance(timeout, (int, float, Unknown)) or isinstance(timeout, bool)
        if wrong or (isinstance(timeout, (int, float)) and not 0 < timeout <= 7 * 24 * 3600):
            reason = f"{timeout!r} is not a time to wait; expected seconds above 0, up to 7 days (604800)"
            return CheckResult(news, [CheckFailure("timeout", reason)])
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = _has_unknown(_news) or _olds.get("awaited") != _news.get("awaited")
        return DiffResult(changes=changed)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["fleet"], _without_provider(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_without_provider(_news))


class _Host:
    """What the providers of one host process share: its operations, configured once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._config: Mapping[str, str] = {}
        self._operations: Any = None

    def configure(self, req: ConfigureRequest) -> None:
        from keyfactor_provider.command.settings import CONFIG_KEYS

        values = {key: req.config.get(f"keyfactor:{key}") for key in CONFIG_KEYS}
        self._config = {key: _config_text(value) for key, value in values.items() if value is not None}

    def operations(self) -> Any:
        with self._lock:
            if self._operations is None:
                from keyfactor_provider.command.client import CommandClient
                from keyfactor_provider.command.settings import load
                from keyfactor_provider.operations import Operations

                self._operations = Operations(
                    lambda: CommandClient(load(self._config.get, os.environ, Path.home())), _engine_log()
                )
            return self._operations


_host = _Host()


def _engine_log() -> Any:
    """Shows messages under the stack, by the engine whose address the host was started with."""
    severities = {"info": engine_pb2.INFO, "warning": engine_pb2.WARNING}
    engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(sys.argv[1]))

    def tell(severity: str, message: str) -> None:
        engine.Log(engine_pb2.LogRequest(severity=severities[severity], message=message, urn="", streamId=0))

    return tell


def _inputs(checked: Checked, news: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine keeps as inputs; what it can't know yet stays unknown."""
    if checked.wish is not None:
        return checked.wish.to_inputs()
    made = {key: news[key] for key in ("fleet", "status", "triggers", "on_removal", "on_failure") if key in news}
    made[_ORCHESTRATORS] = (
        Unknown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        if "orchestrator_ids" in checked.unknown
        else dict.fromkeys(sorted(checked.known_members), news.get("status"))
    )
    return made


def _plain(value: Any) -> Any:
    """An engine's value as the decisions take it."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_unknown(item) for item in value)
    return isinstance(value, Unknown)


def _without_provider(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if key != _PROVIDER}


def _round(members: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What tells one round of a fleet from another: each member's status and baseline."""
    return {
        member_id: f"{member['status']} since {member.get('baseline') or 'no certificate'}"
        for member_id, member in members.items()
        if member["phase"] != "leaving"
    }


def _config_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _with_program_hint(error: ProviderError) -> ProviderError:
    error.next_step += (
        " Refresh and destroy use the stack config of the last up: if it changed since, run them with --run-program."
    )
    return error


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, (str, int)) else tuple(value)


def _refuse_unstable(name: str, orchestrator_ids: Any) -> None:
    if unstable := getattr(orchestrator_ids, "unstable", ()):
        raise pulumi.RunError(
            f'Fleet "{name}": its members come from a look-up by {" and ".join(unstable)}, under which they '
            "would leave and enter the fleet by themselves. Use machine, platform, capability or identity."
        )


def _needs(opts: pulumi.ResourceOptions | None, *inputs: Any) -> list[Need]:
    """What gives the resources that a resource depends on, by its options and by its inputs."""
    needs: list[Need] = [value.resources for value in _outputs(inputs)]
    depends_on = opts.depends_on if opts else None
    if depends_on is not None:
        needs.append(lambda: _resolved(depends_on))
    return needs


def _outputs(value: Any) -> Iterable[pulumi.Output[Any]]:
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _outputs(item)


async def _resolved(depends_on: Any) -> Iterable[pulumi.Resource]:
    """The resources behind a `depends_on`, those inside components included."""
    if isinstance(depends_on, (pulumi.Output, Awaitable)):
        depends_on = await pulumi.Output.from_input(depends_on).future()
    found: list[pulumi.Resource] = []
    for item in [depends_on] if isinstance(depends_on, pulumi.Resource) else depends_on or ():
        if isinstance(item, (pulumi.Output, Awaitable)):
            found += await _resolved(item)
            continue
        found.append(item)
        if isinstance(item, pulumi.ComponentResource):
            found += await _resolved(list(item._childResources))
    return found
