"""The model's stacks on the whole path: program, SDK, engine stand-in, provider host, HTTP, Command stand-in.

Before a run the model's world is written to the stand-in, and after it the flags are read back. The calls of a run
cannot be followed from outside, so the checks are those that hold for any run.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keyfactor_standins.command.process import Command
from tests.model.command import World
from tests.model.rules import RESTING, Ghost
from tests.model.runs import BETWEEN_RUNS, Fleet, Ran, recorded
from tests.support.stacks import Ran as EngineRan
from tests.support.stacks import Stack

_FLAGS = ("None", "Requested", "Required")
_ASK = {"on": "POST /Agents/Set", "times": 1}
_FAULTS: dict[str, dict[str, Any]] = {
    "down": {"on": "", "act": "status", "status": 503, "times": 4},
    "forbidden": {"on": "", "act": "status", "status": 403, "times": 1},
    "lost": {**_ASK, "act": "reset"},
    "lost-applied": {**_ASK, "act": "reset", "applied": True},
    "garbled": {**_ASK, "act": "truncate"},
    "refused-all": {**_ASK, "act": "status", "status": 400},
}
"""The faults of the model that the stand-in for Command supports; others are skipped."""


@dataclass
class EngineWorld(World):
    """The model's world and the stand-in that plays it."""

    command: Command = field(kw_only=True)

    def push(self, faults: Sequence[str]) -> None:
        """Write the world to the stand-in, with unknown flags replaced."""
        there = set(self.command.ids())
        for agent in self.agents.values():
            agent.flag = agent.flag if agent.flag in _FLAGS else "Required"
        fields = {
            agent_id: {
                "thumbprint": agent.thumbprint,
                "last_thumbprint_used": agent.last_used,
                "legacy_thumbprint": agent.legacy,
                "flag": _FLAGS.index(agent.flag),
                "status": 2 if agent.approved else 1,
            }
            for agent_id, agent in self.agents.items()
        }
        new = [{"agent_id": agent_id, "client_machine": agent_id[-2:]} for agent_id in fields.keys() - there]
        self.command.world(remove=sorted(there - fields.keys()), add=new)
        self.command.world(change=fields, now=self.time().isoformat())
        given = [_FAULTS[fault] | {"skip": place // 2} for place, fault in enumerate(faults) if fault in _FAULTS]
        self.command.faults(faults=given, refused=sorted(self.refused), rejected=sorted(self.rejected))

    def pull(self, by: str) -> None:
        """Read the flags back after a run of the stack `by`."""
        for agent_id, flag in self.command.flags().items():
            if self.agents[agent_id].flag != flag:
                self.set_flag(agent_id, flag, by)


@dataclass
class Kept:
    """A fleet in an exported state."""

    outputs: dict[str, Any]
    ghosts: dict[str, Ghost]


_numbers = itertools.count()


class EngineStack:
    """A stack of the model, run by the engine stand-in; see `runs.Stack`."""

    def __init__(self, name: str, world: EngineWorld, folder: Path) -> None:
        self.name, self.world = name, world
        environment = {"KEYFACTOR_CLIENT_TIMEOUT": "1", "KEYFACTOR_BATCH_SIZE": "2"}
        self._stack = Stack("standin", folder / f"{name}-{next(_numbers)}", world.command, environment, name)
        self.program: list[Fleet] = []
        self.state: dict[str, Kept] = {}
        self.excused: set[str] = set()
        self._settled: Any = None

    def preview(self, faults: Sequence[str] = ()) -> Ran:
        if not self.state:  # a run takes seconds, and nothing can fail here
            return Ran()
        ran, made = self._run(faults, "preview", "--expect-no-changes")
        assert ran.posts == []
        made.changed = ["something"] if ran.exit_code == 7 else []
        return made

    def refresh(self, faults: Sequence[str] = ()) -> Ran:
        if not self.state:
            return Ran()
        ran, made = self._run(faults, "refresh")
        assert ran.posts == []
        return made

    def destroy(self, faults: Sequence[str] = ()) -> Ran:
        if not self.state:
            return Ran()
        _, made = self._run(faults, "destroy")
        assert not [status for status, _ in made.posted if status != "None"]
        return made

    def up(
        self, faults: Sequence[str] = (), *, goes_on: bool = False, replaced: Iterable[str] = (), **_other: Any
    ) -> Ran:
        before, undisturbed = self.state, self._settled == self._now()
        kind = "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"
        urns = [f"urn:pulumi:{self.name}::fleets::{kind}::{name}" for name in replaced if name in self.state]
        options = ["--continue-on-error"] * goes_on + [each for urn in urns for each in ("--replace", urn)]
        _, made = self._run(faults, "up", *options)
        asked = {agent_id for status, agent_id in made.posted if status != "None"}
        cleared = {agent_id for status, agent_id in made.posted if status == "None"}
        for fleet in self.program:
            old = before.get(fleet.name) or before.get(fleet.alias)
            if old is not None and fleet.name not in replaced and self._goes_on(fleet, old):
                done = {each for each, ghost in old.ghosts.items() if ghost.phase == "re-enrolled"}
                assert not done & asked & fleet.ids, "requested although recorded as re-enrolled in this round"
        resting = {each for kept in before.values() for each, ghost in kept.ghosts.items() if ghost.phase in RESTING}
        failed = {each for kept in before.values() for each, ghost in kept.ghosts.items() if ghost.phase not in RESTING}
        if undisturbed and not urns:
            assert not asked & (resting - failed), "members that had not failed were requested again"
        ours = {each for kept in before.values() for each, ghost in kept.ghosts.items() if ghost.ours}
        closed = {each for fleet in self.program if fleet.status == "None" for each in fleet.ids}
        assert cleared <= ours | closed | asked, "a flag was cleared that was not owned"
        self._settled = self._now()
        return made

    @staticmethod
    def _goes_on(fleet: Fleet, old: Kept) -> bool:
        same = old.outputs["triggers"] == ({"round": fleet.triggers} if fleet.triggers else {})
        return same and "None" not in (old.outputs["status"], fleet.status)

    def _now(self) -> Any:
        return self.world.version, [replace(fleet, spelling=0) for fleet in self.program]

    def _run(self, faults: Sequence[str], command: str, *options: str) -> tuple[EngineRan, Ran]:
        self._stack.fleets(*map(_declared, self.program))
        self.world.time.seconds += BETWEEN_RUNS
        self.world.push(faults)
        before = self.state
        ran = self._stack.run(command, *options)
        # The SDK prints a traceback for what a read or a delete raises; these have no other way to fail.
        no_choice = len(re.findall(r"provider\.(?:read|delete)\(", ran.text))
        assert ran.text.count("Traceback (most recent call last)") == no_choice, ran.text
        self.world.pull(self.name)
        self.state = dict(self._exported())
        if command != "preview":
            self._claims_no_more_than_is_true(before)
        for name, kept in before.items():
            after = self.state.get(name)
            if (after or kept).outputs["on_removal"] == "retain":
                self.excused |= kept.ghosts.keys() - (after.ghosts.keys() if after else set())
        failed = ran.exit_code not in (0, 7)
        posted = [(_named(status), each) for status, ids in ran.posts for each in ids]
        return ran, Ran(failed, posted)

    def _claims_no_more_than_is_true(self, before: Mapping[str, Kept]) -> None:
        """Check the phases that the run recorded anew; phases that it only kept say nothing about now."""
        carried_on = [each for kept in before.values() for each in kept.ghosts.items()]
        missing = {(agent_id, ghost.phase) for agent_id, ghost in carried_on if ghost.phase == "missing"}
        for agent_id, ghost in [each for kept in self.state.values() for each in kept.ghosts.items()]:
            agent = self.world.agents.get(agent_id)
            if (agent_id, ghost) in carried_on:
                continue
            if ghost.phase == "pending":
                assert agent is not None
                assert agent.flag == ghost.desired
            elif ghost.phase == "settled":
                assert agent is None or agent.flag == "None"
            elif ghost.phase == "missing":
                # A member that has appeared stays missing until its request is posted.
                assert agent is None or (agent_id, "missing") in missing

    def _exported(self) -> Iterable[tuple[str, Kept]]:
        for number, resource in enumerate(self._stack.export()["deployment"].get("resources", [])):
            if "keyfactor:" in resource["type"] and not resource.get("pendingReplacement"):
                name = resource["urn"].split("::")[-1] + (f" replaced {number}" if resource.get("delete") else "")
                outputs = resource["outputs"]
                yield name, Kept(outputs, {each: recorded(member) for each, member in outputs["members"].items()})


def _named(status: Any) -> str:
    """The name of a POST's status, whatever its encoding."""
    return status if status in _FLAGS else _FLAGS[int(status)]


def _declared(fleet: Fleet) -> dict[str, Any]:
    raw = {key: value for key, value in fleet.raw(preview=False).items() if key not in ("fleet", "preview")}
    aliases = {"aliases": [fleet.alias]} if fleet.alias else {}
    return {**raw, **aliases, "name": fleet.name, "delete_before_replace": fleet.delete_first}
