"""Random histories of orchestrators, programs and runs, and the checks after each run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.command import BOTH, IDS, POSTS, World
from tests.model.rules import RESTING
from tests.model.runs import Fleet, Stack

ID = st.sampled_from(IDS)
NAMES = ("edge", "rim", "core")
NAME = st.sampled_from(NAMES)
STATUS = st.sampled_from(("Requested", "Requested", "Required", "None"))
FAULTS = st.lists(st.sampled_from(BOTH + POSTS + ("fine",) * 8), max_size=6)
FLAG = st.sampled_from(("None", "None", "Requested", "Required", "Postponed"))
HAPPENS = st.sampled_from(
    ("reenroll", "reenroll", "issue", "renew", "reset", "remove", "add", "approve", "doubt", "use")
)
CHANGE: st.SearchStrategy[dict[str, Any]] = st.one_of(
    STATUS.map(lambda status: {"status": status}),
    st.sampled_from(("", "2", "3")).map(lambda triggers: {"triggers": triggers}),
    st.sampled_from(("unset", "retain")).map(lambda option: {"on_removal": option}),
    st.sampled_from(("error", "warn")).map(lambda option: {"on_failure": option}),
    st.booleans().map(lambda option: {"delete_first": option}),
)
SMALL = st.frozensets(ID, min_size=1, max_size=4)


class Fleets(RuleBasedStateMachine):
    """One or two stacks and their world, with everything that can happen to both."""

    def setting(self, names: Sequence[str]) -> tuple[World, list[Any]]:
        """A world without orchestrators, and stacks without fleets."""
        world = World()
        return world, [Stack(name, world) for name in names]

    @initialize(
        lacking=st.sets(ID, max_size=2), bare=st.sets(ID, max_size=2), ids=SMALL, status=STATUS, both=st.booleans()
    )
    def begin(self, lacking: set[str], bare: set[str], ids: frozenset[str], status: str, both: bool) -> None:
        self.world, self.stacks = self.setting(("north", "south")[: 1 + both])
        for agent_id in IDS:
            if agent_id not in lacking:
                self.world.add(agent_id, certificate=agent_id not in bare)
        for stack in self.stacks:
            stack.program.append(Fleet("edge", ids, status))

    # What happens to orchestrators.

    @rule(agent_id=ID, how=HAPPENS)
    def an_orchestrator_moves_on(self, agent_id: str, how: str) -> None:
        agent = self.world.agents.get(agent_id)
        if agent is None:
            if how == "add":
                self.world.add(agent_id)
            return
        self.world.version += 1
        if how == "reenroll":
            self.world.reenroll(agent_id)
        elif how == "issue":
            self.world.reenroll(agent_id, used=False)
        elif how == "use":
            agent.last_used, agent.legacy = agent.thumbprint, None
        elif how == "renew":
            self.world.renew(agent_id)
        elif how == "reset":
            self.world.reset(agent_id)
        elif how == "remove":
            self.world.remove(agent_id)
        else:
            agent.approved = how == "approve"

    @rule(agent_id=ID, flag=FLAG)
    def somebody_sets_a_flag(self, agent_id: str, flag: str) -> None:
        if agent_id in self.world.agents:
            self.world.set_flag(agent_id, flag)

    @rule(agent_id=ID)
    def everybody_reenrolls_but(self, agent_id: str) -> None:
        for other_id in self.world.agents.keys() - {agent_id}:
            self.world.reenroll(other_id)

    @rule(refused=st.sets(ID, max_size=2), rejected=st.sets(ID, max_size=1))
    def command_refuses(self, refused: set[str], rejected: set[str]) -> None:
        self.world.refused, self.world.rejected = refused, rejected

    # What happens to programs.

    def _stack(self, number: int) -> Stack:
        stack: Stack = self.stacks[number % len(self.stacks)]
        return stack

    @rule(number=st.integers(0, 1), place=st.integers(0, 2), change=CHANGE, spelling=st.integers(0, 5))
    def a_fleet_is_edited(self, number: int, place: int, change: dict[str, Any], spelling: int) -> None:
        program = self._stack(number).program
        if place < len(program):
            program[place] = replace(program[place], **change, spelling=spelling)

    @rule(number=st.integers(0, 1), name=NAME, agent_id=ID)
    def a_member_moves(self, number: int, name: str, agent_id: str) -> None:
        """Move a member into a fleet, or out of it."""
        program = self._stack(number).program
        has_it = any(fleet.name == name and agent_id in fleet.ids for fleet in program)
        self._claim(program, agent_id)
        if not has_it:
            program[:] = [
                replace(fleet, ids=fleet.ids | {agent_id}) if fleet.name == name else fleet for fleet in program
            ]

    @staticmethod
    def _claim(program: list[Fleet], *ids: str) -> None:
        """Remove members from their fleets, and fleets without members from the program."""
        program[:] = [replace(fleet, ids=fleet.ids - set(ids)) for fleet in program if fleet.ids - set(ids)]

    @rule(number=st.integers(0, 1), name=NAME, ids=SMALL, status=STATUS, first=st.booleans())
    def a_fleet_is_declared(self, number: int, name: str, ids: frozenset[str], status: str, first: bool) -> None:
        program = self._stack(number).program
        if name not in {each for fleet in program for each in (fleet.name, fleet.alias)}:
            self._claim(program, *ids)
            program.insert(0 if first else len(program), Fleet(name, ids, status))

    @rule(number=st.integers(0, 1), name=NAME)
    def a_fleet_is_dropped(self, number: int, name: str) -> None:
        program = self._stack(number).program
        program[:] = [fleet for fleet in program if fleet.name != name]

    @rule(number=st.integers(0, 1), old=NAME, new=NAME, aliased=st.booleans())
    def a_fleet_is_renamed(self, number: int, old: str, new: str, aliased: bool) -> None:
        stack = self._stack(number)
        taken = {each for fleet in stack.program for each in (fleet.name, fleet.alias)} | stack.state.keys()
        if new not in taken:
            stack.program[:] = [
                replace(fleet, name=new, alias=old if aliased else "") if fleet.name == old else fleet
                for fleet in stack.program
            ]

    # Runs.

    @rule(number=st.integers(0, 1), faults=FAULTS)
    def preview(self, number: int, faults: list[str]) -> None:
        self._stack(number).preview(faults)

    @rule(
        number=st.integers(0, 1),
        faults=FAULTS,
        goes_on=st.booleans(),
        replaced=st.one_of(st.just(()), st.just(()), st.tuples(NAME)),
        late=st.booleans(),
        stops_after=st.sampled_from((99, 99, 99, 1, 2)),
    )
    def up(self, number: int, faults: list[str], **options: Any) -> None:
        self._stack(number).up(faults, **options)
        self._nothing_unowned()

    @rule(number=st.integers(0, 1), faults=FAULTS)
    def refresh(self, number: int, faults: list[str]) -> None:
        self._stack(number).refresh(faults)
        self._nothing_unowned()

    @rule(number=st.integers(0, 1), faults=FAULTS)
    def destroy(self, number: int, faults: list[str]) -> None:
        self._stack(number).destroy(faults)
        self._nothing_unowned()

    def _nothing_unowned(self) -> None:
        """Assert that every flag set by a stack is owned by a fleet, so that it can be cleared later."""
        for agent_id, by in self.world.set_by.items():
            stack = next(stack for stack in self.stacks if stack.name == by)
            owned = any(
                self.world.agents[agent_id].flag in ghost.ours
                for kept in stack.state.values()
                if (ghost := kept.ghosts.get(agent_id))
            )
            assert owned or agent_id in stack.excused

    @precondition(lambda self: len(self.stacks) == 1)
    @rule()
    def when_the_faults_are_over_two_runs_converge(self) -> None:
        self.world.refused, self.world.rejected = set(), set()
        for agent_id in IDS:
            if agent_id not in self.world.agents:
                self.world.add(agent_id)
            self.world.agents[agent_id].approved = True
        (stack,) = self.stacks
        stack.refresh()
        if stack.up().failed:
            assert not stack.up().failed
        phases = {ghost.phase for kept in stack.state.values() for ghost in kept.ghosts.values()}
        assert phases <= set(RESTING)
        for fleet in stack.program:
            for agent_id, ghost in stack.state[fleet.name].ghosts.items():
                flag = self.world.agents[agent_id].flag
                assert flag == fleet.status or ghost.phase in ("re-enrolled", "unverified")
        assert stack.preview().changed == []
        assert stack.up().posted == []
