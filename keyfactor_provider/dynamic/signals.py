"""How a program and a provider host end on a signal: without a traceback, and with their results handed over."""

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

import pulumi
from pulumi.runtime.stack import Stack

FAILED_AND_REPORTED: Final = 32
"""The exit code that tells the Python language host that the reason for the failure was already shown."""
HANDING_OVER_SECONDS: Final = 3600.0
"""Limit for calls in progress when the provider host has to end; each also has its own timeout."""


class QuietEnd:
    """Ends a program without a traceback when the CLI interrupts it because a step of this project failed.

    After any failed step the CLI sends SIGINT to the program, and the language host prints two KeyboardInterrupt
    tracebacks around the message. Without a failed step of this project, SIGINT has its usual effect, but is ignored
    once the program is over: the CLI also interrupts a program that is slow to exit after a successful run.

    Args:
        loop: the event loop that runs the program.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._folder = TemporaryDirectory(prefix="keyfactor-reenrollment-")
        self._failed = False
        self.failures = Path(self._folder.name) / "failed"
        """The provider host, another process, creates this file when one of its steps fails."""

    @classmethod
    def install(cls) -> "QuietEnd | None":
        """Replaces Python's own handler of SIGINT.

        Returns:
            None if the CLI does not interrupt this program (an inline program of the Automation API, a component
            provider, a test) or if the user's code handles SIGINT itself.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        if (
            not isinstance(pulumi.runtime.get_root_resource(), Stack)
            or threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            return None
        end = cls(loop)
        signal.signal(signal.SIGINT, end._interrupted)
        return end

    def note_failure(self) -> None:
        """Records that a step of this run has failed, which is being reported to the user."""
        self._failed = True

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        if self._loop.is_closed():
            # The program is over and the interpreter is shutting down.
            return
        if not self._failed and not self.failures.exists():
            signal.default_int_handler(signum, frame)
        # Not os._exit, so that the user's `finally` blocks and exit handlers run.
        sys.exit(FAILED_AND_REPORTED)


def hand_over_on_sigterm() -> None:
    """Lets SIGTERM end this provider host as Ctrl-C ends the CLI: calls in progress finish, new ones are rejected.

    The SDK's host exits on SIGTERM at once and loses the results of calls in progress. Only the main thread may install
    a signal handler, but it waits forever in the SDK's code, and this code runs in a worker thread. So it leaves a
    pending call for the main thread, which SIGURG, with a handler that does nothing (`abs`), wakes until it has run it.
    From then on Python writes each signal to a pipe, which a thread reads: unlike a wake-up, a byte can't get lost.
    """
    server, main = _server_of_the_host(), threading.main_thread().ident
    if server is None or main is None or os.name != "posix" or sys.implementation.name != "cpython":
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    installed, over = threading.Event(), threading.Event()

    def end(*_: Any) -> None:
        if over.is_set():
            over.clear()
            # The host ends on SIGINT, which it ignores in the background job of a shell; this is what SIGINT raises.
            raise KeyboardInterrupt

    def install(_: Any) -> int:
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, end)
        installed.set()
        return 0

    def hand_over() -> None:
        while signal.SIGTERM not in os.read(reader, 64):
            pass
        server.stop(HANDING_OVER_SECONDS).wait()
        over.set()
        while over.is_set():
            signal.pthread_kill(main, signal.SIGTERM)
            time.sleep(0.01)

    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(install)
    _kept.append(call)
    set_handler = ctypes.pythonapi.PyOS_setsig
    set_handler.argtypes, set_handler.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    before = set_handler(signal.SIGURG, ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p))
    ctypes.pythonapi.Py_AddPendingCall(call, None)
    while not installed.wait(0.001):
        signal.pthread_kill(main, signal.SIGURG)
    set_handler(signal.SIGURG, before)
    threading.Thread(target=hand_over, daemon=True).start()


_kept: list[Any] = []
"""Keeps what C code points to from being garbage-collected."""


def _server_of_the_host() -> Any:
    """The gRPC server in `main` of `pulumi.dynamic.__main__`, where the main thread waits; None in other processes."""
    for frame in _frames_of_the_main_thread():
        spec = frame.f_globals.get("__spec__")
        if frame.f_code.co_name == "main" and spec is not None and spec.name == "pulumi.dynamic.__main__":
            return frame.f_locals.get("server")
    return None


def _frames_of_the_main_thread() -> Iterator[FrameType]:
    """The innermost frame first."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
