"""The stand-in as a child process, for the demo, the tests and the bench."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from keyfactor_standins.command import environment

_ROOT = Path(__file__).resolve().parents[2]


class Command:
    """A running stand-in, through its control endpoint."""

    def __init__(self, process: "subprocess.Popen[str]", said: Mapping[str, str]) -> None:
        self.process = process
        self.said = dict(said)
        self.url = said["url"]
        self._control = httpx.Client(
            base_url=said["control_url"], verify=not said.get("ca_cert"), trust_env=False, timeout=30
        )

    def environment(self) -> dict[str, str]:
        """The environment of a client that signs in with Basic."""
        return environment(self.said)

    def agents(self) -> list[dict[str, Any]]:
        """Every orchestrator with all fields, in the order of the GUIDs."""
        agents: list[dict[str, Any]] = self._control.get("/agents").raise_for_status().json()
        return agents

    def ids(self) -> list[str]:
        """The GUIDs of every orchestrator."""
        return [agent["agent_id"] for agent in self.agents()]

    def flags(self) -> dict[str, str]:
        """The flag of every orchestrator, by GUID."""
        names = ("None", "Requested", "Required")
        return {agent["agent_id"]: names[agent["flag"]] for agent in self.agents()}

    def journal(self) -> list[dict[str, Any]]:
        """Every request so far."""
        entries: list[dict[str, Any]] = self._control.get("/journal").raise_for_status().json()
        return entries

    def posts(self) -> list[tuple[Any, tuple[str, ...]]]:
        """Every SetAuthCertificateReenrollment so far: its status and its GUIDs, sorted."""
        return [
            (entry["body"]["Status"], tuple(sorted(entry["body"]["OrchestratorIds"])))
            for entry in self.journal()
            if entry["path"].endswith("/SetAuthCertificateReenrollment")
        ]

    def forget(self) -> None:
        """Empty the journal."""
        self._control.delete("/journal").raise_for_status()

    def faults(self, **given: Any) -> None:
        """Set faults and settings; see `Faults.apply`."""
        self._post("/faults", given)

    def calm(self) -> None:
        """Restore the faults and settings of the start."""
        self._control.delete("/faults").raise_for_status()

    def now(self) -> datetime:
        """The time of its clock."""
        return datetime.fromisoformat(self._control.get("/world").raise_for_status().json()["now"])

    def clear(self) -> None:
        """Empty it: no orchestrators, journal, faults or tokens, and the machine's clock."""
        self._control.delete("/world").raise_for_status()

    def world(self, **given: Any) -> list[str]:
        """Change it from outside the API, see `Faults._change`; returns the GUIDs of new orchestrators."""
        agent_ids: list[str] = self._post("/world", given).json()
        return agent_ids

    def _post(self, path: str, given: Any) -> httpx.Response:
        response = self._control.post(path, json=given)
        if response.is_error:
            raise ValueError(response.text)
        return response

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it."""
        self._control.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def start(*arguments: str) -> Command:
    """Start it and wait until it serves.

    Raises:
        RuntimeError: it did not start; the text is its stderr.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "keyfactor_standins.command", *arguments],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(process.communicate()[1])
    return Command(process, json.loads(line))


@contextmanager
def running(*arguments: str) -> Iterator[Command]:
    """A stand-in that runs for the length of a `with`."""
    command = start(*arguments)
    try:
        yield command
    finally:
        command.close()
