"""One pass over one stack: registrations come in, steps are executed in order, the store learns of each.

Everything runs on one asyncio loop. `_planning` lets one resource be checked and planned at a time, as in the
CLI's step generator; `_workers` bounds how many steps run at once.
"""

import asyncio
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


@dataclass(frozen=True)
class Options:
    """How a pass goes; `mode` is update, refresh or destroy, `replace` holds URNs."""

    dry: bool
    mode: str = "update"
    parallel: int = 8
    continue_on_error: bool = False
    replace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registered:
    """The answer to a registration."""

    state: Resource
    done: bool = True
    unknown: bool = False


class Executor:
    """A pass over a stack; the host is handed over before the first step."""

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
        self._olds = {each.urn: each for each in resources.values() if not each.delete}
        self._slots = {id(each): slot for slot, each in resources.items()}
        self._seen: set[str] = set()
        self._open: dict[str, Step] = {}
        self._stack_outputs: Properties | None = None
        self._held_back: set[str] = set()
        self._errored: list[str] = []
        self._hook_failed: set[str] = set()
        self._planning = asyncio.Lock()
        self._workers = asyncio.Semaphore(options.parallel)
        self._tasks: set[asyncio.Task[Any]] = set()

    def urn(self, parent: str, kind: str, name: str) -> str:
        """A resource's URN in this stack."""
        return planner.make_urn(self.stack, self.project, parent, kind, name)

    async def register(self, goal: Goal) -> Registered | None:
        """Bring one resource to what the program wants; None when the run is ending."""
        registered: Registered | None = await self._kept(self._register(goal))
        return registered

    async def _kept(self, work: Coroutine[Any, Any, Any]) -> Any:
        # A program that dies takes its calls with it, but a step under way must still be recorded.
        task = asyncio.ensure_future(work)
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
        """Record what a component gives out; the stack's outputs wait for the end of the run."""
        step = self._open.get(urn)
        if step is None:
            raise ValueError(f"cannot complete a resource '{urn}' whose registration isn't pending")
        if step.about.type == STACK_TYPE:
            self._stack_outputs = outputs
        else:
            self._finish_component(self._open.pop(urn), outputs)

    def _finish_component(self, step: Step, outputs: Properties) -> None:
        new = step.about
        if new.outputs != outputs:
            new.outputs = outputs
            self._store.put(new, self._slots[id(new)])

    def finish_outputs(self) -> None:
        """The stack's outputs take effect: all of them after a good run, else over the old ones."""
        step = next((each for each in self._open.values() if each.about.type == STACK_TYPE), None)
        if step is None or self._stack_outputs is None or self.options.mode == "destroy":
            return
        old = step.old.outputs if step.old is not None else {}
        new = {**old, **self._stack_outputs} if self.failed else self._stack_outputs
        # The CLI shows no outputs of a run that failed.
        if not self.failed:
            self._display.outputs(old, new)
        if step.about.outputs != new:
            step.about.outputs = new
            self._store.put(step.about, self._slots[id(step.about)])

    # Planning

    async def _plan(self, goal: Goal) -> list[Step] | None:
        """The steps for a resource; None where it is left out: new, but nothing is made by this command."""
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
        given = new.inputs
        if old is None:
            await self._check(new, given, {})
            return planner.plan(goal, None, changes=True)
        replaces = bool({new.urn, old.urn} & set(self.options.replace))
        await self._check(new, given, {} if replaces else old.inputs)
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

    async def _check(self, new: Resource, given: Properties, olds: Properties) -> None:
        new.inputs, failures = await self.host.check(new.urn, olds, given, unknowns=self.options.dry)
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
            if step.op != REFRESH:  # one that cannot be read does not keep the others from being read
                self._halt_if_failed()
            return False
        self._display.finished(step, status="**after hook failed**" if step.about.urn in self._hook_failed else "")
        if step.op != REFRESH:
            self._halt_if_failed()
        return True

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
        if old.pending_replacement:  # deleted by an earlier run that did not come to create it again
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
        old, wanted = step.old, step.new
        assert old is not None
        assert wanted is not None
        if not old.custom or old.type == PROVIDER_TYPE or old.pending_replacement:
            return self._display.drifted(step, SAME)
        identity, outputs, inputs = await self.host.read(old)
        if not identity:
            step.new = None
            self._display.drifted(step, DELETE)
            self._store.drop(self._slots[id(old)], old.urn)
            self._resources.pop(self._slots[id(old)], None)
            return None
        new = step.new = replace(wanted, id=identity, outputs=outputs, inputs=inputs)
        changes = await self.host.diff(new, old.inputs)  # the other way round: what the next update would undo
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
        """Run the after hooks: one that fails fails the run, but what was done is recorded all the same."""
        try:
            await self.hooks.run(kind, old, new)
        except StepError as error:
            self._hook_failed.add(new.urn)
            self.fail(str(error), new.urn)

    def _record(self, step: Step) -> None:
        """The outcome of a step goes to the store; what is as it was only changes its place."""
        new, old = step.about, step.old
        if old is None:
            slot = self._store.put(new)
        elif step.pending:
            old.delete = True
            slot = self._store.replace(new, self._slots[id(old)], old)
        elif new == old:
            slot = self._slots[id(old)]
            self._store.keep(slot)
        else:
            slot = self._store.put(new, instead_of=self._slots[id(old)])
        if old is not None and old.urn != new.urn:
            self._store.rename(old.urn, new.urn)
            self._resources.pop(self._slots[id(old)])
        self._slots[id(new)] = slot
        self._resources.setdefault(slot, new)

    # The beginning and the end

    async def refresh_all(self) -> None:
        """Read every resource that this pass has not read yet; one that fails does not keep the others from it."""
        left = [each for each in self._resources.values() if each.urn not in self._seen]
        await asyncio.gather(*(self._in_turn(Step(REFRESH, each, each)) for each in left))
        known = {each.urn for each in self._resources.values()}
        for slot, each in list(self._resources.items()):
            remaining = {
                key: [urn for urn in urns if urn in known]
                for key, urns in each.property_dependencies.items()
                # The CLI drops what depends on nothing, but for what the program has just told.
                if each.urn in self._seen or known.intersection(urns)
            }
            if each.needs() - known or remaining != each.property_dependencies:
                each.dependencies = [urn for urn in each.dependencies if urn in known]
                each.property_dependencies = remaining
                self._store.put(each, slot)
        if not self.failed:
            self._store.forget_pending()
        self._olds = {each.urn: each for each in self._resources.values() if not each.delete}

    async def delete_rest(self) -> None:
        """Delete what the program no longer names, and what replacements left behind; or all of it."""
        everything = self.options.mode == "destroy"
        condemned = [
            each for each in self._resources.values() if everything or each.delete or each.urn not in self._seen
        ]
        for group in planner.delete_order(condemned):
            kept = planner.spared(self._errored, self._olds)
            steps = [Step(DELETE_REPLACED if each.delete else DELETE, each, None) for each in group]
            await asyncio.gather(*(self._in_turn(step) for step in steps if step.about.urn not in kept))

    async def _in_turn(self, step: Step) -> None:
        async with self._workers:
            if not self.halted.is_set():
                await self._execute(step)

    def fail(self, message: str, urn: str) -> None:
        """The run has failed, with an error on a resource or, without a URN, on the stack."""
        self.failed = True
        if message:
            self._display.message("error", message, urn)

    def _halt_if_failed(self) -> None:
        if self.failed and not self.options.continue_on_error:
            self.halt()

    def halt(self) -> None:
        """No new step begins from now on; those under way finish."""
        self.halted.set()

    async def idle(self) -> None:
        """Wait until no step is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
