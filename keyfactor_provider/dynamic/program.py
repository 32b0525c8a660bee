"""The program's side of one run: what its resources share, and the hooks that fail it or wait in it.

One process may run several programs, in turn or side by side (the Automation API), and a component provider has no
program at all, so nothing here outlives a run. Each hook is named after one resource, because an engine accepts a hook
name only once in a run, whichever process registers it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

import grpc
import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.stack import Stack

from keyfactor_provider.dynamic.needs import Need
from keyfactor_provider.dynamic.signals import QuietEnd
from keyfactor_provider.errors import ProviderError
from keyfactor_provider.messages import Message
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.desired import amount
from keyfactor_provider.reenrollment.state import from_state, members_from_state

if TYPE_CHECKING:
    from keyfactor_provider.operations.lookup import Orchestrator
    from keyfactor_provider.operations.operations import Operations

ENGINE_NEEDED: Final = ">=3.238.0"
"""From this version on a failing after hook fails the deployment (Pulumi's changelog)."""

_Result = TypeVar("_Result")
_CONFIG: Final = "keyfactor"

_THREADS: Final = ThreadPoolExecutor(32, thread_name_prefix="keyfactor")
"""Threads apart from those of the event loop. There the SDK holds one for each resource that is being registered, which
is one for every fleet whose hook is running: a hook that waited for a thread of the loop could wait forever."""

_runs: "WeakKeyDictionary[Any, Run]" = WeakKeyDictionary()


class Run:
    """The state shared by the resources of one program run, or of one component that a provider constructs."""

    def __init__(self) -> None:
        self.mocked = isinstance(pulumi.runtime.settings.get_monitor(), MockMonitor)
        """Whether this is a unit test under `pulumi.runtime.set_mocks`."""
        if not self.mocked:
            _require_engine()
        _refuse_plain_secrets()
        self._quiet_end = None if self.mocked else QuietEnd.install()
        self._failed: set[str] = set()
        self._names: set[str] = set()
        self._everyone: Sequence[Orchestrator] | None = None
        self._operations: Operations | None = None
        self._users = 0

    @classmethod
    def current(cls) -> "Run":
        """The current run of this program.

        Raises:
            pulumi.RunError: there is no engine, it is too old, or the stack's config holds a secret in plain text.
        """
        # A component provider has no root resource, but a separate connection for each component.
        key = pulumi.runtime.get_root_resource() or pulumi.runtime.settings.get_monitor()
        if key is None:
            raise _no_engine()
        if key not in _runs:
            _runs[key] = cls()
        return _runs[key]

    @property
    def failures(self) -> str:
        """The file by which the provider host reports a failed step; empty if the program does not need it."""
        return str(self._quiet_end.failures) if self._quiet_end else ""

    def name(self, kind: str, name: str, parent: pulumi.Resource | None) -> str:
        """The name of a resource in messages and claims, unique among the resources of its kind in this run.

        Args:
            kind: "re-enrollment" or "completion".
            name: its logical name.
            parent: from its options, since the same logical name in two components means two resources.
        """
        within = "" if parent is None or isinstance(parent, Stack) else _name_of(parent)
        base = f"{within}/{name}" if within else name
        # Components that providers construct may have equal names, since they can't see each other.
        root = pulumi.runtime.get_root_resource()
        if parent is not None and within and (root is None or f"{kind} {base}" in self._names):
            base = f"{parent.pulumi_resource_type.rpartition(':')[2]} {base}"
        number, candidate = 1, base
        while f"{kind} {candidate}" in self._names:
            number += 1
            candidate = f"{base} ({number})"
        self._names.add(f"{kind} {candidate}")
        return candidate

    def fleet_hooks(self, name: str, needs: Sequence[Need]) -> pulumi.ResourceHookBinding | None:
        """The hooks of a fleet: before its step, skip it if a dependency has failed; afterwards, report its outcome.

        Args:
            name: see `name`.
        """

        async def reenrollment(args: pulumi.ResourceHookArgs) -> None:
            if args.new_outputs is None:
                await self._skip_after_failure(needs)
            else:
                await self._report(args)

        if (hook := self._hook(f"re-enrollment of {name}", reenrollment)) is None:
            return None
        before = [hook] if needs else []
        return pulumi.ResourceHookBinding(
            before_create=[*before], before_update=[*before], after_create=[hook], after_update=[hook]
        )

    def completion_hooks(
        self, name: str, needs: Sequence[Need], members: "pulumi.Output[Any]"
    ) -> pulumi.ResourceHookBinding | None:
        """The hooks of a completion, which wait before it is created or updated.

        Args:
            name: see `name`.
            members: of the fleet to wait for.
        """

        async def completion(args: pulumi.ResourceHookArgs) -> None:
            await self._skip_after_failure(needs)
            await self._wait(name, await members.future() or {}, args)

        hook = self._hook(f"completion {name}", completion)
        return None if hook is None else pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])

    async def everyone(self) -> "Sequence[Orchestrator]":
        """Every agent in Command's list, which is read once per run.

        Raises:
            SettingsError, CommandError: Command can't be read.
        """
        if self._everyone is None:
            async with self._using_command() as operations:
                self._everyone = await _in_thread(operations.lookups.everyone)
        return self._everyone

    @asynccontextmanager
    async def _using_command(self) -> "AsyncIterator[Operations]":
        """The operations that look-ups and waits of this run share; closed after the last use."""
        from keyfactor_provider.command.settings import load
        from keyfactor_provider.operations.operations import Operations

        if self._operations is None:
            config = pulumi.Config(_CONFIG)
            self._operations = Operations(lambda: load(config.get, os.environ), _show)
        operations = self._operations
        self._users += 1
        try:
            yield operations
        finally:
            self._users -= 1
            if not self._users:
                self._operations = None
                await _in_thread(operations.close)

    def _hook(self, name: str, call: Callable[[pulumi.ResourceHookArgs], Any]) -> pulumi.ResourceHook | None:
        """A hook whose failure ends the program without a traceback; None in a preview, which calls no hooks."""
        if pulumi.runtime.is_dry_run():
            return None

        async def guarded(args: pulumi.ResourceHookArgs) -> None:
            try:
                await call(args)
            except Exception:
                if self._quiet_end is not None:
                    self._quiet_end.note_failure()
                raise

        return pulumi.ResourceHook(name, guarded)

    async def _report(self, args: pulumi.ResourceHookArgs) -> None:
        record = from_state(await _unwrapped(args.new_outputs or {}))
        before = from_state(await _unwrapped(args.old_outputs)) if args.old_outputs else None
        failure = report.failure(record)
        if failure is None or record.on_failure == "warn":
            await _in_thread(_show, report.outcome(record, before), args.urn)
        if failure is None:
            return
        if record.on_failure == "warn":
            await _in_thread(_show, report.tolerated(failure), args.urn)
            return
        self._failed.add(args.urn)
        raise failure

    async def _skip_after_failure(self, needs: Sequence[Need]) -> None:
        # A run gets here after a failure only with --continue-on-error, which counts a failed hook as success.
        if not self._failed:
            return
        for need in needs:
            for resource in await need():
                if await resource.urn.future() in self._failed:
                    name = resource.pulumi_resource_name
                    raise ProviderError(
                        "Skipped",
                        f'depends on "{name}", which has failed orchestrators',
                        f'It continues once "{name}" succeeds.',
                    )

    async def _wait(self, name: str, members: Mapping[str, Any], args: pulumi.ResourceHookArgs) -> None:
        from keyfactor_provider.operations.waiting import Wait

        inputs = await _unwrapped(args.new_inputs or {})
        # Numbers arrive as floats; the provider's check has refused invalid ones.
        budget = amount(inputs.get("max_failed")) or "0"
        async with self._using_command() as operations:
            recorded = members_from_state(await _unwrapped(members))
            wait = Wait(operations.run.progress, name, recorded, float(inputs["timeout"]), time.monotonic, budget)
            while True:
                step = await _in_thread(wait.step)
                for message in step.messages:
                    await _in_thread(_show, message, args.urn)
                if step.pause is None:
                    return
                await asyncio.sleep(step.pause)


async def _in_thread(call: Callable[..., _Result], *args: Any) -> _Result:
    # The SDK keeps the settings of a run in context variables, since one process may run several programs.
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, context.run, call, *args)


def _name_of(parent: pulumi.Resource) -> str:
    # A component that another process constructs has only a URN here, which is known later.
    return getattr(parent, "_name", "")


async def _unwrapped(value: Any) -> Any:
    """A hook's argument with its secrets unwrapped, which the SDK passes as Outputs."""
    if isinstance(value, pulumi.Output):
        return await _unwrapped(await value.future())
    if isinstance(value, Mapping):
        return {key: await _unwrapped(item) for key, item in value.items()}
    return [await _unwrapped(item) for item in value] if isinstance(value, list) else value


def _show(message: Message, urn: str = "") -> None:
    """Shows a message on a resource, even while a hook delays it; pulumi.log would wait until the resource exists.

    Blocks until the engine answers, so call it in a thread. Errors are ignored: a message must not fail a run.
    """
    engine = pulumi.runtime.settings.get_engine()
    level = engine_pb2.WARNING if message.severity == "warning" else engine_pb2.INFO
    if engine is not None:
        with suppress(grpc.RpcError, ValueError):
            text = message.text().encode("utf-8", "replace").decode("utf-8")
            engine.Log(engine_pb2.LogRequest(severity=level, message=text, urn=urn, streamId=0))


def _no_engine() -> pulumi.RunError:
    return pulumi.RunError("No Pulumi engine: this is not a run of a Pulumi program. Run it with `pulumi up`.")


def _require_engine() -> None:
    if pulumi.runtime.settings.get_engine() is None:
        raise _no_engine()
    try:
        pulumi.require_pulumi_version(ENGINE_NEEDED)
    except pulumi.RunError:
        # The engine ends the run and reports the reason itself.
        raise
    except Exception as error:
        raise pulumi.RunError(
            f"OrchestratorReenrollment needs the Pulumi CLI {ENGINE_NEEDED}: {error}. "
            "With an older one, runs succeed even if orchestrators failed. Update the CLI."
        ) from None


def _refuse_plain_secrets() -> None:
    from keyfactor_provider.command.settings_table import SECRET_KEYS

    config = pulumi.Config(_CONFIG)
    for key in SECRET_KEYS:
        if config.get(key) and not pulumi.runtime.is_config_secret(f"{_CONFIG}:{key}"):
            raise pulumi.RunError(
                f"{_CONFIG}:{key} is in plain text in the stack's config, and therefore in its state. "
                f"Set it again with: pulumi config set --secret {_CONFIG}:{key}"
            )
