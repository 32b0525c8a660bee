"""The program's side of one run: what its resources share, and the hooks that fail or wait in it.

An Automation API process may run several programs, one after another or side by side, so nothing here
outlives a run: it hangs on the run's root resource.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.proto import engine_pb2

from keyfactor_provider.dynamic.needs import Need
from keyfactor_provider.errors import ProviderError
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.record import Record

if TYPE_CHECKING:
    from keyfactor_provider.command.client import CommandClient
    from keyfactor_provider.operations.lookup import Orchestrator
    from keyfactor_provider.operations.run import Operations

ENGINE_NEEDED: Final = ">=3.238.0"
"""From this version on a failing after hook fails the deployment (Pulumi's changelog)."""

_CONFIG: Final = "keyfactor"

_runs: "WeakKeyDictionary[Any, Run]" = WeakKeyDictionary()


class Run:
    """What the resources of one program run share."""

    def __init__(self) -> None:
        _require_engine()
        _refuse_plain_secrets()
        self.verdict = pulumi.ResourceHook("keyfactor-reenrollment-verdict", self._fail_on_failed_members)
        self.gate = pulumi.ResourceHook("keyfactor-reenrollment-gate", self._hold_back)
        self.wait = pulumi.ResourceHook("keyfactor-reenrollment-wait", self._wait)
        self._failed: set[str] = set()
        self._needs: dict[tuple[str, str], Sequence[Need]] = {}
        self._awaited: dict[str, pulumi.Output[Any]] = {}
        self._everyone: Sequence[Orchestrator] | None = None
        self._operations: Operations | None = None

    @classmethod
    def current(cls) -> "Run":
        """The run that is under way in this program.

        Raises:
            pulumi.RunError: the engine is too old, or a secret stands in the stack's config in plain text.
        """
        root = pulumi.runtime.get_root_resource()
        if root is None:
            return cls()
        if root not in _runs:
            _runs[root] = cls()
        return _runs[root]

    def holds_back(self, kind: str, name: str, needs: Sequence[Need]) -> None:
        """Remembers what the fleet or completion of this name depends on.

        Args:
            kind: its type, without the provider's name.

        Raises:
            pulumi.RunError: another one has this name: both would claim orchestrators by it.
        """
        if (kind, name) in self._needs:
            raise pulumi.RunError(
                f'Two resources of type {kind} are called "{name}", one of them perhaps in a component. '
                "Give each a name of its own."
            )
        self._needs[kind, name] = needs

    def awaits(self, name: str, members: "pulumi.Output[Any]") -> None:
        """Remembers the members that the completion of this name waits for."""
        self._awaited[name] = members

    def client(self) -> "CommandClient":
        """A client with the settings of this program's stack, environment and profile.

        Raises:
            SettingsError: they are wrong or missing.
        """
        from keyfactor_provider.command.client import CommandClient
        from keyfactor_provider.command.settings import load

        return CommandClient(load(pulumi.Config(_CONFIG).get, os.environ))

    def everyone(self) -> "Sequence[Orchestrator]":
        """Every agent that Command lists, read once in a run.

        Raises:
            SettingsError, CommandError: Command can't be read.
        """
        if self._everyone is None:
            from keyfactor_provider.command.roster import Roster

            client = self.client()
            for warning in client.settings.warnings:
                _tell("warning", warning)
            self._everyone = Roster(client).everyone()
        return self._everyone

    def operations(self) -> "Operations":
        """The operations that this run's waiting shares."""
        if self._operations is None:
            from keyfactor_provider.operations.run import Operations

            client = self.client()
            self._operations = Operations(lambda: client, _tell)
        return self._operations

    async def _fail_on_failed_members(self, args: pulumi.ResourceHookArgs) -> None:
        record = Record.from_state(await _laid_open(args.new_outputs or {}))
        failure = report.failure(record)
        if failure is None:
            return
        if record.on_failure == "warn":
            _tell("warning", str(failure), args.urn)
            return
        self._failed.add(args.urn)
        raise failure

    async def _hold_back(self, args: pulumi.ResourceHookArgs) -> None:
        # Only --continue-on-error gets here after a failure: it counts a failed hook as success.
        if not self._failed:
            return
        for need in self._needs.get((args.type.partition(":")[2], args.name), ()):
            for resource in await need():
                if await resource.urn.future() in self._failed:
                    raise ProviderError(
                        f'"{args.name}" is held back',
                        f'"{resource._name}", which it depends on, has failed orchestrators in this run',
                        "It goes on in the run in which that one succeeds.",
                    )

    async def _wait(self, args: pulumi.ResourceHookArgs) -> None:
        from keyfactor_provider.operations.waiting import Wait

        inputs = await _laid_open(args.new_inputs or {})
        members = await self._awaited[args.name].future() or {}
        wait = Wait(self.operations().progress, f'"{args.name}"', members, float(inputs["timeout"]), time.monotonic)
        while True:
            look = await asyncio.to_thread(wait.look)
            for warning in look.warnings:
                _tell("warning", warning, args.urn)
            if look.news:
                _tell("info", f'Waiting for "{args.name}": {look.news}.', args.urn)
            if look.pause is None:
                return
            await asyncio.sleep(look.pause)


async def _laid_open(value: Any) -> Any:
    """A hook's argument without its secrets: the SDK gives each of them as an Output."""
    if isinstance(value, pulumi.Output):
        return await _laid_open(await value.future())
    if isinstance(value, Mapping):
        return {key: await _laid_open(item) for key, item in value.items()}
    return [await _laid_open(item) for item in value] if isinstance(value, list) else value


def _tell(severity: str, message: str, urn: str = "") -> None:
    """Shows a message on a resource, also on one that a hook holds: pulumi.log would wait until it is made."""
    engine = pulumi.runtime.settings.get_engine()
    assert engine is not None, "a run without an engine ends before it has anything to tell"
    level = engine_pb2.WARNING if severity == "warning" else engine_pb2.INFO
    engine.Log(engine_pb2.LogRequest(severity=level, message=message, urn=urn, streamId=0))


def _require_engine() -> None:
    try:
        pulumi.require_pulumi_version(ENGINE_NEEDED)
    except AttributeError:
        # A unit test under pulumi.runtime.set_mocks: its engine is no engine and answers no such question.
        return
    except pulumi.RunError:
        # The engine is ending the run already, and says why.
        raise
    except Exception as error:
        raise pulumi.RunError(
            f"OrchestratorReenrollment needs the Pulumi CLI {ENGINE_NEEDED}: {error}. "
            "An older one would end with success although orchestrators failed. Update the CLI."
        ) from None


def _refuse_plain_secrets() -> None:
    from keyfactor_provider.command.settings import SECRET_KEYS

    config = pulumi.Config(_CONFIG)
    for key in SECRET_KEYS:
        if config.get(key) and not pulumi.runtime.is_config_secret(f"{_CONFIG}:{key}"):
            raise pulumi.RunError(
                f"{_CONFIG}:{key} stands in plain text in the stack's config, and so in its state. "
                f"Set it again with: pulumi config set --secret {_CONFIG}:{key}"
            )
