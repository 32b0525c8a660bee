"""Inline programs, as the Automation API runs them: several in one process, on the engine stand-in.

`python -m tests.concurrency.inline {in-turn,side-by-side} FOLDER...` runs `up` of the stack in each folder, which
declares its fleets.json, all in this process with the SDK's language server; it prints the exit codes.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pulumi
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion, orchestrators
from keyfactor_standins.engine.__main__ import Pass
from keyfactor_standins.engine.config import StackConfig, load_project
from keyfactor_standins.engine.executor import PARALLEL
from keyfactor_standins.engine.secrets import Vault
from keyfactor_standins.engine.store import Store, state_folder
from keyfactor_standins.engine.wire import plain

GIVEN = argparse.Namespace(
    command="up",
    stack="dev",
    diff=False,
    refresh=False,
    continue_on_error=False,
    run_program=False,
    replace=[],
)


class Inline:
    """A program in a thread of this process, in place of a child process."""

    def __init__(self, running: "asyncio.Future[Any]") -> None:
        self._running = running

    async def wait(self) -> int:
        """Wait for its end; returns 0, or 1 if it failed."""
        return 1 if (await asyncio.shield(self._running)).error else 0

    async def stop(self, deadline: float = 0.0) -> int:
        """Wait for its end, since a thread can't be killed."""
        return await asyncio.wait_for(self.wait(), deadline + 20)


class InlinePass(Pass):
    """`up` of a program that is a function in this process."""

    async def start_program(self, address: str) -> Any:
        request = language_pb2.RunRequest(
            project=self.project.name,
            stack=self.given.stack,
            monitor_address=address,
            args=[address],
            parallel=PARALLEL,
            dryRun=self.dry,
            organization="organization",
            config={key: str(plain(value)) for key, value in self.config.items()},
        )
        fleets = json.loads((self.project.root / "fleets.json").read_text())
        server = LanguageServer(lambda: declare(fleets))
        return Inline(asyncio.ensure_future(asyncio.to_thread(server.Run, request, None)))


def declare(fleets: list[dict[str, Any]]) -> None:
    """The program of each stack."""
    for fleet in fleets:
        ids = orchestrators(machine="*", exclude=fleet.pop("exclude", ())).ids
        resource = OrchestratorReenrollment(fleet.pop("name"), orchestrator_ids=ids, **fleet)
        ReenrollmentCompletion(f"{resource._name}-done", fleet=resource, timeout=20)
        pulumi.export("members", len(ids))


async def up(folder: Path) -> int:
    """Run `up` of the stack in a folder; returns the exit code."""
    project = load_project(folder)
    store = Store(state_folder(project.root, None), project.name, "dev")
    vault = Vault(os.environ["PULUMI_CONFIG_PASSPHRASE"], store.salt)
    with store.locked("up"):
        config = StackConfig(project, "dev").values(vault)
        code, _ = await InlinePass(GIVEN, project, config, store, vault, dry=False).go()
    return code


async def main(how: str, folders: list[Path]) -> None:
    """Run all stacks, and print their exit codes on the last line."""
    if how == "in-turn":
        codes = [await up(folder) for folder in folders]
    else:
        codes = await asyncio.gather(*map(up, folders))
    print(json.dumps(codes))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [Path(folder) for folder in sys.argv[2:]]))
