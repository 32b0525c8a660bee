"""The dynamic resources as a program declares them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

from keyfactor_provider.dynamic import forms, inputs, options
from keyfactor_provider.dynamic.needs import Need, needs_of, resolved
from keyfactor_provider.dynamic.program import Run
from keyfactor_provider.dynamic.providers import CompletionProvider, ReenrollmentProvider
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import MemberState, members_from_state
from keyfactor_provider.status import ReenrollmentStatus

_NOT_ARGUMENTS: Final = frozenset({"self", "name", "opts"})
"""Parameters that are not arguments of a resource."""


class _Resource(Resource):
    """A dynamic resource that sees its options as they will be registered, after every transformation."""

    def __init__(
        self,
        provider: ResourceProvider,
        name: str,
        props: dict[str, Any],
        opts: pulumi.ResourceOptions | None,
        finish: Callable[[pulumi.ResourceOptions], None],
    ) -> None:
        self._finish = finish
        super().__init__(provider, name, props, opts)

    def _get_providers(self, t: str, pkg: str | None, opts: pulumi.ResourceOptions) -> Any:
        # The SDK's only call between the last transformation and the registration; `opts` is its own copy.
        self._finish(opts)
        return super()._get_providers(t, pkg, opts)


class OrchestratorReenrollment(_Resource, module="keyfactor", name="OrchestratorReenrollment"):
    """A fleet of orchestrators that are to enroll for a new client-authentication certificate.

    Args:
        name: of the resource, and of the fleet in messages.
        orchestrator_ids: the members' GUIDs, in any collection; order, duplicates, case and braces do not matter.
        status: the desired status: a ReenrollmentStatus, 0, 1 or 2, or its name.
        triggers: any strings; a change starts a new round.
        on_removal: whether a flag that is still set is cleared ("unset") or kept ("retain") when its member is removed
            or the resource is destroyed.
        on_failure: whether failed orchestrators fail the run or only cause a warning.
        waves: sizes of the waves in which members are requested, such as [5, "10%", "100%"]: numbers, or percents of
            the members; the last size repeats. Without waves and canaries all members are requested at once.
        canary_ids: members that are requested first; the others follow once all of them have re-enrolled.
        max_failed: how many members may be bad (rejected, not found or overdue) before the roll-out halts: a number, or
            a percent of those started so far, such as "2%".
        overdue_after: after how long a requested member is overdue, such as "48h" or "2d", or seconds. The default is
            7 days with waves or canaries, otherwise never.
        paused: whether no further members are requested.
        opts: resource options; keyfactor_provider/dynamic/options.py says what each of them does.

    Raises:
        pulumi.RunError: a value or an option is invalid, the engine is too old, a secret is in plain config, or the
            members come from a look-up that can't define a fleet. For a value, it names the line of the program.
    """

    # The SDK evaluates these annotations at run time and does not support TypedDict.
    if TYPE_CHECKING:
        members: pulumi.Output[Mapping[str, MemberState]]
    else:
        members: pulumi.Output[Mapping[str, Any]]
    """What is recorded of each member, by GUID; `MemberState` has the fields."""
    trouble: pulumi.Output[str]
    """What went wrong with Command in the last run; empty if nothing did."""

    def __init__(
        self,
        name: str,
        *,
        orchestrator_ids: pulumi.Input[Iterable[pulumi.Input[str | UUID]]],
        status: pulumi.Input[ReenrollmentStatus | int | str],
        triggers: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        on_removal: pulumi.Input[Literal["unset", "retain"]] = "unset",
        on_failure: pulumi.Input[Literal["error", "warn"]] = "error",
        waves: pulumi.Input[Sequence[pulumi.Input[str | int]]] | None = None,
        canary_ids: pulumi.Input[Iterable[pulumi.Input[str | UUID]]] | None = None,
        max_failed: pulumi.Input[str | int] | None = None,
        overdue_after: pulumi.Input[str | float] | None = None,
        paused: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        run = Run.current()
        _refuse_unstable(name, orchestrator_ids)
        members = inputs.members(orchestrator_ids)
        # Defaults are left out, because the SDK awaits every property of every resource repeatedly (wait_for_rpcs).
        optional = {
            key: value
            for key, value, default in (
                ("triggers", triggers, None),
                ("on_removal", on_removal, "unset"),
                ("on_failure", on_failure, "error"),
                ("waves", waves, None),
                ("canary_ids", None if canary_ids is None else inputs.members(canary_ids), None),
                ("max_failed", max_failed, None),
                ("overdue_after", overdue_after, None),
                ("paused", paused, False),
            )
            if value is not None and value is not default
        }
        inputs.refuse_wrong(name, {"orchestrator_ids": members, "status": status, **optional})
        subject = f'Fleet "{name}"'
        arguments = signature(OrchestratorReenrollment).parameters.keys() - _NOT_ARGUMENTS
        options.refuse_unknown_names(subject, opts, {*arguments, forms.ORCHESTRATORS})
        fleet = run.name("re-enrollment", name, opts.parent if opts else None)

        def finish(opts: pulumi.ResourceOptions) -> None:
            options.refuse_without_effect(subject, opts)
            options.time_limits(subject, opts)
            options.in_stored_names(subject, opts)
            needs = needs_of(opts, orchestrator_ids, status, *optional.values())
            opts.hooks = pulumi.ResourceHookBinding.merge(opts.hooks, run.fleet_hooks(fleet, needs))

        super().__init__(
            ReenrollmentProvider(),
            name,
            {
                "fleet": fleet,
                "orchestrator_ids": members,
                "status": inputs.later(status),
                "members": None,
                "trouble": None,
                **optional,
                forms.RUN: _about_run(run, members, needs_of(None, orchestrator_ids, status, *optional.values())),
            },
            opts,
            finish,
        )

    @property
    def failed_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Rejected by Command, not reached, or not found; the next run retries them."""
        return self._of_record(Record.failed_ids)

    @property
    def pending_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Requested, and not re-enrolled at the last observation."""
        return self._of_record(Record.pending_ids)

    @property
    def reenrolled_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Hold another certificate than at the start of the round."""
        return self._of_record(Record.reenrolled_ids)

    @property
    def queued_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Not requested yet because of a limit of the roll-out."""
        return self._of_record(Record.queued_ids)

    @property
    def overdue_orchestrator_ids(self) -> pulumi.Output[Sequence[str]]:
        """Requested longer ago than allowed, and not both re-enrolled and in use."""
        return self._of_record(Record.overdue_ids)

    def _of_record(self, ids: Callable[[Record], list[str]]) -> pulumi.Output[Sequence[str]]:
        return self.members.apply(lambda members: ids(Record("", members=members_from_state(members or {}))))


class ReenrollmentCompletion(_Resource, module="keyfactor", name="ReenrollmentCompletion"):
    """The completion of a fleet's round, for the next wave to depend on.

    It is created once every member has re-enrolled and uses its new certificate. The program waits before it creates
    the resource, so a wait that fails or is killed leaves nothing behind, and the next run waits again.

    Args:
        name: of the resource.
        fleet: the fleet to wait for.
        timeout: seconds after which the run fails, naming the members that are not complete; 0 checks once.
        max_failed: how many members may be bad (rejected, not found or overdue), and how many may not be complete when
            a positive timeout is over: a number, or a percent of the members.
        opts: resource options; keyfactor_provider/dynamic/options.py says what each of them does.

    Raises:
        pulumi.RunError: an option is invalid, the engine is too old, or a secret is in plain config.
    """

    def __init__(
        self,
        name: str,
        *,
        fleet: OrchestratorReenrollment,
        timeout: pulumi.Input[float] = 3600,
        max_failed: pulumi.Input[str | int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        run = Run.current()
        subject = f'Completion "{name}"'
        options.refuse_unknown_names(subject, opts, {"fleet", "timeout", "max_failed", "awaited"})
        label = run.name("completion", name, opts.parent if opts else None)

        def finish(opts: pulumi.ResourceOptions) -> None:
            options.refuse_without_effect(subject, opts)
            options.time_limits(subject, opts, instead="timeout")
            needs = [*needs_of(opts), lambda: resolved(fleet)]
            opts.hooks = pulumi.ResourceHookBinding.merge(opts.hooks, run.completion_hooks(label, needs, fleet.members))

        super().__init__(
            CompletionProvider(),
            name,
            {
                "fleet": fleet._name,
                "awaited": fleet.members.apply(lambda members: round_of(members_from_state(members or {}))),
                "timeout": timeout,
                **({} if max_failed is None else {"max_failed": max_failed}),
            },
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[fleet])),
            finish,
        )


def _refuse_unstable(name: str, orchestrator_ids: Any) -> None:
    """Refuses members from a look-up whose filters do not always match the same orchestrators.

    Raises:
        pulumi.RunError: names the filters.
    """
    # The type is checked first, because an Output has every attribute.
    if isinstance(orchestrator_ids, list) and (unstable := getattr(orchestrator_ids, "unstable", ())):
        raise pulumi.RunError(
            f'Fleet "{name}": its members come from a look-up by {" and ".join(unstable)}, so they would '
            "leave and enter the fleet by themselves. Use machine, platform, capability or identity."
        )


def _about_run(run: Run, members: Any, needs: Sequence[Need]) -> Any:
    """What the program tells the provider's `check` about the run, which removes it from the inputs; None under mocks.

    - `preview`: whether this is a preview.
    - `failures`: the file by which the provider reports a failure.
    - `after`: the resources that the arguments come from, which a preview names if they are unknown.

    It is unknown as a whole if the members come from a failed resource. That tells `check` that they are missing for
    this reason, and not because of `ignore_changes`.
    """
    if run.mocked:
        return None
    if pulumi.runtime.is_dry_run():
        return {"preview": True, "failures": run.failures, "after": _names(needs)}
    about = {"failures": run.failures}
    return pulumi.Output.from_input(members).apply(lambda _: about) if inputs.has_later(members) else about


async def _names(needs: Sequence[Need]) -> list[str]:
    return sorted({resource.pulumi_resource_name for need in needs for resource in await need()})
