"""Waiting for processes: until something is so, until one is gone."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Looks again and again; fails the test after that time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it was not so for {seconds} s"
        time.sleep(0.02)


def runs(pid: int, module: str) -> bool:
    """Whether a process runs that module, and is more than a zombie that nobody has asked after."""
    try:
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
