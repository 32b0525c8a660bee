"""All front ends request and record the same: one table is run through each of them.

All rows are fleets of one program, so that each step is one run.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.plugin.names import ARGUMENTS
from keyfactor_standins.command import environment
from keyfactor_standins.command.process import Command
from tests.support import pluginhost
from tests.support.commands import fresh
from tests.support.modules import BINARIES, Module
from tests.support.plugin import Resource, plugin
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, Stack
from tests.terraform.outcomes import GHOST, ROWS, Step

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

Fleets = Mapping[str, Mapping[str, Any]]
Phases = Mapping[str, Mapping[str, str]]
Run = Callable[[Fleets], Phases]
"""Refreshes and runs a program with these fleets; returns the recorded phases of each fleet."""

_SIZE = 4


class _Cast:
    """Assigns orchestrators to the numbers in the rows."""

    def __init__(self, command: Command) -> None:
        self._command, self._ids = command, command.ids()

    def id(self, row: int, member: int) -> str:
        """A member's GUID."""
        return f"00000000-0000-4000-8000-{row:012}" if member == GHOST else self._ids[row * _SIZE + member]

    def prepare(self, steps: Mapping[int, Step], run: int) -> None:
        """Sets up a run: faults, the events before it, and an hour since the last run."""
        rows = list(steps.items())
        self._command.faults(
            refused=[self.id(row, member) for row, step in rows for member in step.refused],
            rejected=[self.id(row, member) for row, step in rows for member in step.rejected],
        )
        self._command.world(
            now=f"2027-01-01T{run:02}:00:00Z",
            reenroll=[self.id(row, member) for row, step in rows for member in step.reenroll],
            change={self.id(row, each): {"flag": flag} for row, step in rows for each, flag in step.change.items()},
            add=[
                {"agent_id": self.id(row, GHOST), "client_machine": "late", "status": 2, "thumbprint": "AB" * 20}
                for row, step in rows
                if step.appear
            ],
        )
        self._command.forget()

    def posts(self, row: int) -> list[tuple[int, tuple[int, ...]]]:
        """The posts for members of a row since then."""
        numbers = {self.id(row, member): member for member in (*range(_SIZE), GHOST)}
        return [
            (status, tuple(sorted(numbers[member] for member in ids)))
            for status, ids in self._command.posts()
            if ids[0] in numbers
        ]


def _pulumi(engine: str) -> Callable[[Command, Path], Run]:
    def made(command: Command, folder: Path) -> Run:
        stack = Stack(engine, folder, command)

        def run(fleets: Fleets) -> Phases:
            stack.fleets(*({"name": name, **fleet} for name, fleet in fleets.items()))
            stack.run("up", "--refresh", "--continue-on-error")
            return {name: stack.phases(name) for name in fleets}

        return run

    return made


def _terraform(binary: str) -> Callable[[Command, Path], Run]:
    def start(command: Command, folder: Path) -> Run:
        module = Module(binary, folder, command)

        def run(fleets: Fleets) -> Phases:
            module.fleets(*({"name": name, **fleet} for name, fleet in fleets.items()))
            ran = module.run("apply")
            assert "This is a bug in the provider" not in ran.text, ran.text
            assert module.tainted() == []
            return {name: module.phases(name) for name in fleets}

        return run

    return start


def _protocol(command: Command, _folder: Path) -> Run:
    resources: dict[str, Resource] = {}

    def run(fleets: Fleets) -> Phases:
        with plugin(command.environment()) as started:
            for name in resources.keys() - fleets.keys():
                resources.pop(name).destroy(started)
            for name, fleet in fleets.items():
                resources.setdefault(name, Resource()).up(started, **fleet)
        return {name: resource.phases() for name, resource in resources.items()}

    return run


def _native(command: Command, _folder: Path) -> Run:
    resources: dict[str, pluginhost.Resource] = {}

    def run(fleets: Fleets) -> Phases:
        with pluginhost.plugin(command.environment()) as started:
            gone = [resources.pop(name) for name in resources.keys() - fleets.keys()]
            for name, fleet in fleets.items():
                resource = resources.setdefault(name, pluginhost.Resource(name=name))
                with suppress(pluginhost.InitFailed):
                    resource.up(started, **{ARGUMENTS[argument]: value for argument, value in fleet.items()})
            # Like the engine, delete resources that are gone from the program last.
            for resource in gone:
                resource.destroy(started)
        return {name: resource.phases() for name, resource in resources.items()}

    return run


PATHS = [
    pytest.param(_native, id="the native plugin's protocol"),
    pytest.param(_pulumi("standin"), id="pulumi on the stand-in"),
    pytest.param(_pulumi("pulumi"), id="pulumi", marks=pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)),
    pytest.param(_protocol, id="the plugin's protocol"),
    *(
        pytest.param(_terraform(binary.values[0]), id=binary.values[0], marks=binary.marks)  # type: ignore[arg-type]
        for binary in BINARIES
    ),
]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_requests_and_records_the_same(
    path: Callable[[Command, Path], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With `auto`, the calls that one fleet makes would depend on which other one was accepted before.
    fixed = {"KEYFACTOR_STATUS_ENCODING": "integer"}
    monkeypatch.setattr(Command, "environment", lambda self: environment(self.said) | fixed)
    with fresh(len(ROWS) * _SIZE) as command:
        cast, run = _Cast(command), path(command, tmp_path)
        for place in range(max(map(len, ROWS.values()))):
            steps = {row: each[place] for row, each in enumerate(ROWS.values()) if place < len(each)}
            last = {row: steps.get(row, each[-1]) for row, each in enumerate(ROWS.values())}
            cast.prepare(steps, place)
            phases = run(
                {
                    f"row{row}": {
                        "orchestrator_ids": [cast.id(row, int(member)) for member in step.members],
                        "status": step.status,
                        **({"canary_ids": [cast.id(row, member) for member in step.canaries]} if step.canaries else {}),
                        **step.more,
                    }
                    for row, step in last.items()
                    if step.members
                }
            )
            for row, name in enumerate(ROWS):
                expected = steps[row].posts if row in steps else []
                assert cast.posts(row) == expected, f"{name}, run {place + 1}"
                recorded = {cast.id(row, member): phase for member, phase in last[row].phases.items()}
                assert phases.get(f"row{row}", {}) == recorded, f"{name}, run {place + 1}"
