"""The program's side of one run: what its resources share, and the hooks that fail or wait in it.

An Automation API process may run several programs, one after another or side by side, so nothing here
outlives a run: it hangs on the run's root resource.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import pulumi

from keyfactor_provider.errors import CompletionTimeout, ProviderError, Unreachable
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.record import Record

if TYPE_CHECKING:
    from keyfactor_provider.command.client import CommandClient
    from keyfactor_provider.lookup import Orchestrator
    from keyfactor_provider.operations import Operations

ENGINE_NEEDED: Final = ">=3.238.0"
"""From this version on a failing after hook fails the deployment (Pulumi's changelog)."""

_POLL_FIRST: Final = 1.0
_POLL_MOST: Final = 15.0
_CONFIG: Final = "keyfactor"

Need = Callable[[], Awaitable[Iterable[pulumi.Resource]]]
"""Gives resources that another one depends on, once they are known."""

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
        self._awaited: dict[str, tuple[pulumi.Resource, pulumi.Output[Any]]] = {}
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

    def awaits(self, name: str, resource: pulumi.Resource, members: "pulumi.Output[Any]") -> None:
        """Remembers the members that the completion of this name waits for."""
        self._awaited[name] = (resource, members)

    def client(self) -> "CommandClient":
        """A client with the settings of this program's stack, environment and profile.

        Raises:
            SettingsError: they are wrong or missing.
        """
        from keyfactor_provider.command.client import CommandClient
        from keyfactor_provider.command.settings import load

        return CommandClient(load(pulumi.Config(_CONFIG).get, os.environ, Path.home()))

    def everyone(self) -> "Sequence[Orchestrator]":
        """Every agent that Command lists, read once in a run.

        Raises:
            SettingsError, CommandError: Command can't be read.
        """
        if self._everyone is None:
            from keyfactor_provider.command.roster import Roster

            self._everyone = tuple(Roster(self.client()).everyone())
        return self._everyone

    def operations(self) -> "Operations":
        """The operations that this run's waiting shares."""
        if self._operations is None:
            from keyfactor_provider.operations import Operations

            client = self.client()
            self._operations = Operations(
                lambda: client,
                lambda severity, text: pulumi.log.warn(text) if severity == "warning" else pulumi.log.info(text),
            )
        return self._operations

    def _fail_on_failed_members(self, args: pulumi.ResourceHookArgs) -> None:
        record = Record.from_state(args.new_outputs or {})
        failure = report.failure(record)
        if failure is None:
            return
        if record.on_failure == "warn":
            pulumi.log.warn(str(failure))
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
        inputs = args.new_inputs or {}
        resource, output = self._awaited[args.name]
        members = await output.future() or {}
        await _until_complete(self.operations(), args.name, resource, members, float(inputs["timeout"]))


async def _until_complete(
    operations: "Operations", name: str, resource: pulumi.Resource, members: dict[str, Any], timeout: float
) -> None:
    """Polls until every member counts as complete.

    Raises:
        CompletionTimeout: some did not in time; names them.
        CommandError: Command refuses to be read, which waiting does not heal.
    """
    until = time.monotonic() + timeout
    pause, said = _POLL_FIRST, ""
    while True:
        waiting: dict[str, str] = {}
        trouble = ""
        try:
            made = await asyncio.to_thread(operations.progress, members)
            waiting = made.waiting
            if not waiting:
                for member_id, warning in list(made.warnings.items())[: report.MOST_NAMED]:
                    pulumi.log.warn(f"{_name(members, member_id)} {warning}.", resource)
                return
        except Unreachable as error:
            trouble = str(error)
        now = trouble or f"{len(members) - len(waiting)} of {report.count(len(members))} complete"
        if now != said:
            pulumi.log.info(f'Waiting for "{name}": {now}.', resource)
            said = now
        left = until - time.monotonic()
        if left <= 0:
            raise CompletionTimeout(
                f'"{name}" is not complete after {timeout:g} s',
                trouble or _still(members, waiting),
                "Nothing is lost: the next run waits again. Look at those named, or raise timeout.",
            )
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _POLL_MOST)


def _still(members: dict[str, Any], waiting: dict[str, str]) -> str:
    names = [f"{_name(members, member_id)}: {reason}" for member_id, reason in sorted(waiting.items())]
    return f"{len(waiting)} of {report.count(len(members))} still to come: {report.listed(names)}"


def _name(members: dict[str, Any], member_id: str) -> str:
    machine = members[member_id].get("machine")
    return f"{machine} ({member_id})" if machine else member_id


def _require_engine() -> None:
    try:
        pulumi.require_pulumi_version(ENGINE_NEEDED)
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
