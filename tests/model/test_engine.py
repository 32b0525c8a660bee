"""The same machine on the whole path: a program, the SDK, an engine, a provider host, HTTP and Command.

A run takes seconds here, so histories are random: each day something happens, and one run follows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.model.command import BOTH, IDS, POSTS, World
from tests.model.engine import EngineStack, EngineWorld
from tests.model.machine import NAMES, Fleets

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        yield command


class Days:
    """A random history on the machine."""

    def __init__(self, command: Command, folder: Path, seed: int) -> None:
        self.chance = chance = Random(seed)

        class OnTheEngine(Fleets):
            def setting(self, names: Sequence[str]) -> tuple[World, list[Any]]:
                world = EngineWorld(command=command)
                return world, [EngineStack(name, world, folder) for name in names]

        self.machine = OnTheEngine()
        lacking, bare = set(chance.sample(IDS, 1)), set(chance.sample(IDS, 1))
        self.machine.begin(lacking, bare, self._some(), "Requested", seed % 3 == 2)
        self.machine.up(seed, self._faults())

    def pass_by(self, days: int) -> None:
        chance, machine = self.chance, self.machine
        for _ in range(days):
            number = chance.randrange(2)
            for _ in range(chance.randrange(4)):
                how = chance.choice(("reenroll", "reenroll", "issue", "use", "reset", "remove", "add", "doubt"))
                machine.an_orchestrator_moves_on(chance.choice(IDS), how)
            chance.choice((self._refuse, self._interfere, self._edit, self._move, self._declare, self._rename))(number)
            run = chance.choice((machine.up, machine.up, machine.up, machine.up, machine.refresh, machine.preview))
            goes_on = {"goes_on": chance.random() < 0.3} if run == machine.up else {}
            again = {"replaced": chance.sample(NAMES, 1)} if run == machine.up and chance.random() < 0.2 else {}
            run(number, self._faults(), **goes_on, **again)
        if chance.random() < 0.3:
            machine.destroy(number, self._faults())
        if len(machine.stacks) == 1:
            machine.when_the_faults_are_over_two_runs_converge()

    def _some(self) -> frozenset[str]:
        return frozenset(self.chance.sample(IDS, self.chance.randrange(1, 5)))

    def _faults(self) -> list[str]:
        return self.chance.choices((*BOTH, *POSTS, *["fine"] * 12), k=self.chance.randrange(5))

    def _refuse(self, _number: int) -> None:
        self.machine.command_refuses(set(self.chance.sample(IDS, 2)), set(self.chance.sample(IDS, 1)))

    def _interfere(self, _number: int) -> None:
        self.machine.somebody_sets_a_flag(
            self.chance.choice(IDS), self.chance.choice(("None", "Requested", "Required"))
        )

    def _edit(self, number: int) -> None:
        change = self.chance.choice(
            (
                {"status": "Required"},
                {"status": "None"},
                {"triggers": "2"},
                {"on_removal": "retain"},
                {"on_failure": "warn"},
                {"delete_first": True},
            )
        )
        self.machine.a_fleet_is_edited(number, 0, change, self.chance.randrange(6))

    def _move(self, number: int) -> None:
        self.machine.a_member_moves(number, self.chance.choice(NAMES), self.chance.choice(IDS))

    def _declare(self, number: int) -> None:
        first = self.chance.random() < 0.5
        self.machine.a_fleet_is_declared(number, self.chance.choice(NAMES), self._some(), "Requested", first)

    def _rename(self, number: int) -> None:
        old, new = self.chance.sample(NAMES, 2)
        self.machine.a_fleet_is_renamed(number, old, new, self.chance.random() < 0.5)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 3])
def test_runs_on_the_engine_keep_what_must_hold_of_any_run(command: Command, tmp_path: Path, seed: int) -> None:
    Days(command, tmp_path, seed).pass_by(5)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 140))
def test_runs_on_the_engine_keep_it_for_long(command: Command, tmp_path: Path, seed: int) -> None:
    Days(command, tmp_path, seed).pass_by(10)
