"""The processes of one stack, found by the folder that stands in their environment."""

import os
import signal
import time
from pathlib import Path

_ROLES = {"keyfactor_standins.engine": "engine", "program": "program", "host": "host"}


def of(folder: Path) -> dict[str, int]:
    """What runs for a stack now: its engine, its program and its provider host, with their process ids."""
    mark = f"PULUMI_BACKEND_URL=file://{folder}".encode()
    found = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            if mark not in (place / "environ").read_bytes().split(b"\0"):
                continue
            line = (place / "cmdline").read_text().split("\0")
        except OSError:  # it ended while it was looked at, or is somebody else's
            continue
        role = next((role for word, role in _ROLES.items() if word in line), " ".join(line))
        if any(line):
            found[role] = int(place.name)
    return found


def hit(folder: Path, role: str, how: signal.Signals, deadline: float = 20.0) -> bool:
    """Sends a signal to one of them, as soon as there is one; False where the run ends first."""
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
    """Waits until nothing runs for the stack.

    Raises:
        TimeoutError: something is left; names it.
    """
    until = time.monotonic() + deadline
    while left := of(folder):
        if time.monotonic() > until:
            raise TimeoutError(f"left running: {left}")
        time.sleep(0.02)
