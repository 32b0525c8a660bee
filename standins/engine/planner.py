"""What is to be done: old state, the program's goal and the provider's verdict, to steps. Pure: nothing is called.

The decisions are those of `pkg/resource/deploy/step_generator.go`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standins.engine.provider import Diff
from standins.engine.state import STACK_TYPE, Resource
from standins.engine.values import Properties, plain

SAME, CREATE, UPDATE, DELETE = "same", "create", "update", "delete"
REPLACE, CREATE_REPLACEMENT, DELETE_REPLACED = "replace", "create-replacement", "delete-replaced"
REFRESH = "refresh"


@dataclass
class Goal:
    """What the program wants of one resource, as it registered it."""

    type: str
    name: str
    custom: bool
    inputs: Properties
    parent: str = ""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    retain_on_delete: bool = False
    delete_before_replace: bool | None = None
    aliases: list[Any] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Step:
    """One thing to do.

    Attributes:
        op: one of the constants of this module.
        urn: of the resource.
        old: the state before; None for a create.
        new: the state after, filled in when it is done; None for a delete.
        keys: the properties that make a replacement necessary.
        pending: of a replacement: the old resource is deleted at the end of the run.
        number: its place among the run's steps; the journal knows it by that.
    """

    op: str
    urn: str
    old: Resource | None
    new: Resource | None
    keys: list[str] = field(default_factory=list)
    pending: bool = False
    number: int = -1


def make_urn(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """A resource's URN (`sdk/go/common/resource/urn/urn.go`): types of its parents, but for the stack, lead."""
    above = parent.split("::")[2] if parent else ""
    qualified = f"{above}${kind}" if above and above != STACK_TYPE else kind
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def aliased_urns(
    goal: Goal, stack: str, project: str, parents: Mapping[str, str], aliases: Sequence[Any]
) -> list[str]:
    """The URNs that a resource may have had before (generateAliases in step_generator.go).

    Args:
        goal: the resource's goal.
        stack: the stack's name.
        project: the project's name.
        parents: the old URN of each resource that was found by an alias in this run.
        aliases: protobuf aliases of the registration.
    """
    found: list[str] = []
    for alias in aliases:
        if alias.WhichOneof("alias") == "urn":
            found.append(alias.urn)
            continue
        spec = alias.spec
        if spec.noParent:
            parent = ""
        elif spec.parentUrn:
            parent = parents.get(spec.parentUrn, spec.parentUrn)
        else:
            parent = goal.parent
        found.append(
            make_urn(
                spec.stack or stack,
                spec.project or project,
                parent,
                spec.type or goal.type,
                spec.name or goal.name,
            )
        )
    if goal.parent in parents:
        old_parent = parents[goal.parent]
        own = make_urn(stack, project, goal.parent, goal.type, goal.name)
        for urn in (own, *tuple(found)):
            parent_name = goal.parent.split("::", 3)[3]
            kind, name = urn.split("::")[2].rpartition("$")[2], urn.split("::", 3)[3]
            if name.startswith(parent_name):
                name = old_parent.split("::", 3)[3] + name[len(parent_name) :]
            found.append(make_urn(stack, project, old_parent, kind, name))
    return list(dict.fromkeys(found))


def new_state(goal: Goal, urn: str, old: Resource | None, provider: str) -> Resource:
    """The state that a resource will have, before its inputs are checked and anything is done."""
    return Resource(
        urn=urn,
        custom=goal.custom,
        type=goal.type,
        inputs=goal.inputs,
        parent=goal.parent,
        protect=goal.protect,
        dependencies=list(goal.dependencies),
        provider=provider,
        property_dependencies=goal.property_dependencies,
        additional_secret_outputs=list(goal.additional_secret_outputs),
        aliases=[old.urn] if old is not None and old.urn != urn else [],
        retain_on_delete=goal.retain_on_delete,
        created=old.created if old is not None else "",
        modified=old.modified if old is not None else "",
        ignore_changes=list(goal.ignore_changes),
        resource_hooks=goal.hooks,
    )


def differs(old_inputs: Properties, new_inputs: Properties) -> bool:
    """The engine's own comparison, where a provider leaves it to it: secrets count by what they hide."""
    return bool(plain(old_inputs) != plain(new_inputs))


def ignoring(news: Properties, olds: Properties, paths: Sequence[str]) -> Properties:
    """The new inputs with the old values where changes are to be ignored (processIgnoreChanges)."""
    found = dict(news)
    for path in paths:
        if path in olds:
            found[path] = olds[path]
        else:
            found.pop(path, None)
    return found


def plan(goal: Goal, old: Resource | None, new: Resource, diff: Diff | None) -> list[Step]:
    """The steps for one registered resource, in the order in which they are to run.

    Args:
        goal: what the program wants.
        old: what there is.
        new: the state to come, inputs checked.
        diff: the verdict; None where there is nothing old.
    """
    if old is None or diff is None:
        return [Step(CREATE, new.urn, None, new)]
    if old.pending_replacement or (diff.changes and diff.replaces):
        before = (
            diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        )
        create = Step(CREATE_REPLACEMENT, new.urn, old, new, diff.replaces, pending=not before)
        replace = Step(REPLACE, new.urn, old, new, diff.replaces)
        if not before:
            return [create, replace]
        first = [] if old.pending_replacement else [Step(DELETE_REPLACED, old.urn, old, None, diff.replaces)]
        return [*first, replace, create]
    if diff.changes:
        return [Step(UPDATE, new.urn, old, new)]
    return [Step(SAME, new.urn, old, new)]


def delete_order(condemned: Iterable[Resource]) -> list[list[Resource]]:
    """Groups of resources to delete one after the other, the members of a group side by side.

    Nothing is deleted before all that depends on it is gone; what nothing to be deleted depends on or needs goes
    last (ScheduleDeletes in step_generator.go). References are by URN: of two generations with one URN, both
    count as needed.
    """
    left = list(condemned)
    groups: list[list[Resource]] = []
    while left:
        urns = {resource.urn for resource in left}
        group = [resource for resource in left if not (resource.needs() - {resource.urn}) & urns] or left
        groups.append(group)
        left = [resource for resource in left if not any(resource is each for each in group)]
    return groups[::-1]
