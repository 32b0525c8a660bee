"""The processes that a run starts: they die with the engine, also when it is killed with SIGKILL."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")
_STOP_SECONDS = 5.0


class Child:
    """A process of a run, its output handed over line by line.

    Args:
        process: the started process.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls, python: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
    ) -> "Child":
        """Start a Python process, through `launch.py`, in a session of its own.

        A Ctrl-C at the terminal is the engine's to handle: the steps under way finish.
        """
        process = await asyncio.create_subprocess_exec(
            python,
            "-u",
            str(_LAUNCH),
            str(os.getpid()),
            *arguments,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
            start_new_session=True,
        )
        return cls(process)

    async def first_line(self) -> str:
        """The first line of its stdout; empty if it ended without one."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode(errors="replace").strip()

    def follow(self, out: Callable[[str], None], error: Callable[[str], None]) -> None:
        """Hand over what it writes from now on, in lines without their ends."""
        for stream, receive in ((self.process.stdout, out), (self.process.stderr, error)):
            assert stream is not None
            self._readers.append(asyncio.ensure_future(self._read(stream, receive)))

    @staticmethod
    async def _read(stream: asyncio.StreamReader, receive: Callable[[str], None]) -> None:
        while line := await stream.readline():
            receive(line.decode(errors="replace").rstrip("\r\n"))

    async def wait(self) -> int:
        """Its exit code, once it has ended and all that it wrote was handed over."""
        code = await self.process.wait()
        await asyncio.gather(*self._readers)
        return code

    async def stop(self, patience: float = _STOP_SECONDS) -> None:
        """End it: wait, in seconds, for it to go by itself; then SIGTERM, then SIGKILL to all its group."""
        for seconds, signals in ((patience, ()), (0.0, (signal.SIGTERM,)), (1.0, (signal.SIGKILL,))):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.process.wait()), seconds or 0.01)
                break
            for each in signals:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, each)
        await self.wait()
