"""The processes of a stack, which have its folder in their environment."""

import os
import signal
import time
from pathlib import Path

_ROLES = {"keyfactor_standins.engine": "engine", "program": "program", "host": "host"}


def of(folder: Path) -> dict[str, int]:
    """The running processes of a stack by role (engine, program, host), with their ids."""
    mark = f"PULUMI_BACKEND_URL=file://{folder}".encode()
    running = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            if mark not in (place / "environ").read_bytes().split(b"\0"):
                continue
            line = (place / "cmdline").read_text().split("\0")
        except OSError:  # it has just ended, or belongs to another user
            continue
        role = next((role for word, role in _ROLES.items() if word in line), " ".join(line))
        if any(line):
            running[role] = int(place.name)
    return running


def hit(folder: Path, role: str, how: signal.Signals, deadline: float = 20.0) -> bool:
    """Send a signal to the process with this role once it runs; False if the run ends first."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        running = of(folder)
        if role in running:
            try:
                os.kill(running[role], how)
            except ProcessLookupError:
                return False
            return True
        if "engine" not in running:
            return False
        time.sleep(0.01)
    raise TimeoutError(f"{role} did not appear within {deadline:g} s")


def wait_for_none(folder: Path, deadline: float = 10.0) -> None:
    """Wait until no process of the stack runs.

    Raises:
        TimeoutError: a process is still running; the text names it.
    """
    until = time.monotonic() + deadline
    while running := of(folder):
        if time.monotonic() > until:
            raise TimeoutError(f"still running: {running}")
        time.sleep(0.02)
