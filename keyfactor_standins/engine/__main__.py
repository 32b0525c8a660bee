"""The command line: `python -m keyfactor_standins.engine {preview,up,refresh,destroy} --stack NAME ...`."""

import argparse
import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keyfactor_standins.engine.children import Child
from keyfactor_standins.engine.config import Project, StackConfig, load_project
from keyfactor_standins.engine.display import Digest, Display
from keyfactor_standins.engine.errors import EngineError
from keyfactor_standins.engine.executor import PARALLEL, Executor, Options
from keyfactor_standins.engine.host import Host
from keyfactor_standins.engine.monitor import Engine, Monitor, serve
from keyfactor_standins.engine.planner import PROVIDER_TYPE, STACK_TYPE, Resource, make_urn
from keyfactor_standins.engine.secrets import Vault, passphrase
from keyfactor_standins.engine.store import Store, state_folder
from keyfactor_standins.engine.wire import Secret, plain

_KINDS = {"preview": "update", "up": "update", "refresh": "refresh", "destroy": "destroy"}
_TITLES = {"update": "Updating", "refresh": "Refreshing", "destroy": "Destroying"}
_WRONG_CALL = 2  # the CLI's exit codes
_NO_CHANGES_EXPECTED = 7
_CANCELLED = 8

_FLAGS = {
    ("--expect-no-changes",): ("preview", "up", "refresh"),
    ("--refresh", "-r"): ("preview", "up"),
    ("--continue-on-error",): ("up", "destroy"),
    ("--run-program",): ("destroy",),
    ("--json",): ("preview",),
    ("--yes", "-y"): ("up", "refresh", "destroy"),
    ("--skip-preview", "-f"): ("up", "refresh", "destroy"),
}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m keyfactor_standins.engine",
        description="A stand-in for the Pulumi engine: runs Pulumi Python programs with dynamic resources.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _KINDS:
        command = commands.add_parser(name)
        command.add_argument("--stack", "-s", required=True)
        command.add_argument("--cwd", "-C", default=".", metavar="DIR")
        command.add_argument("--diff", action="store_true")
        for flag, served in _FLAGS.items():
            if name in served:
                command.add_argument(*flag, action="store_true")
            else:
                command.set_defaults(**{flag[0].removeprefix("--").replace("-", "_"): False})
        command.set_defaults(replace=[])
        if name in ("preview", "up"):
            command.add_argument("--replace", action="append", default=[], metavar="URN")
    return parser.parse_args()


@dataclass
class Pass:
    """One pass over the stack: a preview (`dry`), or the command itself."""

    given: argparse.Namespace
    project: Project
    config: dict[str, str | Secret]
    store: Store
    vault: Vault
    dry: bool
    json: bool = False

    async def go(self) -> tuple[int, bool]:
        """Run the pass; returns the exit code, and whether anything changed or would change."""
        given, stack, name = self.given, self.given.stack, self.project.name
        mode = _KINDS[given.command]
        root = make_urn(stack, name, "", STACK_TYPE, f"{name}-{stack}")
        self.display = Digest(root=root) if self.json else Display(dry=self.dry, diff=given.diff, root=root)
        self.display.say(f"{f'Previewing {mode}' if self.dry else _TITLES[mode]} ({stack}):\n")
        if self.store.pending and mode != "refresh":
            self.display.message(
                "warning",
                f"an earlier run was interrupted in: {', '.join(self.store.pending)}\ncheck these resources, then run"
                " refresh, which clears this warning",
            )
        if not self.dry:
            self.store.begin(self.vault)
        resources = self.store.resources(self.vault)
        recorded = next((resource for resource in resources.values() if resource.type == PROVIDER_TYPE), None)
        program = mode == "update" or given.run_program
        provider = Resource(
            urn=make_urn(stack, name, "", PROVIDER_TYPE, "default"),
            custom=True,
            type=PROVIDER_TYPE,
            id=recorded.id if recorded is not None else str(uuid.uuid4()),
            inputs=dict(self.config) if program or recorded is None else recorded.inputs,
        )
        options = Options(self.dry, mode, given.continue_on_error, tuple(given.replace))
        executor = Executor((stack, name), self.store, resources, provider, self.display, options)
        monitor = Monitor(executor, self.config)
        server, address = await serve(monitor, Engine(self.display))
        cancelled = self._watch_signals(executor)
        rest = partial(self._rest, executor, monitor, address, program=program, mode=mode)
        try:
            if recorded is None or not (given.refresh or mode == "refresh"):
                await self._with_host(executor, provider, address, rest)
            elif recorded.inputs == provider.inputs:
                # As in the CLI, one host serves both.
                await self._with_host(executor, provider, address, executor.refresh_all, rest)
            else:
                # As in the CLI, resources are read with the config that they were created with.
                await self._with_host(executor, recorded, address, executor.refresh_all)
                await self._with_host(executor, provider, address, rest)
            executor.finish_outputs()
        finally:
            await executor.hooks.close()
            await server.stop(None)
            self.store.finish()
        if executor.failed and not self.dry:
            self.display.message("error", "update failed")
        self.display.finish()
        code = _CANCELLED if cancelled.is_set() else 1 if executor.failed else 0
        return code, self.display.changes

    async def _with_host(
        self, executor: Executor, provider: Resource, address: str, *works: Callable[[], Awaitable[None]]
    ) -> None:
        child = await Child.start(self.project, self.given.stack, ["host", address], {})
        executor.host = await Host.connect(child, provider, self._info)
        try:
            for work in works:
                await work()
                await executor.idle()
        finally:
            await executor.host.close()

    async def _rest(self, executor: Executor, monitor: Monitor, address: str, *, program: bool, mode: str) -> None:
        """Everything after the refresh."""
        if program and not executor.failed and not executor.halted.is_set():
            await self._run_program(executor, monitor, address)
        elif mode == "destroy":
            await executor.delete_rest()

    async def start_program(self, address: str) -> Child:
        """Start the program, connected to the engine at this address."""
        secret = [key for key, value in self.config.items() if isinstance(value, Secret)]
        environment = {
            "PULUMI_CONFIG": json.dumps(plain(self.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(secret),
        }
        settings = {
            "monitor": address,
            "engine": address,
            "project": self.project.name,
            "stack": self.given.stack,
            "parallel": PARALLEL,
            "dry_run": self.dry,
            "organization": "organization",
            "root_directory": str(self.project.root),
        }
        child = await Child.start(self.project, self.given.stack, ["program", json.dumps(settings)], environment)
        child.follow(self._info)
        return child

    async def _run_program(self, executor: Executor, monitor: Monitor, address: str) -> None:
        child = await self.start_program(address)
        ended = asyncio.ensure_future(child.wait())
        events = [asyncio.ensure_future(event.wait()) for event in (monitor.signalled, executor.halted)]
        await asyncio.wait({ended, *events}, return_when=asyncio.FIRST_COMPLETED)
        await executor.idle()
        if not executor.halted.is_set() and (not ended.done() or ended.result() == 0):
            await executor.delete_rest()
        monitor.over.set()
        code = await child.stop(deadline=10.0 if not executor.halted.is_set() else 2.0)
        for event in events:
            event.cancel()
        if code != 0 and not executor.halted.is_set():
            executor.fail(
                "" if code == 32 else f"an unhandled error occurred: program exited with non-zero exit code: {code}",
                "",
            )

    def _info(self, line: str) -> None:
        self.display.message("info", line)

    def _watch_signals(self, executor: Executor) -> asyncio.Event:
        loop, cancelled = asyncio.get_running_loop(), asyncio.Event()
        signals = (signal.SIGINT, signal.SIGTERM)

        def stop() -> None:
            self.display.say("^C received; cancelling. The steps under way finish, then the state is saved.")
            cancelled.set()
            executor.halt()
            for number in signals:  # the next signal ends the process at once
                loop.remove_signal_handler(number)

        for number in signals:
            loop.add_signal_handler(number, stop)
        return cancelled


def _run(given: argparse.Namespace) -> int:
    project = load_project(Path(given.cwd).resolve())
    folder = state_folder(project.root, os.environ.get("PULUMI_BACKEND_URL"))
    config, store = StackConfig(project, given.stack), Store(folder, project.name, given.stack)
    phrase = passphrase(os.environ)
    vault = Vault(phrase, store.salt or config.salt)
    # With --json stdout is the document and nothing else.
    banner = "keyfactor_standins.engine: a stand-in for the Pulumi engine, not the Pulumi CLI"
    print(banner, file=sys.stderr if given.json else sys.stdout, flush=True)
    preview = given.command == "preview"
    if not (preview or given.yes or given.skip_preview):
        raise EngineError(
            "--yes or --skip-preview must be passed in to proceed when running in non-interactive mode",
            1 if given.command == "refresh" else _WRONG_CALL,
        )
    # A config whose secrets were written before the state was has its own salt.
    config_vault = vault if config.salt in (None, vault.salt) else Vault(phrase, config.salt)
    values = config.values(config_vault)
    with nullcontext() if preview else store.locked(given.command):
        changes = False
        for dry in [True] if preview else [False] if given.skip_preview else [True, False]:
            one_pass = Pass(given, project, values, store, vault, dry, given.json)
            code, changes = asyncio.run(one_pass.go())
            if code:
                return code
    if given.expect_no_changes and changes:
        what = "preview" if preview else _KINDS[given.command]
        raise EngineError(f"no changes were expected for {what} but changes were proposed", _NO_CHANGES_EXPECTED)
    return 0


def main() -> int:
    """Run the command; returns its exit code."""
    try:
        return _run(_parse())
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
