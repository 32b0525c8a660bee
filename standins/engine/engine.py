"""One command from beginning to end: children, services, deployment, state.

Order of events and what counts as failure: `pkg/engine/{update,deployment}.go`, `pkg/backend/apply.go`.
"""

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from standins.engine import program
from standins.engine.children import Child
from standins.engine.deployment import Deployment, Options
from standins.engine.display import Display
from standins.engine.monitor import EngineService, Monitor, serve
from standins.engine.planner import make_urn
from standins.engine.project import Project, StackConfig, provider_config
from standins.engine.provider import ProviderHost
from standins.engine.secrets import Vault
from standins.engine.state import PROVIDER_TYPE, STACK_TYPE
from standins.engine.store import Store
from standins.engine.values import Properties, Secret


@dataclass(frozen=True)
class Command:
    """What was asked on the command line.

    Attributes:
        name: preview, up, refresh or destroy.
        options: how each run goes.
        diff: show every property that changes.
        refresh: read every resource first.
        run_program: refresh and destroy run the program, for its fresh config.
    """

    name: str
    options: Options
    diff: bool = False
    refresh: bool = False
    run_program: bool = False


@dataclass
class Outcome:
    """How a run ended."""

    failed: bool
    cancelled: bool
    changes: int


class Run:
    """One pass over the stack: a preview, or the real thing.

    Args:
        project: the project.
        stack: the stack's name.
        store: its state.
        vault: its secrets.
        config: its values.
        command: what was asked.
    """

    def __init__(
        self,
        project: Project,
        stack: str,
        store: Store,
        vault: Vault,
        config: dict[str, str | Secret],
        command: Command,
    ) -> None:
        self._project = project
        self._stack = stack
        self._store = store
        self._vault = vault
        self._config = config
        self._command = command
        self._cancelled = False
        self._root = make_urn(stack, project.name, "", STACK_TYPE, f"{project.name}-{stack}")
        self.display = Display(
            sys.stdout, preview=command.options.preview, diff=command.diff, root=self._root
        )

    async def go(self) -> Outcome:
        """Do it."""
        runs_program = self._command.name in ("preview", "up") or self._command.run_program
        resources = self._store.resources(self._vault)
        recorded = next((each for each in resources.values() if each.type == PROVIDER_TYPE), None)
        inputs: Properties = (
            provider_config(self._config) if runs_program or recorded is None else recorded.inputs
        )
        python, venv = program.interpreter(self._project)
        deployment = Deployment(
            stack=self._stack,
            project=self._project.name,
            store=self._store,
            resources=resources,
            host=None,  # type: ignore[arg-type]  # it needs the address that is known a few lines below
            provider_inputs=inputs,
            display=self.display,
            options=self._command.options,
        )
        monitor, engine = Monitor(deployment, self._config), EngineService(deployment)
        server, address = await serve(monitor, engine)
        folder = self._project.program if self._project.program.is_dir() else self._project.program.parent
        child = await Child.start(
            python,
            ["-m", "pulumi.dynamic", address],
            folder,
            program.child_environment(self._project, self._stack, venv),
        )
        urn = make_urn(self._stack, self._project.name, "", PROVIDER_TYPE, "default")
        host = ProviderHost(
            child, inputs, urn, recorded.id if recorded is not None else deployment.provider_id, self._info
        )
        deployment.host = host
        self._watch_signals(deployment)
        try:
            if not self._command.options.preview:
                self._store.begin(self._vault)
            if runs_program:
                await self._run_program(deployment, monitor, address)
            await deployment.idle()
            deployment.finish_outputs()
        finally:
            await host.close()
            await deployment.hooks.close()
            await server.stop(None)
            if not self._command.options.preview:
                self._store.finish(self._vault)
            self.display.finish()
        return Outcome(deployment.failed, self._cancelled, self.display.changes)

    async def _run_program(self, deployment: Deployment, monitor: Monitor, address: str) -> None:
        child = await program.start_program(
            self._project,
            self._stack,
            self._config,
            addresses=(address, address),
            preview=self._command.options.preview,
            parallel=self._command.options.parallel,
            out=self._info,
            error=self._info,
        )
        ended = asyncio.ensure_future(child.wait())
        signalled = asyncio.ensure_future(monitor.signalled.wait())
        stopped = asyncio.ensure_future(deployment.stopped.wait())
        await asyncio.wait({ended, signalled, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if signalled.done() and not deployment.halted:
            await deployment.idle()
            if not deployment.halted:
                await deployment.delete_what_is_left()
        elif ended.done() and ended.result() == 0 and not deployment.halted:
            await deployment.idle()
            await deployment.delete_what_is_left()
        await deployment.idle()
        monitor.over.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), 10)
        if not ended.done():
            await child.stop(patience=0.0)
        code = await ended
        for each in (signalled, stopped):
            each.cancel()
        if code == program.ALREADY_REPORTED:
            deployment.failed = True
        elif code != 0 and not deployment.halted:
            deployment.failed = True
            self.display.diagnostic(
                "error", f"an unhandled error occurred: program exited with non-zero exit code: {code}"
            )

    def _info(self, line: str) -> None:
        self.display.diagnostic("info", line)

    def _watch_signals(self, deployment: Deployment) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if not self._cancelled:
                self._cancelled = True
                self.display.say(
                    "^C received; cancelling. The steps under way finish, then the state is saved."
                )
                deployment.halt()

        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop)


def open_stack(
    project: Project, stack: str, folder: Path, phrase: str
) -> tuple[Store, StackConfig, Vault, Vault]:
    """The state, the config and the secrets of a stack.

    Returns:
        The store, the config file, the vault of the state, the vault of the config file; the two vaults are one
        when both were written with the same salt.
    """
    config = StackConfig(project, stack)
    store = Store(folder, project.name, stack)
    vault = Vault(phrase, store.salt or config.salt)
    if config.salt is None or config.salt == store.salt or store.salt is None:
        return store, config, vault, vault
    return store, config, vault, Vault(phrase, config.salt)


def execute(command: Command, project: Project, stack: str, folder: Path, phrase: str) -> list[Outcome]:
    """Carry a command out: a preview of it first, then, unless it is only a preview, the thing itself.

    Returns:
        The outcome of each pass.
    """
    store, config, vault, config_vault = open_stack(project, stack, folder, phrase)
    values = config.values(config_vault)
    run = Run(project, stack, store, vault, values, command)
    if command.options.preview:
        return [asyncio.run(run.go())]
    with store.locked(command.name):
        return [asyncio.run(run.go())]
