"""Runs of the Pulumi CLI in which nothing changes: a fleet of 100 next to a dynamic resource that does nothing."""

import shutil
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
every run has to end with exit code 0."""

_MEMBERS, _REPETITIONS = 100, 9
_COMMANDS = (("up",), ("preview", "--expect-no-changes"), ("refresh",))


def cli() -> Section:
    """The whole section; empty where there is no Pulumi CLI."""
    if shutil.which("pulumi") is None:
        return Section("The Pulumi CLI", f"{HOW} There was no pulumi on the PATH: nothing was measured.", [])
    rows = []
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
            rows.append(Row(what, pairs.ratios(), "x", Goal("at most", 1.15), pairs.aside()))
    return Section("The Pulumi CLI", HOW, rows)
