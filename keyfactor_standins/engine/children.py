"""The child processes of a run, the program and the provider host; they end with the engine, however it ends."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from keyfactor_standins.engine.config import Project
from keyfactor_standins.engine.errors import EngineError

_SCRIPT = Path(__file__).with_name("child.py")
_GRACE = 1.0
"""Seconds that a child has to exit once its stdin is closed."""


class Child:
    """A child process, started through `child.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, project: Project, stack: str, arguments: Sequence[str], extra: dict[str, str]) -> "Child":
        """Start one in the project's folder, with the interpreter and the environment that the CLI would give it.

        It runs in its own session, so that the engine alone handles a Ctrl-C at the terminal.

        Raises:
            EngineError: its interpreter does not start.
        """
        python, environment = sys.executable, {**os.environ, **extra}
        environment |= {
            "PULUMI_PROJECT": project.name,
            "PULUMI_STACK": stack,
            "PULUMI_ORGANIZATION": "organization",
            "PULUMI_ROOT_DIRECTORY": str(project.root),
        }
        if project.virtualenv is not None and project.virtualenv.exists():
            python = str(project.virtualenv / "bin" / "python")
            environment |= {
                "VIRTUAL_ENV": str(project.virtualenv),
                "PATH": f"{project.virtualenv / 'bin'}{os.pathsep}{environment.get('PATH', '')}",
            }
        try:
            process = await asyncio.create_subprocess_exec(
                python,
                "-u",
                str(_SCRIPT),
                *arguments,
                cwd=project.root,
                env=environment,
                stdin=asyncio.subprocess.PIPE,  # closes when the engine ends
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=1 << 24,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"{python} does not start: {error}; recreate the virtual environment") from error
        return cls(process)

    async def first_line(self) -> str:
        """The first line of its stdout; empty if it ended without one."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode(errors="replace").strip()

    def follow(self, receive: Callable[[str], None]) -> None:
        """Pass on what it writes from now on, line by line, without the line ends."""

        async def read(stream: asyncio.StreamReader | None) -> None:
            while stream is not None and (line := await stream.readline()):
                receive(line.decode(errors="replace").rstrip("\r\n"))

        for stream in (self._process.stdout, self._process.stderr):
            self._readers.append(asyncio.ensure_future(read(stream)))

    async def wait(self) -> int:
        """Wait until it has ended and all its output was passed on; returns its exit code."""
        code = await self._process.wait()
        await asyncio.gather(*self._readers)
        return code

    async def stop(self, deadline: float = 0.0) -> int:
        """End it: wait `deadline` seconds, close its stdin, then kill its process group; returns its exit code."""
        exited = asyncio.ensure_future(self.wait())
        assert self._process.stdin is not None
        for seconds in (deadline, _GRACE):
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(asyncio.shield(exited), seconds)
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return await exited
