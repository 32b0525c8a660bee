"""What every child of the engine begins with; a script, run by the program's interpreter, importing no engine.

`child.py host [FLAG ...] ADDRESS` becomes the SDK's provider host, `python -u -m pulumi.dynamic [FLAG ...] ADDRESS`.
`child.py program JSON` runs a program as the CLI's language host does, and tells by its exit code how that ended:
0 done, 32 failed and said so, 1 failed with a message (`pulumi.RunError`).
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
    """The engine holds the other end of stdin: it closes when the engine ends, also when that is killed."""
    engine = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)

    def watch() -> None:
        os.read(engine, 1)
        os._exit(1)

    threading.Thread(target=watch, name="engine-watch", daemon=True).start()


def _user_traceback(program: Path) -> str:
    entry = program / "__main__.py" if program.is_dir() else program
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if Path(frame.filename).resolve() == entry:
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def _run(program: str, settings: dict[str, object]) -> int:
    import pulumi  # here: the host must not find more modules loaded than the SDK loads for it
    import pulumi.runtime

    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))  # type: ignore[arg-type]
    location = Path(program).resolve()
    if location.is_dir() and not (location / "__main__.py").exists():
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{location}`")
        return 32
    sys.argv = [program]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(max_workers=max(pulumi.runtime.settings.SETTINGS.parallel or 1, 1) * 4)
    loop.set_default_executor(threads)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed run leaves futures behind on purpose

    def run_path() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run_path))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _user_traceback(location))
        return 32
    finally:
        threads.shutdown(wait=True)
        loop.close()
    return 0


if __name__ == "__main__":
    _die_with_the_engine()
    sys.path[0] = str(Path.cwd())  # not this folder: its modules must not shadow others
    if sys.argv[1] == "host":
        sys.argv = ["pulumi.dynamic", *sys.argv[2:]]
        runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
    else:
        given = json.loads(sys.argv[2])
        code = _run(given.pop("program"), given)
        sys.stdout.flush()
        sys.stderr.flush()
        sys.exit(code)
