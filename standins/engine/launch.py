"""The first lines of every child: it dies with the engine, also when the engine is killed with SIGKILL.

Started as a script, `launch.py PARENT_PID FILE ARGS...` or `launch.py PARENT_PID -m MODULE ARGS...`, in the
program's interpreter, which need not have the engine installed: imports nothing of it.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os._exit(1)

        threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Become what the arguments name, with sys.path and sys.argv as if it had been started directly."""
    _die_with(int(sys.argv[1]))
    sys.path.pop(0)  # this folder: its modules must not shadow the standard library's
    if sys.argv[2] == "-m":
        module = sys.argv[3]
        sys.argv = sys.argv[3:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        file = sys.argv[2]
        sys.argv = sys.argv[2:]
        runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    main()
