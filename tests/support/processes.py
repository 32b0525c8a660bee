"""Helpers for processes in tests: environments, waiting and looking for one."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition; fails the test after this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met within {seconds} s"
        time.sleep(0.02)


def bare_environment() -> dict[str, str]:
    """The variables that a process needs, and those that measure its coverage."""
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COVERAGE_")
    }


def runs(pid: int, module: str) -> bool:
    """Whether a process runs this module and is not a zombie."""
    try:
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
