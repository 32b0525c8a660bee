"""Plans steps from the old state, the program's goal and the provider's diff. Pure: it calls nothing."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keyfactor_standins.engine.wire import Properties

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_TYPE = "pulumi:providers:pulumi-python"

SAME, CREATE, UPDATE, DELETE, REFRESH = "same", "create", "update", "delete", "refresh"
REPLACE, CREATE_REPLACEMENT, DELETE_REPLACED = "replace", "create-replacement", "delete-replaced"


@dataclass
class Resource:
    """One resource; the fields are those of the state, in snake case."""

    urn: str
    custom: bool
    type: str
    delete: bool = False
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    dependencies: list[str] = field(default_factory=list)
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    created: str = ""
    modified: str = ""
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.urn.split("::", 3)[3]

    def needs(self) -> set[str]:
        """The URNs of everything that it depends on: parent, provider, dependencies of both kinds."""
        needed = {self.parent, self.provider.rpartition("::")[0], *self.dependencies}
        return needed.union(*self.property_dependencies.values()) - {"", self.urn}


@dataclass
class Goal:
    """The desired state of one resource; `aliases` are (urn, "") or ("", name)."""

    new: Resource
    aliases: list[tuple[str, str]] = field(default_factory=list)
    delete_before_replace: bool = False


@dataclass
class Step:
    """One step; `pending` marks a replacement whose old resource is deleted at the end of the run."""

    op: str
    old: Resource | None
    new: Resource | None
    pending: bool = False

    @property
    def about(self) -> Resource:
        """The new resource, or the old one where there is no new one."""
        resource = self.new or self.old
        assert resource is not None
        return resource


def now() -> str:
    """The current time in the state's format: UTC, RFC 3339."""
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


def make_urn(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """A resource's URN; its type is preceded by the types of its parents, without the stack."""
    above = parent.split("::")[2] if parent else ""
    return f"urn:pulumi:{stack}::{project}::{f'{above}$' if above not in ('', STACK_TYPE) else ''}{kind}::{name}"


def old_names(goal: Goal) -> list[str]:
    """The URNs that a resource may have had before, from its aliases."""
    head, _, _ = goal.new.urn.rpartition("::")
    return [urn or f"{head}::{name}" for urn, name in goal.aliases]


def plan(goal: Goal, old: Resource | None, *, changes: bool, replaces: bool = False) -> list[Step]:
    """The steps for one registered resource, in order."""
    new = goal.new
    if old is None:
        return [Step(CREATE, None, new)]
    if old.pending_replacement:  # an earlier run deleted it already
        return [Step(REPLACE, old, new), Step(CREATE_REPLACEMENT, old, new)]
    if replaces and goal.delete_before_replace:
        return [Step(DELETE_REPLACED, old, None), Step(REPLACE, old, new), Step(CREATE_REPLACEMENT, old, new)]
    if replaces:
        return [Step(CREATE_REPLACEMENT, old, new, pending=True), Step(REPLACE, old, new)]
    return [Step(UPDATE if changes else SAME, old, new)]


def delete_order(doomed: Iterable[Resource]) -> list[list[Resource]]:
    """Groups of resources to delete one after the other; those in a group can be deleted at the same time.

    A resource is deleted after everything that depends on it.
    """
    resources = list(doomed)
    depth: dict[str, int] = {}
    needed = {resource.urn: resource.needs() for resource in resources}

    def measure(start: str) -> None:
        stack = [start]
        while stack:
            below = [urn for urn in needed[stack[-1]] if urn in needed]
            if missing := [urn for urn in below if urn not in depth and urn not in stack]:
                stack.append(missing[0])
            else:
                urn = stack.pop()
                depth[urn] = 1 + max((depth.get(below_urn, 0) for below_urn in below), default=-1)

    groups: dict[int, list[Resource]] = {}
    for resource in resources:
        if resource.urn not in depth:
            measure(resource.urn)
        groups.setdefault(depth[resource.urn], []).append(resource)
    return [groups[level] for level in sorted(groups, reverse=True)]


def spared(failed: Iterable[str], olds: Mapping[str, Resource]) -> set[str]:
    """The URNs that resources whose step failed depend on, directly or not; these must not be deleted."""
    urns: set[str] = set()
    queue = list(failed)
    while queue:
        old = olds.get(queue.pop())
        queue.extend(new := (old.needs() if old is not None else set()) - urns)
        urns |= new
    return urns
