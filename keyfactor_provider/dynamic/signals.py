"""How a program and a provider host end when they are signalled: quietly, and with what was achieved handed over."""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

import pulumi
from pulumi.runtime.stack import Stack

FAILED_AND_REPORTED: Final = 32
"""The exit code by which the Python language host knows that the user has been told why a program failed."""
HANDING_OVER_SECONDS: Final = 3600.0
"""For the calls under way when the provider host is told to end; each of them has a timeout of its own."""


class QuietEnd:
    """Ends a program without a traceback when the CLI interrupts it because of a failure of this project.

    After any failed step the CLI sends SIGINT to the program, and the language host prints two KeyboardInterrupt
    tracebacks around the message. Before a failure of ours SIGINT does what it always does, until the program is over:
    the CLI interrupts a program that is slow to leave after a successful run, too.

    Args:
        loop: the event loop that runs the program.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._folder = TemporaryDirectory(prefix="keyfactor-reenrollment-")
        self._failed = False
        self.failures = Path(self._folder.name) / "failed"
        """The provider host, another process, makes this file when a step of it fails."""

    @classmethod
    def install(cls) -> "QuietEnd | None":
        """Takes SIGINT over from Python's own handler.

        Returns:
            None where the program is not the CLI's to interrupt (an inline program of the Automation API, a component
            provider, a test), or where the user's code handles SIGINT itself.
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
        """A step of this run has failed, and the user is being told why."""
        self._failed = True

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        if self._loop.is_closed():
            # The program is over, and the interpreter is clearing up: there is nothing left to interrupt.
            return
        if not self._failed and not self.failures.exists():
            signal.default_int_handler(signum, frame)
        # Not os._exit: the user's `finally` blocks and exit handlers run.
        sys.exit(FAILED_AND_REPORTED)


def hand_over_on_sigterm() -> None:
    """Lets SIGTERM end this provider host as Ctrl-C ends the CLI: calls under way finish, no new ones are taken.

    The SDK's host dies of SIGTERM at once, and what a call under way has done is lost. This project's code is loaded
    in a worker thread of it, where Python installs no signal handlers. So the signal gets a C handler that does
    nothing (`abs`), and the main thread, which it wakes, runs the pending call that was left for it.
    """
    server = _server_of_the_host()
    if server is None or os.name != "posix" or sys.implementation.name != "cpython":
        return

    def hand_over() -> None:
        server.stop(HANDING_OVER_SECONDS).wait()
        # The host ends by itself on SIGINT, but a host in the background job of a shell ignores that signal.
        os._exit(0)

    def in_main_thread(_: Any) -> int:
        if sys.exc_info()[0] is not None:
            # SIGINT woke it: the host is ending already.
            return 0
        threading.Thread(target=hand_over, daemon=True).start()
        return 0

    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(in_main_thread)
    _kept.append(call)
    ctypes.pythonapi.PyOS_setsig.argtypes = [ctypes.c_int, ctypes.c_void_p]
    ctypes.pythonapi.PyOS_setsig.restype = ctypes.c_void_p
    ctypes.pythonapi.Py_AddPendingCall(call, None)
    ctypes.pythonapi.PyOS_setsig(signal.SIGTERM, ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p))


_kept: list[Any] = []
"""What C code points to must not be collected."""


def _server_of_the_host() -> Any:
    """The gRPC server in `main` of `pulumi.dynamic.__main__`, whose thread waits there; None in any other process."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    while frame is not None:
        if frame.f_code.co_name == "main" and frame.f_globals.get("__spec__") is not None:
            spec = frame.f_globals["__spec__"]
            if spec.name == "pulumi.dynamic.__main__":
                return frame.f_locals.get("server")
        frame = frame.f_back
    return None
