"""Runs of the Pulumi CLI: one fleet of 100 next to a resource that does nothing, and fleets of several sizes."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.idle import FLEET, IDLE
from bench.measure import Goal, Pairs, Row, Section, in_turns
from bench.stack import Stack
from keyfactor_standins.command.process import running

HOW = """The wall time of the Pulumi CLI: `up --skip-preview`, `preview --expect-no-changes` and `refresh
--skip-preview` of a stack with one fleet of 100 members in which nothing changes; next to a stack with one dynamic
resource that has the same name and arguments and whose provider does nothing. In pairs, the order reversed each time;
every run has to end with exit code 0. What one run costs: a stack of one fleet of all that Command has, with 10,000
orchestrators at most; each repetition requests the other status. The requests are counted in Command's journal."""

_MEMBERS, _REPETITIONS = 100, 9
_COMMANDS = (("up",), ("preview", "--expect-no-changes"), ("refresh",))
_SIZES = (100, 1_000, 10_000)


def cli() -> Section:
    """The whole section; empty where there is no Pulumi CLI."""
    if shutil.which("pulumi") is None:
        return Section("The Pulumi CLI", f"{HOW} There was no pulumi on the PATH: nothing was measured.", [])
    return Section("The Pulumi CLI", HOW, [*_over_idle(), *(row for size in _SIZES for row in _costs(size))])


def _over_idle() -> Iterator[Row]:
    with running("--orchestrators", str(_MEMBERS)) as command, TemporaryDirectory() as folder:
        stacks = []
        for module, resource in (FLEET, IDLE):
            stack = Stack(Path(folder) / resource, command, module, resource, cli=True)
            stack.declare([{"name": "edge", "orchestrator_ids": command.ids(), "status": "Requested"}])
            stack.run("up")
            stacks.append(stack)
        assert set(command.flags().values()) == {"Requested"}
        for line in _COMMANDS:
            pairs = Pairs(*in_turns([partial(stack.run, *line) for stack in stacks], _REPETITIONS))
            what = f"no-change {line[0]}, a fleet of {_MEMBERS}: over idle"
            yield Row(what, pairs.ratios(), "x", Goal("at most", 1.15), pairs.aside())


def _costs(size: int) -> Iterator[Row]:
    times: dict[str, list[float]] = {}
    requests: dict[str, str] = {}
    with running("--orchestrators", str(size)) as command, TemporaryDirectory() as folder:
        stack, ids = Stack(Path(folder) / "stack", command, *FLEET, cli=True), command.ids()
        for repetition in range(3):
            status = ("Requested", "Required")[repetition % 2]
            stack.declare([{"name": "edge", "orchestrator_ids": ids, "status": status}])
            for what, line in zip(("up that requests all", "no-change preview", "refresh"), _COMMANDS, strict=True):
                command.forget()
                times.setdefault(what, []).append(stack.run(*line))
                methods = [entry["method"] for entry in command.journal()]
                requests[what] = f"{methods.count('GET')} reads, {methods.count('POST')} posts"
    for what, taken in times.items():
        yield Row(f"{what}, one fleet of {size:,}", taken, "s", aside=requests[what])
