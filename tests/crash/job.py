"""A job that is killed at some moment, and what has to hold afterwards.

The stack knows a fleet of which half has re-enrolled; the job presses the other half, but for two members that leave,
and asks new fleets: 50 calls of two members in all, each slowed down so that there is time to hit.
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
from tests.support.stacks import ROOT, Stack

BATCH = 2
BATCHES = 50
SLOWED = {"on": "POST /Agents/Set", "act": "delay", "seconds": 0.02}
SETTINGS = {"KEYFACTOR_BATCH_SIZE": str(BATCH), "KEYFACTOR_CLIENT_TIMEOUT": "8"}
KNOWN, DONE, LEAVING, CANARY = 20, 10, 2, 10
MEMBERS = DONE + BATCHES * BATCH


@dataclass
class Base:
    """A stack and a Command that every killed run begins from, as copies.

    Attributes:
        ids: of all orchestrators: the first KNOWN are the known fleet's; of these the first DONE have re-enrolled,
            and the last LEAVING leave it in the job.
        seconds: how long it takes from the start of the job to its first call.
    """

    folder: Path
    ids: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def make(cls, folder: Path) -> "Base":
        """The known fleet, and each job done once undisturbed."""
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
        """What the job declares."""
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
        """A copy of it, with the job declared."""
        shutil.copytree(self.folder, folder)
        command = process.start("--state", str(folder / "command"), "--seed", "2")
        run = Run(self, job, folder, command)
        try:
            yield run
        finally:
            run.close()


def members(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a state records of each member, over all fleets."""
    found: dict[str, dict[str, Any]] = {}
    for resource in resources.values():
        found |= resource["outputs"].get("members", {})
    return found


def _fleet(name: str, ids: Sequence[str], status: str) -> dict[str, Any]:
    return {"name": name, "orchestrator_ids": list(ids), "status": status}


class Run:
    """One job on a copy of the base, from its start to its end."""

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
        """How many calls it makes by itself, before it waits for the canary."""
        return BATCHES if self._job == "asking" else (KNOWN - DONE + CANARY) // BATCH

    def start(self) -> None:
        """`up` begins."""
        self._engine = subprocess.Popen(
            self.stack.command_line("up", "--yes", "--skip-preview"),
            cwd=ROOT,
            env=self.stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for_calls(self, number: int, deadline: float = 60.0) -> None:
        """Waits until Command has been asked so many times."""
        until = time.monotonic() + deadline
        while len(self.command.posts()) < number:
            assert self._engine is not None
            assert self._engine.poll() is None, "it ended early"
            assert time.monotonic() < until
            time.sleep(0.02)

    def ended(self, deadline: float = 60.0) -> tuple[int, str]:
        """How `up` ended, once nothing is left of it; whoever of the canary is asked meanwhile re-enrolls."""
        assert self._engine is not None
        until = time.monotonic() + deadline
        while True:
            if self._job == "waiting":
                self.canary_reenrolls()
            try:
                said, _ = self._engine.communicate(timeout=min(0.3, until - time.monotonic()))
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    raise
        processes.wait_for_none(self.stack.folder)
        return self._engine.returncode, said

    def kill(self, victim: str, chance: random.Random) -> str:
        """kill -9; Command comes back with its data a little later. Whether there was somebody to kill."""
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
        """Some of those that were asked re-enroll; of the canary none before its time."""
        spared = set(self._base.ids[KNOWN : KNOWN + CANARY]) if self._job == "waiting" else set()
        asked = sorted(each for each, flag in self.command.flags().items() if flag != "None" and each not in spared)
        self.command.world(reenroll=chance.sample(asked, min(5, len(asked))))

    def canary_reenrolls(self) -> None:
        """Whoever of the canary was asked has its new certificate in use."""
        flags = self.command.flags()
        canary = self._base.ids[KNOWN : KNOWN + CANARY]
        self.command.world(reenroll=[each for each in canary if flags[each] != "None"])

    def thumbprints(self) -> dict[str, str]:
        """The certificate that Command expects of each."""
        return {agent["agent_id"]: agent["thumbprint"] for agent in self.command.agents()}

    def close(self) -> None:
        """Ends what is still there."""
        if self._engine is not None and self._engine.poll() is None:
            self._engine.kill()
            self._engine.communicate()
        self.command.close()
