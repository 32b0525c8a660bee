"""Runs a Pulumi Python program in a process of its own; started through `launch.py`, imports nothing of the engine.

Does what the CLI's language host does (`sdk/python/cmd/pulumi-language-python-exec`): configures the SDK from its
arguments, runs the program inside a stack resource, and tells by its exit code how that ended: 0 done, 32 failed
and said so, 1 failed with a message (`pulumi.RunError`).
"""

import asyncio
import json
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi.runtime

ALREADY_REPORTED = 32


def _user_traceback(program: Path) -> str:
    """The traceback from the first frame of the user's program on, or all of it."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    entry = program / "__main__.py" if program.is_dir() else program
    for index, frame in enumerate(frames):
        if Path(frame.filename).resolve() == entry.resolve():
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def _run_path(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _run(program: str) -> int:
    location = Path(program).resolve()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threads = ThreadPoolExecutor(max_workers=max(pulumi.runtime.settings.SETTINGS.parallel or 1, 1) * 4)
    loop.set_default_executor(threads)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed run leaves futures behind on purpose
    if location.is_dir() and not (location / "__main__.py").exists():
        pulumi.log.error(f"unable to find main python program `__main__.py` in `{location}`")
        return ALREADY_REPORTED
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_path(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _user_traceback(location))
        return ALREADY_REPORTED
    finally:
        threads.shutdown(wait=True)
        loop.close()
    return 0


def main() -> int:
    """Run the program that the arguments describe, as JSON in the first one; the process's exit code."""
    given = json.loads(sys.argv[1])
    program = given.pop("program")
    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    pulumi.runtime.configure(pulumi.runtime.Settings(**given))
    sys.argv = [program]
    try:
        return _run(program)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
