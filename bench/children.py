"""Runs and times child processes, which end with the bench, however it ends."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when the bench is gone, even after kill -9."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def timed(line: Sequence[str], folder: Path, environment: Mapping[str, str], exit_code: int = 0) -> float:
    """Run a command to its end, which must have this exit code; returns the seconds that it took."""
    began = time.perf_counter()
    done = subprocess.run(
        line,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    taken = time.perf_counter() - began
    assert done.returncode == exit_code, f"{' '.join(line)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return taken


def first_line(line: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, str]:
    """Start a server, read its first line and end it; returns the seconds until then, and the line."""
    began = time.perf_counter()
    with subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    ) as process:
        assert process.stdout is not None
        text = process.stdout.readline()
        taken = time.perf_counter() - began
        process.terminate()
    return taken, text
