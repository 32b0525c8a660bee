"""The look-up of orchestrators, for programs."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.runtime.sync_await import _sync_await

from keyfactor_provider import guid
from keyfactor_provider.dynamic.program import Run
from keyfactor_provider.errors import ProviderError

if TYPE_CHECKING:
    from keyfactor_provider.operations.lookup import Filter, LookupResult, Orchestrator

MOCKED: Final = "keyfactor:index:orchestrators"
"""The token that a unit test's `Mocks.call` gets when it is to return the orchestrators in Command."""


def orchestrators(
    *,
    machine: str | Sequence[str] = (),
    platform: str | int | Sequence[str | int] = (),
    capability: str | Sequence[str] = (),
    identity: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    status: str | int | Sequence[str | int] = (),
    seen_within: timedelta | None = None,
    with_certificate: bool | None = None,
    at_least: int = 0,
    at_most: int | None = None,
) -> "LookupResult":
    """Looks up orchestrators in Command, in all pages of its list, while the program runs.

    `.ids` of the result are the members for a fleet. An orchestrator must match every argument, and at least one of
    the values of each argument.

    Under `pulumi.runtime.set_mocks` the orchestrators come from the test: `Mocks.call` gets the token
    `keyfactor:index:orchestrators` and the filters as arguments, and returns
    `{"orchestrators": [{"id": GUID, "machine": NAME, ...}]}` with the field names of `Orchestrator`. The filters apply
    to them as to Command's list.

    Args:
        machine: ClientMachine; * and ? are wildcards, case does not matter.
        platform: Unknown, .NET, Java, Mac, Android, Native, Bash or Universal, or its number.
        capability: a whole capability, in any case.
        identity: Username, with * and ?.
        exclude: GUIDs, or ClientMachine with * and ?.
        status: New, Approved or Disapproved, or its number. Not for the members of a fleet.
        seen_within: how recently it must have been seen. Not for the members of a fleet.
        with_certificate: True for orchestrators with a client certificate, False for those without one, which sign in
            with OAuth or Basic and never re-enroll.
        at_least: the smallest number of matches that is accepted.
        at_most: the largest.

    Raises:
        pulumi.RunError: Command can't be read, an argument is invalid, or the number of matches is out of bounds.
    """
    from keyfactor_provider.operations.lookup import Filter, find

    filters = Filter(
        machine=_several(machine),
        platform=_several(platform),
        capability=_several(capability),
        identity=_several(identity),
        exclude=_several(exclude),
        status=_several(status),
        seen_within=seen_within,
        with_certificate=with_certificate,
        at_least=at_least,
        at_most=at_most,
    )
    run = Run.current()
    try:
        # As in `pulumi.runtime.invoke`, so that hooks and applies of other resources continue meanwhile.
        agents = _from_mocks(filters) if run.mocked else _sync_await(run.everyone())
        result = find(agents, filters)
    except ProviderError as error:
        raise pulumi.RunError(str(error)) from None
    if result.unmatched:
        unmatched = ", ".join(result.unmatched)
        pulumi.log.warn(f"Look-up with {filters.describe()}: exclude {unmatched} matches no orchestrator.")
    return result


def _from_mocks(filters: "Filter") -> "list[Orchestrator]":
    """The orchestrators that a unit test's mocks return.

    Raises:
        pulumi.RunError: they return none, or something invalid.
    """
    import msgspec

    from keyfactor_provider.operations.lookup import Orchestrator

    arguments: dict[str, Any] = {}
    for field in fields(filters):
        value = getattr(filters, field.name)
        if value or value is False:
            arguments[field.name] = value.total_seconds() if isinstance(value, timedelta) else value
    response = pulumi.runtime.invoke(MOCKED, arguments).value or {}
    try:
        agents = msgspec.convert(response["orchestrators"], list[Orchestrator], strict=False)
        return [msgspec.structs.replace(agent, id=guid.canonical(agent.id)) for agent in agents]
    except (KeyError, TypeError, ValueError) as error:
        raise pulumi.RunError(
            f"Mocks.call returned no orchestrators for {MOCKED}: {error}. "
            'Return {"orchestrators": [{"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "machine": "edge-001"}]}.'
        ) from None


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, (str, int)) else tuple(value)
