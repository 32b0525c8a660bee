"""One pass over one stack: turns registrations into steps, executes them, and records each in the store.

Everything runs on one asyncio loop. `_planning` lets one resource at a time be checked and planned, as in the CLI's
step generator; `_workers` limits how many steps run at once.
"""

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from keyfactor_standins.engine import planner
from keyfactor_standins.engine.display import Display, shown
from keyfactor_standins.engine.errors import StepError
from keyfactor_standins.engine.hooks import Hooks
from keyfactor_standins.engine.host import Host
from keyfactor_standins.engine.planner import (
    CREATE,
    DELETE,
    DELETE_REPLACED,
    PROVIDER_TYPE,
    REFRESH,
    REPLACE,
    SAME,
    STACK_TYPE,
    UPDATE,
    Goal,
    Resource,
    Step,
    now,
)
from keyfactor_standins.engine.store import Store
from keyfactor_standins.engine.wire import Properties, Secret, plain

PARALLEL = 4 * (os.cpu_count() or 1)
"""Steps at once, and what the program is told."""


@dataclass(frozen=True)
class Options:
    """Options of a pass; `mode` is update, refresh or destroy, `replace` holds URNs."""

    dry: bool
    mode: str = "update"
    continue_on_error: bool = False
    replace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registered:
    """The answer to a registration."""

    state: Resource
    done: bool = True
    unknown: bool = False


class Executor:
    """A pass over a stack; `host` is set before the first step."""

    host: Host

    def __init__(
        self,
        where: tuple[str, str],
        store: Store,
        resources: dict[int, Resource],
        provider: Resource,
        display: Display,
        options: Options,
    ) -> None:
        self.stack, self.project = where
        self.options = options
        self.failed = False
        self.halted = asyncio.Event()
        self.hooks = Hooks(options.dry, self.halted)
        self._store = store
        self._display = display
        self._provider = provider
        self._provider_recorded = False
        self._resources = resources
        self._olds = {resource.urn: resource for resource in resources.values() if not resource.delete}
        self._slots = {id(resource): slot for slot, resource in resources.items()}
        self._seen: set[str] = set()
        self._open: dict[str, Step] = {}
        self._stack_outputs: Properties | None = None
        self._held_back: set[str] = set()
        self._errored: list[str] = []
        self._hook_failed: set[str] = set()
        self._planning = asyncio.Lock()
        self._workers = asyncio.Semaphore(PARALLEL)
        self._tasks: set[asyncio.Task[Any]] = set()

    def urn(self, parent: str, kind: str, name: str) -> str:
        """A resource's URN in this stack."""
        return planner.make_urn(self.stack, self.project, parent, kind, name)

    async def register(self, goal: Goal) -> Registered | None:
        """Bring one resource to its goal; None when the run is ending."""
        # When the program dies, its calls are cancelled, but a step under way must still be recorded.
        task = asyncio.ensure_future(self._register(goal))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _register(self, goal: Goal) -> Registered | None:
        new = goal.new
        async with self._planning:
            if self.halted.is_set():
                return None
            try:
                steps = await self._plan(goal)
            except StepError as error:
                self.fail(str(error), new.urn)
                self.halt()
                return None
            if steps is None or new.needs() & self._held_back:
                self._held_back.add(new.urn)
                return Registered(new, done=steps is None, unknown=steps is None)
            await self._workers.acquire()
        try:
            for step in steps:
                if self.halted.is_set():
                    return None
                if not await self._execute(step):
                    return Registered(new, done=False) if self.options.continue_on_error else None
            if new.urn in self._hook_failed and not self.options.continue_on_error:
                return None
        finally:
            self._workers.release()
        return Registered(steps[-1].new or new)

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Record the outputs of a component; those of the stack wait for the end of the run.

        Raises:
            ValueError: the resource is not registered, or its outputs are recorded already.
        """
        step = self._open.get(urn)
        if step is None:
            raise ValueError(f"cannot complete a resource '{urn}' whose registration isn't pending")
        if step.about.type == STACK_TYPE:
            self._stack_outputs = outputs
        else:
            self._record_outputs(self._open.pop(urn).about, outputs)

    def _record_outputs(self, resource: Resource, outputs: Properties) -> None:
        if resource.outputs != outputs:
            resource.outputs = outputs
            self._store.put(resource, self._slots[id(resource)])

    def finish_outputs(self) -> None:
        """Record the stack's outputs: after a failed run, the old ones that it did not set stay."""
        step = next((step for step in self._open.values() if step.about.type == STACK_TYPE), None)
        if step is None or self._stack_outputs is None or self.options.mode == "destroy":
            return
        old = step.old.outputs if step.old is not None else {}
        new = {**old, **self._stack_outputs} if self.failed else self._stack_outputs
        # The CLI shows no outputs of a run that failed.
        if not self.failed:
            self._display.outputs(old, new)
        self._record_outputs(step.about, new)

    # Planning

    async def _plan(self, goal: Goal) -> list[Step] | None:
        """The steps for a resource; None where it is skipped, because it is new and this command creates nothing."""
        new = goal.new
        if new.urn in self._seen:
            raise StepError(f"Duplicate resource URN '{new.urn}'; try giving it a unique name")
        old = self._find_old(goal)
        self._seen.add(new.urn)
        if old is not None:
            new.created, new.modified = old.created, old.modified
        if not new.custom:
            return planner.plan(goal, old, changes=old is not None and plain(old.inputs) != plain(new.inputs))
        self._record_provider()
        new.provider = f"{self._provider.urn}::{self._provider.id}"
        if self.options.mode != "update":
            if old is None or new.needs() & self._held_back:
                return None
            return [Step(SAME, old, old)]
        if old is None:
            await self._check(new, {})
            return planner.plan(goal, None, changes=True)
        replaces = bool({new.urn, old.urn} & set(self.options.replace))
        await self._check(new, {} if replaces else old.inputs)
        changes = replaces or await self.host.diff(old, new.inputs, unknowns=self.options.dry)
        return planner.plan(goal, old, changes=changes, replaces=replaces)

    def _find_old(self, goal: Goal) -> Resource | None:
        urn = goal.new.urn
        if urn in self._olds:
            return self._olds[urn]
        for alias in planner.old_names(goal):
            if alias in self._olds:
                if alias in self._seen:
                    raise StepError(f"Duplicate resource alias '{alias}' applied to resource with URN '{urn}'")
                self._seen.add(alias)
                return self._olds[alias]
        return None

    async def _check(self, new: Resource, olds: Properties) -> None:
        new.inputs, failures = await self.host.check(new.urn, olds, new.inputs, unknowns=self.options.dry)
        where = f"{new.type} resource '{new.name}'"
        for failure in failures:
            name = failure.property
            at = f": property {name} value {{{shown(new.inputs.get(name))}}}" if name else ""
            self.fail(f"{where}{at} has a problem: {failure.reason}", new.urn)
        if failures:
            self.halt()
            raise StepError("")

    def _record_provider(self) -> None:
        if self._provider_recorded:
            return
        self._provider_recorded = True
        new, old = self._provider, self._olds.get(self._provider.urn)
        new.outputs = new.inputs
        self._seen.add(new.urn)
        if old is None:
            new.created = new.modified = now()
            self._record(Step(CREATE, None, new))
        else:
            changed = old.inputs != new.inputs
            new.created, new.modified = old.created, now() if changed else old.modified
            self._record(Step(UPDATE if changed else SAME, old, new))

    # Executing

    async def _execute(self, step: Step) -> bool:
        self._display.started(step)
        try:
            await self._apply(step)
        except StepError as error:
            self._errored.append(step.about.urn)
            self._held_back.add(step.about.urn)
            self._display.finished(step, failed=True)
            self.fail(str(error), step.about.urn)
        else:
            self._display.finished(step, status="**after hook failed**" if step.about.urn in self._hook_failed else "")
        # A resource that cannot be read does not keep the others from being read.
        if self.failed and step.op != REFRESH and not self.options.continue_on_error:
            self.halt()
        return step.about.urn not in self._errored

    async def _apply(self, step: Step) -> None:
        old, new = step.old, step.new
        if step.op in (DELETE, DELETE_REPLACED):
            return await self._delete(step)
        if step.op == REFRESH:
            return await self._refresh(step)
        if step.op == REPLACE:
            return None
        assert new is not None
        if step.op == SAME:
            assert old is not None
            new.id, new.outputs = old.id, old.outputs
        else:
            await self._make(step, new)
        for name, value in new.outputs.items():
            secret = name in new.additional_secret_outputs or isinstance(new.inputs.get(name), Secret)
            if secret and not isinstance(value, Secret):
                new.outputs = {**new.outputs, name: Secret(value)}
        if step.op != SAME:
            await self._after("after_update" if step.op == UPDATE else "after_create", old, new)
        self._record(step)
        self._open[new.urn] = step
        return None

    async def _make(self, step: Step, new: Resource) -> None:
        old = step.old if step.op == UPDATE else None
        await self.hooks.run("before_update" if old else "before_create", old, new)
        new.id = old.id if old else ""
        if not new.custom:
            new.outputs = old.outputs if old else {}
        elif self.options.dry:
            new.outputs = dict(new.inputs)
        elif old is not None:
            new.outputs = await self._called(replace(new, outputs=old.outputs), "updating", self.host.update(old, new))
        else:
            new.id, new.outputs = await self._called(new, "creating", self.host.create(new))
        new.modified = now()
        new.created = new.created if old else new.modified

    async def _delete(self, step: Step) -> None:
        old = step.old
        assert old is not None
        if old.pending_replacement:  # an earlier run deleted it and was stopped before it created it again
            return self._store.drop(self._slots[id(old)], old.urn)
        if old.custom and old.type != PROVIDER_TYPE and not self.options.dry:
            await self._called(old, "deleting", self.host.delete(old))
        slot = self._slots[id(old)]
        if step.op == DELETE_REPLACED and not old.delete:
            old.pending_replacement = True
            self._store.put(old, slot)
        else:
            self._store.drop(slot, old.urn)
        return None

    async def _refresh(self, step: Step) -> None:
        old = step.old
        assert old is not None
        if not old.custom or old.type == PROVIDER_TYPE or old.pending_replacement:
            return self._display.drifted(step, SAME)
        identity, outputs, inputs = await self.host.read(old)
        if not identity:
            step.new = None
            self._display.drifted(step, DELETE)
            self._store.drop(self._slots[id(old)], old.urn)
            self._resources.pop(self._slots[id(old)], None)
            return None
        new = step.new = replace(old, id=identity, outputs=outputs, inputs=inputs)
        changes = await self.host.diff(new, old.inputs)  # reversed: what the next update would undo
        if new != old:
            new.modified = now()
            self._store.put(new, self._slots[id(old)])
        self._display.drifted(step, UPDATE if changes else SAME)
        self._slots[id(new)] = self._slots[id(old)]
        self._resources[self._slots[id(new)]] = self._olds[new.urn] = new
        return None

    async def _called(self, about: Resource, kind: str, call: Coroutine[Any, Any, Any]) -> Any:
        self._store.start(about, kind)
        try:
            return await call
        except StepError:
            self._store.end(about.urn)
            raise

    async def _after(self, kind: str, old: Resource | None, new: Resource) -> None:
        """Run the after hooks; a failing hook fails the run, but the step is recorded."""
        try:
            await self.hooks.run(kind, old, new)
        except StepError as error:
            self._hook_failed.add(new.urn)
            self.fail(str(error), new.urn)

    def _record(self, step: Step) -> None:
        """Record the outcome of a step."""
        new, old = step.about, step.old
        slot = self._slots[id(old)] if old is not None else None
        if old is not None and slot is not None and step.pending:
            old.delete = True
            slot = self._store.replace(new, slot, old)
        elif slot is None or new != old:
            slot = self._store.put(new, slot)
        self._store.move_last(slot)
        if old is not None and old.urn != new.urn:
            self._store.rename(old.urn, new.urn)
        self._slots[id(new)] = slot
        self._resources[slot] = new

    # Refreshing and deleting

    async def refresh_all(self) -> None:
        """Read every resource, before the program runs, and drop dependencies on what is gone."""
        resources = list(self._resources.values())
        await asyncio.gather(*(self._in_turn(Step(REFRESH, resource, resource)) for resource in resources))
        known = {resource.urn for resource in self._resources.values()}
        for slot, resource in self._resources.items():
            remaining = {
                key: [urn for urn in urns if urn in known]
                for key, urns in resource.property_dependencies.items()
                if known.intersection(urns)  # as in the CLI, which drops keys without dependencies
            }
            if resource.needs() - known or remaining != resource.property_dependencies:
                resource.dependencies = [urn for urn in resource.dependencies if urn in known]
                resource.property_dependencies = remaining
                self._store.put(resource, slot)
        if not self.failed:
            self._store.forget_pending()
        self._olds = {resource.urn: resource for resource in self._resources.values() if not resource.delete}

    async def delete_rest(self) -> None:
        """Delete what the program no longer declares and what replacements left behind; `destroy` deletes all."""
        doomed = [
            resource
            for resource in self._resources.values()
            if self.options.mode == "destroy" or resource.delete or resource.urn not in self._seen
        ]
        for group in planner.delete_order(doomed):
            kept = planner.spared(self._errored, self._olds)
            steps = [Step(DELETE_REPLACED if old.delete else DELETE, old, None) for old in group]
            await asyncio.gather(*(self._in_turn(step) for step in steps if step.about.urn not in kept))

    async def _in_turn(self, step: Step) -> None:
        async with self._workers:
            if not self.halted.is_set():
                await self._execute(step)

    def fail(self, message: str, urn: str) -> None:
        """Mark the run as failed, with an error on a resource or, without a URN, on the stack."""
        self.failed = True
        if message:
            self._display.message("error", message, urn)

    def halt(self) -> None:
        """Start no new step; those under way finish."""
        self.halted.set()

    async def idle(self) -> None:
        """Wait until no step is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
