"""The script that every child process of the engine starts with; it imports nothing of the engine.

`child.py host ADDRESS` becomes the SDK's provider host, `python -u -m pulumi.dynamic ADDRESS`. `child.py program JSON`
runs a program as the CLI's language host does; its exit code is 0 for success, 1 for a `pulumi.RunError`, and 32 for
any other failure, whose message has been logged.
"""

import asyncio
import json
import logging
import os
import runpy
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def _die_with_the_engine() -> None:
    """Exit when stdin closes: the engine holds its other end, so that happens even when the engine is killed."""
    engine = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)

    def watch() -> None:
        os.read(engine, 1)
        os._exit(1)

    threading.Thread(target=watch, name="engine-watch", daemon=True).start()


def _run(settings: dict[str, object]) -> int:
    import pulumi  # not at the top: the host must not find more modules loaded than the SDK loads for it
    import pulumi.runtime

    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))  # type: ignore[arg-type]
    if not Path("__main__.py").exists():
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{Path.cwd()}`")
        return 32
    sys.argv = ["."]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(max_workers=max(pulumi.runtime.settings.SETTINGS.parallel or 1, 1) * 4)
    loop.set_default_executor(threads)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed run leaves futures behind on purpose

    def run_path() -> None:
        runpy.run_path(".", run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run_path))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + traceback.format_exc())
        return 32
    finally:
        threads.shutdown(wait=True)
        loop.close()
    return 0


if __name__ == "__main__":
    _die_with_the_engine()
    sys.path[0] = str(Path.cwd())  # instead of this folder, whose modules would shadow others
    if sys.argv[1] == "host":
        sys.argv = ["pulumi.dynamic", *sys.argv[2:]]
        runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
    else:
        code = _run(json.loads(sys.argv[2]))
        sys.stdout.flush()
        sys.stderr.flush()
        sys.exit(code)
