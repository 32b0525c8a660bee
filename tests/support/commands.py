"""A stand-in for Command for each test, without a new process for each."""

import atexit
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from keyfactor_standins.command.process import Command, start

_idle: defaultdict[tuple[str, ...], list[Command]] = defaultdict(list)
"""The stand-ins that no test uses, by their options."""


@contextmanager
def fresh(orchestrators: int, *options: str) -> Iterator[Command]:
    """A stand-in with this many orchestrators, as after its start; other tests use its process before and after.

    Args:
        options: of its command line, such as `--seed`.
    """
    idle = _idle[options]
    command = idle.pop() if idle else start("--orchestrators", "0", *options)
    command.clear()
    command.world(populate=orchestrators)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            idle.append(command)


@atexit.register
def _end() -> None:
    for command in (command for commands in _idle.values() for command in commands):
        command.close()
