"""Stacks and their runs as in Pulumi; `rules` judges every step.

A run is a new process with new Operations. Every fleet is checked, compared, and created or updated in the program's
order; fleets that the program no longer declares are deleted last. State is recorded after each step, as JSON. After a
failure the rest is skipped unless the run goes on. The engine stand-in does the same with processes.
"""

import copy
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keyfactor_provider.dynamic import forms
from keyfactor_provider.errors import CommandError, ReenrollmentFailed
from tests.model import rules
from tests.model.command import Client, World
from tests.model.rules import RESTING, Ghost, Step
from tests.support.plain import Plain

_numbers = itertools.count()

BETWEEN_RUNS = 120.0
"""Seconds, longer than Command may show the flag from before a request."""


@dataclass
class Fleet:
    """A fleet as the program declares it; `spelling` varies the form and order of its GUIDs."""

    name: str
    ids: frozenset[str]
    status: str = "Requested"
    triggers: str = ""
    on_removal: str = "unset"
    on_failure: str = "error"
    alias: str = ""
    delete_first: bool = False
    spelling: int = 0

    def raw(self, preview: bool) -> dict[str, Any]:
        spellings = (str, str.upper, "{{{}}}".format)
        ids = sorted(self.ids, reverse=bool(self.spelling % 2))
        written = [spellings[(self.spelling + place) % 3](agent_id) for place, agent_id in enumerate(ids)]
        numbers = {"None": 0.0, "Requested": 1.0, "Required": 2.0}
        return {
            "fleet": self.name,
            "orchestrator_ids": written + written[: self.spelling % 2],
            "status": numbers[self.status] if self.spelling % 3 else self.status,
            "triggers": {"round": self.triggers} if self.triggers else (None, {})[self.spelling % 2],
            "on_removal": self.on_removal,
            "on_failure": self.on_failure,
            "preview": preview,
        }


@dataclass
class Kept:
    """A fleet in a stack's state.

    Attributes:
        ghosts: the members as they must be recorded by the rules.
        version: of the world when it was last read.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    ghosts: dict[str, Ghost]
    version: int


@dataclass
class Ran:
    """The result of a run: whether it failed, and every (status, GUID) that it posted."""

    failed: bool = False
    posted: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass
class Stack:
    """A stack: its program and its state.

    Attributes:
        succeeded: the world's version and the program at the last successful `up`, unless a refresh has shown a
            change since.
        excused: members whose flag may be set without an owner, because it was retained.
    """

    name: str
    world: World
    program: list[Fleet] = field(default_factory=list)
    state: dict[str, Kept] = field(default_factory=dict)
    succeeded: tuple[int, list[Fleet]] | None = None
    excused: set[str] = field(default_factory=set)

    def preview(self, faults: Sequence[str] = ()) -> Ran:
        return Run(self, faults).preview()

    def up(self, faults: Sequence[str] = (), **options: Any) -> Ran:
        quiet = self.succeeded == self._now()
        ran = Run(self, faults, **options).up()
        if quiet and not options.get("replaced"):
            assert not ran.posted, "an up after a successful one posted, without a change from outside"
            assert not ran.failed
        self.succeeded = self._now() if self._healthy() and not ran.failed else None
        return ran

    def _healthy(self) -> bool:
        return all(ghost.phase in RESTING for kept in self.state.values() for ghost in kept.ghosts.values())

    def _now(self) -> tuple[int, list[Fleet]]:
        return self.world.version, [replace(fleet, spelling=0) for fleet in self.program]

    def refresh(self, faults: Sequence[str] = ()) -> Ran:
        ran = Run(self, faults).refresh()
        if not self._healthy():
            self.succeeded = None
        return ran

    def destroy(self, faults: Sequence[str] = ()) -> Ran:
        run = Run(self, faults)
        self.succeeded = None
        run.delete(reversed(list(self.state)))
        return run.ran


class Run:
    """One run of a stack.

    Args:
        goes_on: `--continue-on-error`.
        replace: names of fleets that `--replace` names.
        late: all fleets are compared before the first one's step is carried out, as steps may overlap.
        stops_after: so many steps, the engine is interrupted.
    """

    def __init__(
        self,
        stack: Stack,
        faults: Sequence[str],
        *,
        goes_on: bool = False,
        replaced: Iterable[str] = (),
        late: bool = False,
        stops_after: int = 99,
    ) -> None:
        self.stack, self.world = stack, stack.world
        self.goes_on, self.replaced, self.late, self.steps_left = goes_on, frozenset(replaced), late, stops_after
        self.client = Client(stack.world, stack.name, faults)
        stack.world.time.seconds += BETWEEN_RUNS
        self.operations = Plain(self.client.connect, lambda _message: None, stack.world.time)
        self.ran = Ran()
        self._view: dict[str, Any] = {}
        self._down = False
        self._held: dict[str, frozenset[str]] = {}
        self._claimed: dict[str, str] = {}

    def preview(self) -> Ran:
        """Check and diff of every fleet; nothing else is called."""
        before = copy.deepcopy(self.world)
        for fleet in self.stack.program:
            inputs = self._check(fleet, preview=True)
            kept = self._old(fleet)
            if kept is not None and self._diff(kept, inputs):
                self.ran.changed.append(fleet.name)
        assert self.world == before, "a preview changed Command"
        self.ran.changed += self._condemned()
        return self.ran

    def up(self) -> Ran:
        todo = []
        for fleet in self.stack.program:
            if self._over():
                return self.ran
            inputs = self._check(fleet, preview=False)
            todo.append((fleet, inputs, self._compare(fleet, inputs)))
            if not self.late:
                self._carry_out(*todo.pop())
        for each in todo:
            if not self._over():
                self._carry_out(*each)
        self.delete(self._condemned())
        return self.ran

    def refresh(self) -> Ran:
        before = copy.deepcopy(self.world)
        for name, kept in list(self.stack.state.items()):
            try:
                outputs, inputs = self.operations.read(kept.outputs)
            except CommandError:
                self.ran.failed = True
                self._take_in_readings()  # of those before the one that failed
                continue
            ghosts = {}
            self._take_in_readings()
            for agent_id, ghost in kept.ghosts.items():
                shown = self._view[agent_id]
                if ghost.phase != "leaving":
                    ghosts[agent_id], _ = rules.after_reading(ghost, shown)
                elif shown is not None and shown.flag in ghost.ours:
                    ghosts[agent_id] = replace(ghost, ours=frozenset({shown.flag}))
            drifted = {
                agent_id: self._view[agent_id].flag if ghost.phase in ("cleared", "changed") else ghost.desired
                for agent_id, ghost in ghosts.items()
                if ghost.phase != "leaving"
            }
            assert inputs["orchestrators"] == drifted, "a refresh shows drift for the changed and cleared, no others"
            self._keep(name, inputs, outputs, ghosts)
        assert self.world == before, "a refresh changed Command"
        return self.ran

    def delete(self, names: Iterable[str]) -> None:
        for name in list(names):
            if not self._over():
                self._delete(name)

    # Steps

    def _check(self, fleet: Fleet, *, preview: bool) -> dict[str, Any]:
        kept = self._old(fleet)
        checked = self.operations.check(fleet.raw(preview), kept.inputs if kept else {}, preview=preview)
        assert not checked.problems
        assert checked.desired is not None
        self._take_in_readings()
        self._claimed |= dict.fromkeys(fleet.ids, fleet.name)
        return through_json(forms.inputs(checked.desired))

    def _diff(self, kept: Kept, inputs: dict[str, Any]) -> bool:
        changes = self.operations.diff(kept.outputs, inputs)
        assert not self._events(), "diff called Command"
        if not changes:
            self._hold(inputs["fleet"], kept.ghosts)
            self._would_post_nothing(kept, inputs)
        return changes

    def _would_post_nothing(self, kept: Kept, inputs: dict[str, Any]) -> None:
        """Assert that an update without a diff would post nothing, unless something was changed from outside."""
        if kept.version != self.world.version:
            return
        client = Client(copy.deepcopy(self.world), self.stack.name)
        Plain(client.connect, lambda _message: None, client.world.time).update(kept.outputs, inputs)
        assert all(event.kind == "read" for event in client.events), "an update without a change posted"

    def _compare(self, fleet: Fleet, inputs: dict[str, Any]) -> str:
        kept = self._old(fleet)
        if kept is None:
            return "create"
        if fleet.name in self.replaced and fleet.name in self.stack.state:
            return "replace"
        return "update" if self._diff(kept, inputs) else "same"

    def _carry_out(self, fleet: Fleet, inputs: dict[str, Any], doing: str) -> None:
        kept = self._old(fleet)
        if fleet.alias in self.stack.state and fleet.name not in self.stack.state:
            self.stack.state = {
                fleet.name if name == fleet.alias else name: each for name, each in self.stack.state.items()
            }
        if doing == "same":
            assert kept is not None
            kept.inputs = inputs
            return
        self.steps_left -= 1
        if doing == "replace" and fleet.delete_first:
            self._delete(fleet.name)
            if fleet.name in self.stack.state:
                return
            if self._over():
                return
        old = kept if doing == "update" else None
        outputs = self.operations.update(old.outputs, inputs) if old else self.operations.create(inputs)
        before = old.ghosts if old else {}
        triggers_then = (old.outputs["triggers"] if old else {}).get("round", "")
        staying = {
            agent_id: rules.entered(before.get(agent_id), fleet.status, bool(old) and triggers_then != fleet.triggers)
            for agent_id in fleet.ids
        }
        step = self._follow(staying, self._goers(before, fleet.ids, fleet.on_removal))
        self._never_again(old, fleet, step)
        self._keep(fleet.name, inputs, outputs, step.staying | step.leaving)
        self._hold(fleet.name, step.staying)
        phases = {ghost.phase for ghost in [*step.staying.values(), *step.leaving.values()]}
        if phases - set(RESTING) or outputs["trouble"]:
            self.ran.failed = self.ran.failed or fleet.on_failure == "error"
        if doing == "replace" and not fleet.delete_first:
            assert kept is not None
            self.stack.state[f"{fleet.name} replaced {next(_numbers)}"] = kept

    def _never_again(self, old: Kept | None, fleet: Fleet, step: Step) -> None:
        """Assert, from the recorded state alone, that no re-enrolled member was requested again."""
        if old is None or old.outputs["triggers"] != ({"round": fleet.triggers} if fleet.triggers else {}):
            return
        if "None" in (old.outputs["status"], fleet.status):
            return
        done = {one for one, member in old.outputs["members"].items() if member["phase"] == "re-enrolled"}
        assert not done & {agent_id for status, agent_id in step.asked if status != "None"} & fleet.ids

    def _delete(self, name: str) -> None:
        self.steps_left -= 1
        kept = self.stack.state[name]
        try:
            self.operations.delete(kept.outputs)
            failed = False
        except ReenrollmentFailed as error:
            failed = True
            said = str(error)
        leaving = self._goers(kept.ghosts, (), kept.outputs["on_removal"])
        step = self._follow({}, leaving)
        assert failed == bool(step.leaving)
        if failed:
            self.ran.failed = True
            assert all(agent_id in said for agent_id in step.leaving)
        else:
            del self.stack.state[name]

    def _goers(self, ghosts: dict[str, Ghost], staying: Iterable[str], on_removal: str) -> dict[str, Ghost]:
        """The removed members whose flag must be read: without flags that another fleet of the run owns."""
        goers = {}
        for agent_id in ghosts.keys() - set(staying):
            left = ghosts[agent_id].ours - self._held.get(agent_id, frozenset())
            if on_removal == "retain":
                self.stack.excused.add(agent_id)
            elif left or agent_id not in self._held:
                goers[agent_id] = replace(ghosts[agent_id], ours=left)
        return goers

    def _follow(self, staying: dict[str, Ghost], leaving: dict[str, Ghost]) -> Step:
        step = Step(dict(staying), dict(leaving), self._view, self._down)
        step.follow(self._events())
        self._down = step.down
        self.ran.posted += step.asked
        return step

    def _hold(self, name: str, ghosts: dict[str, Ghost]) -> None:
        for agent_id, ghost in ghosts.items():
            if self._claimed.get(agent_id) == name:
                self._held[agent_id] = ghost.ours

    def _keep(self, name: str, inputs: dict[str, Any], outputs: dict[str, Any], ghosts: dict[str, Ghost]) -> None:
        outputs = through_json(outputs)
        assert {agent_id: recorded(member) for agent_id, member in outputs["members"].items()} == ghosts
        self.stack.excused -= {agent_id for agent_id, ghost in ghosts.items() if ghost.ours}
        self.stack.state[name] = Kept(through_json(inputs), outputs, ghosts, self.world.version)

    # What a process knows

    def _old(self, fleet: Fleet) -> Kept | None:
        return self.stack.state.get(fleet.name) or self.stack.state.get(fleet.alias)

    def _condemned(self) -> list[str]:
        kept = {fleet.name for fleet in self.stack.program}
        return [name for name in self.stack.state if name not in kept]

    def _over(self) -> bool:
        if self.steps_left <= 0:
            self.ran.failed = True
            return True
        return self.ran.failed and not self.goes_on

    def _events(self) -> list[Any]:
        events, self.client.events = self.client.events, []
        return events

    def _take_in_readings(self) -> None:
        for event in self._events():
            assert event.kind.startswith("read"), "requested without a step"
            self._view |= event.shown


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    """The value as an engine records it: numbers are floats, and None is left out."""
    parsed: dict[str, Any] = json.loads(json.dumps(value), parse_int=float)
    return {key: item for key, item in parsed.items() if item is not None}


def recorded(member: dict[str, Any]) -> Ghost:
    """A member of a recorded state."""
    baseline = member.get("baseline_thumbprint", rules.UNSEEN)
    return Ghost(
        member["status"],
        member["phase"],
        baseline or None,
        member.get("requested_status", ""),
        frozenset(member.get("owned_flags", ())),
    )
