"""One run over one stack: registrations come in, steps are executed in order, the store learns of each.

Everything runs on one asyncio loop, so there are no locks but the two that order work: `_planning` (one resource
is checked and planned at a time, as in the CLI's step generator) and `_workers` (so many steps at once). Follows
`pkg/resource/deploy/{deployment_executor,step_executor,step}.go`.
"""

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any

from standins.engine import planner
from standins.engine.display import Display
from standins.engine.errors import ProviderError
from standins.engine.hooks import HookFailedError, Hooks, in_state
from standins.engine.planner import Goal, Step
from standins.engine.provider import Diff, ProviderHost
from standins.engine.state import PROVIDER_TYPE, STACK_TYPE, Resource, now
from standins.engine.store import Store
from standins.engine.values import Properties, Secret


class HaltedError(Exception):
    """The run is ending: no new step begins. The program is told that its monitor has gone."""


@dataclass(frozen=True)
class Options:
    """What the command line asks of a run.

    Attributes:
        preview: plan only.
        parallel: steps at once.
        continue_on_error: go on with what does not depend on what failed.
        replace: names or URNs to replace.
    """

    preview: bool
    parallel: int
    continue_on_error: bool = False
    replace: tuple[str, ...] = ()


@dataclass
class Registered:
    """The answer to a registration: the state, and whether it is there, failed, or was left out."""

    state: Resource
    result: str = "success"
    unknown: bool = False


@dataclass
class Deployment:
    """A run.

    Attributes:
        stack: the stack's name.
        project: the project's name.
        store: where steps are recorded; untouched in a preview.
        resources: the state at the start, by slot.
        host: the dynamic provider host.
        provider_inputs: the default provider's inputs: the stack's config.
        display: told of everything.
        options: see there.
    """

    stack: str
    project: str
    store: Store
    resources: dict[int, Resource]
    host: ProviderHost
    provider_inputs: Properties
    display: Display
    options: Options
    provider_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    failed: bool = False

    def __post_init__(self) -> None:
        self.hooks = Hooks(
            self.options.preview, lambda urn, text: self.display.diagnostic("warning", text, urn)
        )
        self.stopped = asyncio.Event()
        self.stack_outputs: Properties | None = None
        self._slots = {id(resource): slot for slot, resource in self.resources.items()}
        self._olds = {each.urn: each for each in self.resources.values() if not each.delete}
        self._news: dict[str, Resource] = {}
        self._seen: dict[str, str] = {}
        self._aliased: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self._open: dict[str, Step] = {}
        self._not_done: set[str] = set()
        self._errored: set[str] = set()
        self._planning = asyncio.Lock()
        self._workers = asyncio.Semaphore(self.options.parallel)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._steps = 0

    # What the program asks for ---------------------------------------------------------------------------

    async def register(self, goal: Goal) -> Registered:
        """Bring one resource to what the program wants.

        Raises:
            HaltedError: the run is ending, this resource was not touched.
        """
        async with self._planning:
            self._check_halted()
            try:
                steps = await self._plan(goal)
            except ProviderError as error:
                self._fail(str(error), self._urn(goal))
                raise HaltedError from error
            new = next((step.new for step in steps if step.new is not None), None)
            assert new is not None
            if new.needs() & self._not_done:
                self._not_done.add(new.urn)
                return Registered(new, "skip")
            await self._workers.acquire()  # held here: planning waits for a free worker, as the CLI's does
        try:
            self._check_halted()
            for step in steps:
                if not await self._execute(step):
                    self._not_done.add(step.urn)
                    if not self.options.continue_on_error:
                        raise HaltedError
                    return Registered(new, "fail")
        finally:
            self._workers.release()
        return Registered(new)

    async def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Record what a component gives out; a stack's outputs wait for the end of the run."""
        step = self._open.get(urn)
        if step is None:
            raise ValueError(f"cannot complete a resource '{urn}' whose registration isn't pending")
        if step.new is not None and step.new.type == STACK_TYPE:
            self.stack_outputs = outputs
            return
        await self._finish_component(self._open.pop(urn), outputs)

    async def _finish_component(self, step: Step, outputs: Properties) -> None:
        new = step.new
        assert new is not None
        changed = outputs != new.outputs
        new.outputs = outputs
        kind = {planner.CREATE: "after_create", planner.UPDATE: "after_update"}.get(step.op)
        if kind is not None:
            await self._after(kind, new.resource_hooks, step.old, new)
        if changed and not self.options.preview:
            self.store.put(new, slot=self._slots[id(new)])

    def finish_outputs(self) -> None:
        """The stack's outputs take effect: all of them after a good run, else over the old ones.

        executeRegisterResourceOutputs in step_executor.go.
        """
        step = next((each for each in self._open.values() if each.new and each.new.type == STACK_TYPE), None)
        if step is None or step.new is None or self.stack_outputs is None:
            return
        old = step.old.outputs if step.old is not None else {}
        new = {**old, **self.stack_outputs} if self.failed else self.stack_outputs
        self.display.outputs(old, new)
        if step.new.outputs != new and not self.options.preview:
            step.new.outputs = new
            self.store.put(step.new, slot=self._slots[id(step.new)])

    # Planning --------------------------------------------------------------------------------------------

    def _urn(self, goal: Goal) -> str:
        return planner.make_urn(self.stack, self.project, goal.parent, goal.type, goal.name)

    async def _plan(self, goal: Goal) -> list[Step]:
        urn = self._urn(goal)
        if urn in self._seen:
            self._fail(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
            raise HaltedError
        self._seen[urn] = urn
        old = self._find_old(goal, urn)
        provider = ""
        if goal.custom:
            provider = await self._default_provider()
        new = planner.new_state(goal, urn, old, provider)
        if not goal.custom:
            diff = None if old is None else Diff(planner.differs(old.inputs, new.inputs))
            return planner.plan(goal, old, new, diff)
        targeted = old is not None and self._to_replace(old, urn)
        if old is not None and goal.ignore_changes:
            new.inputs = planner.ignoring(new.inputs, old.inputs, goal.ignore_changes)
        given = new.inputs
        await self._check(
            new, {} if old is None or targeted else old.inputs, given if not targeted else goal.inputs
        )
        if old is None:
            return planner.plan(goal, None, new, None)
        if targeted:
            return planner.plan(goal, old, new, Diff(True, ["id"]))
        diff = await self._diff(urn, old.id, old.inputs, old.outputs, new.inputs)
        steps = planner.plan(goal, old, new, diff)
        if steps[0].op in (planner.CREATE_REPLACEMENT, planner.DELETE_REPLACED, planner.REPLACE):
            if new.protect and old.protect:
                self._fail(
                    f'unable to replace resource "{urn}"\nas it is currently marked for protection. To unprotect'
                    " the resource, remove the `protect` flag from the resource in your Pulumi program and run"
                    " `pulumi up`",
                    urn,
                )
                if not self.options.preview:
                    raise HaltedError
            await self._check(new, {}, goal.inputs)
        return steps

    def _find_old(self, goal: Goal, urn: str) -> Resource | None:
        if urn in self._olds:
            return self._olds[urn]
        for alias in planner.aliased_urns(goal, self.stack, self.project, self._parents, goal.aliases):
            if alias in self._olds:
                if alias in self._seen or alias in self._aliased:
                    other = self._seen.get(alias) or self._aliased[alias]
                    self._fail(
                        f"Duplicate resource alias '{alias}' applied to resource with URN '{urn}' conflicting"
                        f" with resource with URN '{other}'",
                        urn,
                    )
                    raise HaltedError
                self._aliased[alias] = urn
                self._parents[urn] = alias
                return self._olds[alias]
        return None

    def _to_replace(self, old: Resource, urn: str) -> bool:
        return any(wanted in (urn, old.urn, old.name) for wanted in self.options.replace)

    async def _check(self, new: Resource, olds: Properties, news: Properties) -> None:
        new.inputs, failures = await self.host.check(new.urn, olds, news)
        for name, reason in failures:
            where = f"{new.type} resource '{new.name}'"
            if name:
                value = self.display.inline(new.inputs.get(name))
                self._fail(f"{where}: property {name} value {value} has a problem: {reason}", new.urn)
            else:
                self._fail(f"{where} has a problem: {reason}", new.urn)
        if failures:
            raise HaltedError

    async def _diff(
        self, urn: str, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        diff = await self.host.diff(urn, identity, old_inputs, old_outputs, news)
        return diff if diff.changes is not None else replace(diff, changes=planner.differs(old_inputs, news))

    async def _default_provider(self) -> str:
        urn = planner.make_urn(self.stack, self.project, "", PROVIDER_TYPE, "default")
        if urn not in self._news:
            old = self._olds.get(urn)
            self._seen[urn] = urn
            new = Resource(urn, True, PROVIDER_TYPE, id=self.provider_id, inputs=self.provider_inputs)
            new.outputs = self.provider_inputs
            if old is None:
                new.created = new.modified = now()
                await self._record(Step(planner.CREATE, urn, None, new))
            else:
                new.id, new.created, new.modified = old.id, old.created, old.modified
                changed = planner.differs(old.inputs, new.inputs)
                await self._record(Step(planner.UPDATE if changed else planner.SAME, urn, old, new))
        return f"{urn}::{self._news[urn].id}"

    # Executing -------------------------------------------------------------------------------------------

    async def _execute(self, step: Step) -> bool:
        self._running += 1
        self._idle.clear()
        self._steps += 1
        step.number = self._steps
        self.display.started(step)
        try:
            await self._apply(step)
        except (ProviderError, HookFailedError) as error:
            self._errored.add(step.urn)
            self.display.finished(step, failed=True)
            self._fail(str(error), step.urn)
            return False
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()
        self.display.finished(step, failed=False)
        if step.op in (planner.CREATE, planner.UPDATE, planner.SAME) and step.new is not None:
            self._open[step.urn] = step
        if self.failed and not self.options.continue_on_error:
            self.halt()
        return True

    async def _apply(self, step: Step) -> None:
        old, new = step.old, step.new
        if step.op == planner.SAME:
            assert old is not None
            assert new is not None
            new.id, new.outputs = old.id, old.outputs
        elif step.op in (planner.CREATE, planner.CREATE_REPLACEMENT):
            await self._create(step)
        elif step.op == planner.UPDATE:
            await self._update(step)
        elif step.op in (planner.DELETE, planner.DELETE_REPLACED):
            await self._delete(step)
            return
        elif step.op == planner.REPLACE:
            return
        await self._record(step)

    async def _create(self, step: Step) -> None:
        new = step.new
        assert new is not None
        hooks = new.resource_hooks
        await self.hooks.run("before_create", hooks.get(in_state("before_create"), []), None, new)
        if new.custom:
            if self.options.preview:
                new.outputs = dict(new.inputs)
            else:
                new.id, new.outputs = await self._call(
                    step, "creating", self.host.create(new.urn, new.inputs)
                )
        new.created = new.modified = now()
        self._mark_secrets(new)
        if new.custom:
            await self._after("after_create", hooks, None, new)

    async def _update(self, step: Step) -> None:
        old, new = step.old, step.new
        assert old is not None
        assert new is not None
        new.id = old.id
        hooks = new.resource_hooks
        await self.hooks.run("before_update", hooks.get(in_state("before_update"), []), old, new)
        if new.custom:
            if self.options.preview:
                new.outputs = dict(new.inputs)
            else:
                new.outputs = await self._call(step, "updating", self.host.update(old, new.urn, new.inputs))
                new.modified = now()
        self._mark_secrets(new)
        if new.custom:
            await self._after("after_update", hooks, old, new)

    async def _delete(self, step: Step) -> None:
        old = step.old
        assert old is not None
        hooks = old.resource_hooks
        await self.hooks.run("before_delete", hooks.get(in_state("before_delete"), []), old, None)
        replacing = step.op == planner.DELETE_REPLACED
        if old.protect and not replacing:
            raise ProviderError(
                f'resource "{old.urn}" cannot be deleted\nbecause it is protected. To unprotect the resource,'
                " either remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`,"
                f" or use the command:\n`pulumi state unprotect '{old.urn}'`"
            )
        if not self.options.preview and old.custom and old.type != PROVIDER_TYPE and not old.retain_on_delete:
            await self._call(step, "deleting", self.host.delete(old))
        await self._after("after_delete", hooks, old, None)
        if self.options.preview:
            return
        slot = self._slots[id(old)]
        if replacing and not old.delete:
            old.pending_replacement = True
            self.store.put(old, slot=slot, step=step.number)
        else:
            self.store.drop(slot, step=step.number)

    async def _after(
        self, kind: str, hooks: dict[str, list[str]], old: Resource | None, new: Resource | None
    ) -> None:
        """Run the after hooks: one that fails fails the run, but what was done is recorded all the same."""
        try:
            await self.hooks.run(kind, hooks.get(in_state(kind), []), old, new)
        except HookFailedError as error:
            about = new or old
            self.failed = True
            self.display.diagnostic("error", str(error), about.urn if about else "")

    async def _call(self, step: Step, kind: str, call: Awaitable[Any]) -> Any:
        about = step.new or step.old
        assert about is not None
        self.store.start(step.number, about.urn, kind)
        try:
            return await call
        except ProviderError:
            self.store.fail(step.number)
            raise

    async def _record(self, step: Step) -> None:
        """The outcome of a step takes its place among the news and on the disk."""
        new, old = step.new, step.old
        assert new is not None
        self._news[new.urn] = new
        if self.options.preview:
            return
        old_slot = self._slots[id(old)] if old is not None else None
        if old is not None and old_slot is not None and step.op == planner.SAME and new == old:
            self.store.keep(old_slot)
            self._slots[id(new)] = old_slot
            return
        gone: tuple[int, ...] = (old_slot,) if old_slot is not None else ()
        if step.pending and old is not None and old_slot is not None:
            condemned = old
            condemned.delete = True
            self.store.put(condemned, slot=old_slot)
            gone = ()
        self._slots[id(new)] = self.store.put(new, gone=gone, step=step.number)
        if old is not None and old.urn != new.urn:
            self.store.rename({old.urn: new.urn})

    @staticmethod
    def _mark_secrets(new: Resource) -> None:
        for name in new.additional_secret_outputs:
            if name in new.outputs and not isinstance(new.outputs[name], Secret):
                new.outputs[name] = Secret(new.outputs[name])
        for name, value in new.outputs.items():
            if not isinstance(value, Secret) and isinstance(new.inputs.get(name), Secret):
                new.outputs[name] = Secret(value)

    # The end ---------------------------------------------------------------------------------------------

    async def delete_what_is_left(self, everything: bool = False) -> None:
        """Delete what the program no longer names, and what replacements left behind; or all of it."""
        condemned = [
            each
            for each in self.resources.values()
            if everything or each.delete or (each.urn not in self._seen and each.urn not in self._aliased)
        ]
        gone = {id(each) for each in condemned}
        for group in planner.delete_order(condemned):
            if self.halted:
                return
            spared = self._needed_by_errors()
            await asyncio.gather(
                *(self._delete_one(each) for each in group if id(each) in gone and each.urn not in spared)
            )

    def _needed_by_errors(self) -> set[str]:
        needed: set[str] = set()
        left = set(self._errored)
        while left:
            urn = left.pop()
            old = self._olds.get(urn)
            for each in old.needs() if old is not None else ():
                if each not in needed:
                    needed.add(each)
                    left.add(each)
        return needed

    async def _delete_one(self, old: Resource) -> None:
        async with self._workers:
            if self.halted:
                return
            op = planner.DELETE_REPLACED if old.delete else planner.DELETE
            if not await self._execute(Step(op, old.urn, old, None)) and not self.options.continue_on_error:
                if not old.protect:
                    self.halt()

    def _fail(self, message: str, urn: str) -> None:
        self.failed = True
        self.display.diagnostic("error", message, urn)
        if not self.options.continue_on_error:
            self.halt()

    def halt(self) -> None:
        """No new step begins from now on; those under way finish."""
        self.stopped.set()

    @property
    def halted(self) -> bool:
        """Whether the run is ending before its time."""
        return self.stopped.is_set()

    def _check_halted(self) -> None:
        if self.halted:
            raise HaltedError

    async def idle(self) -> None:
        """Wait until no step is under way."""
        await self._idle.wait()
