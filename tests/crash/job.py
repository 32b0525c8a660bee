"""A job that is killed at a random moment.

The stack has a fleet of which half has re-enrolled. The job removes two members, requests the others again with status
Required, and requests new fleets: 50 calls of two members each, slowed down so that a kill can hit any of them.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyfactor_standins.command import process
from keyfactor_standins.command.process import Command
from tests.crash import processes
from tests.support.stacks import Stack

BATCH = 2
BATCHES = 50
SLOWED = {"on": "POST /Agents/Set", "act": "delay", "seconds": 0.02}
SETTINGS = {"KEYFACTOR_BATCH_SIZE": str(BATCH), "KEYFACTOR_CLIENT_TIMEOUT": "8"}
KNOWN, DONE, LEAVING, CANARY = 20, 10, 2, 10
MEMBERS = DONE + BATCHES * BATCH


@dataclass
class Base:
    """The stack and the Command that every run starts from, as copies.

    Attributes:
        ids: the GUIDs of all orchestrators. The first KNOWN belong to the known fleet; of these the first DONE have
            re-enrolled, and the job removes the last LEAVING.
        seconds: from the start of the job to its first call.
    """

    folder: Path
    ids: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def make(cls, folder: Path) -> "Base":
        """Create the known fleet, and time one undisturbed job."""
        base = cls(folder)
        folder.mkdir()
        with process.running("--orchestrators", str(MEMBERS), "--state", str(folder / "command")) as command:
            base.ids = command.ids()
            stack = Stack("standin", folder / "stack", command, dict(SETTINGS))
            stack.fleets(_fleet("known", base.ids[:KNOWN], "Requested"))
            assert stack.run("up").exit_code == 0
            command.world(reenroll=base.ids[:DONE])
            assert stack.run("refresh").exit_code == 0
        with base.copied(folder.with_name("undisturbed"), "asking") as run:
            began = time.monotonic()
            run.start()
            run.wait_for_calls(1)
            base.seconds = time.monotonic() - began
            assert run.ended()[0] == 0
            assert len(run.command.posts()) == BATCHES
        return base

    def fleets(self, job: str) -> list[dict[str, Any]]:
        """The fleets that the job declares."""
        known = _fleet("known", self.ids[: KNOWN - LEAVING], "Required")
        new = self.ids[KNOWN:]
        if job == "asking":
            return [known, *(_fleet(f"new-{part}", new[part::3], "Requested") for part in range(3))]
        return [
            known,
            _fleet("canary", new[:CANARY], "Requested"),
            {"name": "done", "completes": "canary"},
            _fleet("rest", new[CANARY:], "Requested") | {"after": ["done"]},
        ]

    @contextmanager
    def copied(self, folder: Path, job: str) -> "Iterator[Run]":
        """A copy of the base, with the job declared."""
        shutil.copytree(self.folder, folder)
        command = process.start("--state", str(folder / "command"), "--seed", "2")
        run = Run(self, job, folder, command)
        try:
            yield run
        finally:
            run.close()


def members(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The recorded members of all fleets."""
    recorded: dict[str, dict[str, Any]] = {}
    for resource in resources.values():
        recorded |= resource["outputs"].get("members", {})
    return recorded


def _fleet(name: str, ids: Sequence[str], status: str) -> dict[str, Any]:
    return {"name": name, "orchestrator_ids": list(ids), "status": status}


class Run:
    """One job on a copy of the base."""

    def __init__(self, base: Base, job: str, folder: Path, command: Command) -> None:
        self._base, self._job, self._folder = base, job, folder
        self._starts = 2
        self.command = command
        self.stack = Stack("standin", folder / "stack", command, dict(SETTINGS))
        self.stack.fleets(*base.fleets(job))
        self.desired_of = {
            member_id: fleet["status"] for fleet in base.fleets(job) for member_id in fleet.get("orchestrator_ids", ())
        }
        self._engine: subprocess.Popen[str] | None = None
        command.faults(faults=[SLOWED])

    @property
    def calls(self) -> int:
        """The number of calls before the job waits for the canary."""
        return BATCHES if self._job == "asking" else (KNOWN - DONE + CANARY) // BATCH

    def start(self) -> None:
        """Start `up`."""
        self._engine = self.stack.started()

    def wait_for_calls(self, number: int, deadline: float = 60.0) -> None:
        """Wait until Command has received this many calls."""
        until = time.monotonic() + deadline
        while len(self.command.posts()) < number:
            assert self._engine is not None
            assert self._engine.poll() is None, "up ended early"
            assert time.monotonic() < until
            time.sleep(0.02)

    def ended(self, deadline: float = 60.0) -> tuple[int, str]:
        """Wait for the end of `up`, while requested canaries re-enroll; returns its exit code and output."""
        assert self._engine is not None
        until = time.monotonic() + deadline
        while True:
            if self._job == "waiting":
                self.canary_reenrolls()
            try:
                output, _ = self._engine.communicate(timeout=min(0.3, until - time.monotonic()))
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    raise
        processes.wait_for_none(self.stack.folder)
        return self._engine.returncode, output

    def kill(self, victim: str, chance: random.Random) -> str:
        """Kill the victim with SIGKILL and restart Command after a pause; returns "killed" or "had ended"."""
        if victim != "command":
            return "killed" if processes.hit(self.stack.folder, victim, signal.SIGKILL) else "had ended"
        port = self.command.url.rpartition(":")[2]
        self.command.kill()
        self.command.close()
        time.sleep(chance.uniform(0, 1.5))
        self._starts += 1
        self.command = self.stack.command = process.start(
            "--state", str(self._folder / "command"), "--port", port, "--seed", str(self._starts)
        )
        return "killed"

    def life_goes_on(self, chance: random.Random) -> None:
        """Let up to five of the requested orchestrators re-enroll, but no canary."""
        canaries = set(self._base.ids[KNOWN : KNOWN + CANARY]) if self._job == "waiting" else set()
        requested = {agent_id for agent_id, flag in self.command.flags().items() if flag != "None"} - canaries
        self.command.world(reenroll=chance.sample(sorted(requested), min(5, len(requested))))

    def canary_reenrolls(self) -> None:
        """Let every requested canary re-enroll."""
        flags = self.command.flags()
        canary = self._base.ids[KNOWN : KNOWN + CANARY]
        self.command.world(reenroll=[agent_id for agent_id in canary if flags[agent_id] != "None"])

    def thumbprints(self) -> dict[str, str]:
        """The thumbprint that Command expects of each orchestrator."""
        return {agent["agent_id"]: agent["thumbprint"] for agent in self.command.agents()}

    def close(self) -> None:
        """End every process."""
        if self._engine is not None and self._engine.poll() is None:
            self._engine.kill()
            self._engine.communicate()
        self.command.close()
