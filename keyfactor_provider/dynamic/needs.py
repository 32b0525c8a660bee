"""The dependencies of a resource: those in its options, and those of the outputs among its inputs."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import pulumi

Need = Callable[[], Awaitable[Iterable[pulumi.Resource]]]
"""Returns dependencies once they are known."""


def needs_of(opts: pulumi.ResourceOptions | None, *inputs: Any) -> list[Need]:
    """The dependencies in a resource's options and inputs."""
    needs: list[Need] = [value.resources for value in _outputs(inputs)]
    depends_on = opts.depends_on if opts else None
    if depends_on is not None:
        needs.append(lambda: resolved(depends_on))
    return needs


def _outputs(value: Any) -> Iterable[pulumi.Output[Any]]:
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _outputs(item)


async def resolved(depends_on: Any) -> Iterable[pulumi.Resource]:
    """The resources in a `depends_on`, including those inside components."""
    if isinstance(depends_on, (pulumi.Output, Awaitable)):
        depends_on = await pulumi.Output.from_input(depends_on).future()
    resources: list[pulumi.Resource] = []
    for item in [depends_on] if isinstance(depends_on, pulumi.Resource) else depends_on or ():
        if isinstance(item, (pulumi.Output, Awaitable)):
            resources += await resolved(item)
            continue
        resources.append(item)
        if isinstance(item, pulumi.ComponentResource):
            resources += await resolved(list(item._childResources))
    return resources
