"""Processes of tests: their environment, and waiting until something is so or until one is gone."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Looks again and again; fails the test after that time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it was not so for {seconds} s"
        time.sleep(0.02)


def bare_environment() -> dict[str, str]:
    """What a process can't do without, and what measures its coverage where that is asked for."""
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COVERAGE_")
    }


def runs(pid: int, module: str) -> bool:
    """Whether a process runs that module, and is more than a zombie that nobody has asked after."""
    try:
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
