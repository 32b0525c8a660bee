"""The command line: `python -m keyfactor_standins.engine {preview,up,refresh,destroy,export} --stack NAME ...`."""

import argparse
import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keyfactor_standins.engine.children import Child
from keyfactor_standins.engine.config import Project, StackConfig, load_project
from keyfactor_standins.engine.display import Digest, Display
from keyfactor_standins.engine.errors import EngineError
from keyfactor_standins.engine.executor import Executor, Options
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


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m keyfactor_standins.engine",
        description="A stand-in for the Pulumi engine: runs Pulumi Python programs with dynamic resources.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("preview", "up", "refresh", "destroy", "export"):
        command = commands.add_parser(name)
        command.add_argument("--stack", "-s", required=True)
        command.add_argument("--cwd", "-C", default=".", metavar="DIR")
        if name == "export":
            continue
        command.add_argument("--diff", action="store_true")
        command.add_argument("--parallel", "-p", type=int, default=4 * (os.cpu_count() or 1), metavar="N")
        flags = {
            "--expect-no-changes": ("preview", "up", "refresh"),
            "--refresh": ("preview", "up"),
            "--continue-on-error": ("up", "destroy"),
            "--run-program": ("destroy",),
            "--json": ("preview",),
            "--yes": ("up", "refresh", "destroy"),
            "--skip-preview": ("up", "refresh", "destroy"),
        }
        command.add_argument("--logflow", action="store_true", help="hands the next three on to the provider host")
        command.add_argument("--logtostderr", action="store_true")
        command.add_argument("--verbose", "-v", type=int, default=0, metavar="N")
        command.add_argument("--tracing", default="", metavar="URL")
        short = {"--refresh": ["-r"], "--yes": ["-y"], "--skip-preview": ["-f"]}
        for flag, served in flags.items():
            if name in served:
                command.add_argument(flag, *short.get(flag, ()), action="store_true")
            else:
                command.set_defaults(**{flag.removeprefix("--").replace("-", "_"): False})
        command.set_defaults(replace=[])
        if name in ("preview", "up"):
            command.add_argument("--replace", action="append", default=[], metavar="URN")
    given = parser.parse_args()
    if given.command != "export" and (given.logtostderr or given.verbose) and not given.logflow:
        parser.error("--logtostderr and --verbose have an effect in this stand-in only with --logflow")
    return given


def host_flags(given: argparse.Namespace) -> list[str]:
    """What the CLI puts before the engine's address (sdk/go/common/resource/plugin, buildPluginArguments)."""
    flows = ["--logtostderr"] * given.logtostderr + [f"-v={given.verbose}"] * bool(given.verbose)
    return [*(flows if given.logflow else []), *(["--tracing", given.tracing] if given.tracing else [])]


@dataclass
class Pass:
    """A pass over the stack: a preview, or the thing itself."""

    given: argparse.Namespace
    project: Project
    config: dict[str, str | Secret]
    store: Store
    vault: Vault
    dry: bool
    json: bool = False
    host_flags: Sequence[str] = ()

    async def go(self) -> tuple[int, bool]:
        """Do it; the exit code, and whether anything changed or would."""
        given, stack, name = self.given, self.given.stack, self.project.name
        mode = _KINDS[given.command]
        root = make_urn(stack, name, "", STACK_TYPE, f"{name}-{stack}")
        self.display = Digest(root=root) if self.json else Display(dry=self.dry, diff=given.diff, root=root)
        self.display.say(f"{f'Previewing {mode}' if self.dry else _TITLES[mode]} ({stack}):\n")
        if self.store.pending and mode != "refresh":
            self.display.message(
                "warning",
                f"an earlier run was interrupted in: {', '.join(self.store.pending)}\nlook at these resources, then run"
                " refresh, which forgets that",
            )
        if not self.dry:
            self.store.begin(self.vault)
        resources = self.store.resources(self.vault)
        recorded = next((each for each in resources.values() if each.type == PROVIDER_TYPE), None)
        program = mode == "update" or given.run_program
        provider = Resource(
            urn=make_urn(stack, name, "", PROVIDER_TYPE, "default"),
            custom=True,
            type=PROVIDER_TYPE,
            id=recorded.id if recorded is not None else str(uuid.uuid4()),
            inputs=dict(self.config) if program or recorded is None else recorded.inputs,
        )
        options = Options(self.dry, mode, max(given.parallel, 1), given.continue_on_error, tuple(given.replace))
        executor = Executor((stack, name), self.store, resources, provider, self.display, options)
        monitor = Monitor(executor, self.config)
        server, address = await serve(monitor, Engine(self.display))
        cancelled = self._watch_signals(executor)
        try:
            reads = (given.refresh or mode == "refresh") and recorded is not None
            rest = partial(self._rest, executor, monitor, address, program=program, mode=mode)
            if reads and recorded is not None and recorded.inputs == provider.inputs:
                # one host serves both, as in the CLI
                await self._with_host(executor, provider, address, executor.refresh_all, rest)
            else:
                if reads and recorded is not None:
                    # what is read is read with the config that it was made with, as in the CLI
                    await self._with_host(executor, recorded, address, executor.refresh_all)
                await self._with_host(executor, provider, address, rest)
            executor.finish_outputs()
        finally:
            await executor.hooks.close()
            await server.stop(None)
            if not self.dry:
                self.store.finish()
        if executor.failed and not self.dry:
            self.display.message("error", "update failed")
        self.display.finish()
        code = _CANCELLED if cancelled.is_set() else 1 if executor.failed else 0
        return code, self.display.changes

    async def _with_host(
        self, executor: Executor, provider: Resource, address: str, *works: Callable[[], Awaitable[None]]
    ) -> None:
        child = await Child.start(self.project, self.given.stack, ["host", *self.host_flags, address], {})
        executor.host = await Host.connect(child, provider, self._info)
        try:
            for work in works:
                await work()
                await executor.idle()
        finally:
            await executor.host.close()

    async def _rest(self, executor: Executor, monitor: Monitor, address: str, *, program: bool, mode: str) -> None:
        """What comes after the refresh, if anything does."""
        if program and not executor.failed and not executor.halted.is_set():
            await self._run_program(executor, monitor, address)
        elif mode == "destroy":
            await executor.delete_rest()

    async def start_program(self, executor: Executor, address: str) -> Child:
        """Start the program, connected to the engine at this address."""
        secret = [key for key, value in self.config.items() if isinstance(value, Secret)]
        extra = {
            "PULUMI_CONFIG": json.dumps(plain(self.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(secret),
        }
        settings = {
            "monitor": address,
            "engine": address,
            "project": self.project.name,
            "stack": self.given.stack,
            "parallel": executor.options.parallel,
            "dry_run": self.dry,
            "organization": "organization",
            "root_directory": str(self.project.root),
            "program": self.project.program.name if self.project.program.is_file() else ".",
        }
        child = await Child.start(self.project, self.given.stack, ["program", json.dumps(settings)], extra)
        child.follow(self._info)
        return child

    async def _run_program(self, executor: Executor, monitor: Monitor, address: str) -> None:
        child = await self.start_program(executor, address)
        ended = asyncio.ensure_future(child.wait())
        waiting = [asyncio.ensure_future(each.wait()) for each in (monitor.signalled, executor.halted)]
        await asyncio.wait({ended, *waiting}, return_when=asyncio.FIRST_COMPLETED)
        await executor.idle()
        if not executor.halted.is_set() and (not ended.done() or ended.result() == 0):
            await executor.delete_rest()
        monitor.over.set()
        code = await child.stop(deadline=10.0 if not executor.halted.is_set() else 2.0)
        for each in waiting:
            each.cancel()
        if code != 0 and not executor.halted.is_set():
            executor.fail(
                "" if code == 32 else f"an unhandled error occurred: program exited with non-zero exit code: {code}",
                "",
            )

    def _info(self, line: str) -> None:
        self.display.message("info", line)

    def _watch_signals(self, executor: Executor) -> asyncio.Event:
        loop, cancelled = asyncio.get_running_loop(), asyncio.Event()

        def stop() -> None:
            self.display.say("^C received; cancelling. The steps under way finish, then the state is saved.")
            cancelled.set()
            executor.halt()
            for each in (signal.SIGINT, signal.SIGTERM):  # the next one ends everything at once
                loop.remove_signal_handler(each)

        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop)
        return cancelled


def _agreed(given: argparse.Namespace) -> bool:
    return given.yes or given.skip_preview or input(f"Do you want to perform this {given.command}? ") == "yes"


def _run(given: argparse.Namespace) -> int:
    project = load_project(Path(given.cwd).resolve())
    folder = state_folder(project.root, os.environ.get("PULUMI_BACKEND_URL") or project.backend)
    config, store, phrase = (
        StackConfig(project, given.stack),
        Store(folder, project.name, given.stack),
        passphrase(os.environ),
    )
    vault = Vault(phrase, store.salt or config.salt)
    if given.command == "export":
        print(json.dumps(store.export(vault), indent=4))
        return 0
    # With --json stdout is the document and nothing else.
    banner = "keyfactor_standins.engine: a stand-in for the Pulumi engine, not the Pulumi CLI"
    print(banner, file=sys.stderr if given.json else sys.stdout, flush=True)
    preview = given.command == "preview"
    if not (preview or given.yes or given.skip_preview or sys.stdin.isatty()):
        raise EngineError(
            "--yes or --skip-preview must be passed in to proceed when running in non-interactive mode",
            1 if given.command == "refresh" else _WRONG_CALL,
        )
    # a config whose secrets were written before the state was has a salt of its own
    config_vault = vault if config.salt in (None, vault.salt) else Vault(phrase, config.salt)
    values = config.values(config_vault)
    with nullcontext() if preview else store.locked(given.command):
        code, changes = 0, False
        for dry in [True] if preview else [False] if given.skip_preview else [True, False]:
            if not dry and not _agreed(given):
                print(f"confirmation declined, not proceeding with the {given.command}")
                return 1
            one = Pass(given, project, values, store, vault, dry, given.json, host_flags(given))
            code, changes = asyncio.run(one.go())
            if code:
                return code
    if given.expect_no_changes and changes:
        what = "preview" if preview else _KINDS[given.command]
        raise EngineError(f"no changes were expected for {what} but changes were proposed", _NO_CHANGES_EXPECTED)
    return 0


def main() -> int:
    """Run the command; its exit code."""
    try:
        return _run(_parse())
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
