"""The dynamic resources as a program declares them, and the look-up."""

from collections.abc import Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import pulumi
from pulumi.dynamic import Resource

from keyfactor_provider.dynamic.needs import needs_of, resolved
from keyfactor_provider.dynamic.program import Run
from keyfactor_provider.dynamic.providers import CompletionProvider, ReenrollmentProvider
from keyfactor_provider.errors import ProviderError
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.record import FAILED, Phase
from keyfactor_provider.status import ReenrollmentStatus

if TYPE_CHECKING:
    from keyfactor_provider.operations.lookup import Found

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
