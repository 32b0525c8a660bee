"""The look-up of orchestrators as a program calls it."""

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
"""The token under which a unit test's `Mocks.call` is asked for the orchestrators that Command has."""


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
    """Looks up orchestrators in Command, over every page of its list, while the program runs.

    `.ids` of the answer are the members for a fleet. Every argument that is given must match; of several
    values in one argument, any.

    Under `pulumi.runtime.set_mocks` the orchestrators come from the test: `Mocks.call` is asked for the token
    `keyfactor:index:orchestrators`, with the filters as its arguments, and answers
    `{"orchestrators": [{"id": GUID, "machine": NAME, ...}]}`, in the names of `Orchestrator`. They are filtered here
    as Command's are.

    Args:
        machine: ClientMachine; * and ? stand for any text, case does not matter.
        platform: Unknown, .NET, Java, Mac, Android, Native, Bash or Universal, or its number.
        capability: a whole capability, in any case.
        identity: Username, with * and ?.
        exclude: GUIDs, or ClientMachine with * and ?.
        status: New, Approved or Disapproved, or its number. Not for the members of a fleet.
        seen_within: how long ago it was seen at most. Not for the members of a fleet.
        with_certificate: True for orchestrators with a client certificate, False for those without one, which sign in
            with OAuth or Basic and never re-enroll.
        at_least: fewer are refused.
        at_most: more are refused.

    Raises:
        pulumi.RunError: Command can't be read, an argument is wrong, or a bound is broken.
    """
    from keyfactor_provider.operations.lookup import Filter, find

    wanted = Filter(
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
        # As `pulumi.runtime.invoke` does: hooks and applies of other resources go on meanwhile.
        everyone = _of_the_test(wanted) if run.mocked else _sync_await(run.everyone())
        found = find(everyone, wanted)
    except ProviderError as error:
        raise pulumi.RunError(str(error)) from None
    if found.unmatched:
        pulumi.log.warn(f"The look-up with {wanted.describe()}: exclude {', '.join(found.unmatched)} excludes nobody.")
    return found


def _of_the_test(wanted: "Filter") -> "list[Orchestrator]":
    """What a unit test's mocks say that Command has.

    Raises:
        pulumi.RunError: they say nothing, or what can't be read.
    """
    import msgspec

    from keyfactor_provider.operations.lookup import Orchestrator

    given: dict[str, Any] = {}
    for each in fields(wanted):
        value = getattr(wanted, each.name)
        given[each.name] = value.total_seconds() if isinstance(value, timedelta) else value
    given = {key: value for key, value in given.items() if value or value is False}
    answer = pulumi.runtime.invoke(MOCKED, given).value or {}
    try:
        listed = msgspec.convert(answer["orchestrators"], list[Orchestrator], strict=False)
        return [msgspec.structs.replace(each, id=guid.canonical(each.id)) for each in listed]
    except (KeyError, TypeError, ValueError) as error:
        raise pulumi.RunError(
            f"Mocks.call gave no orchestrators for {MOCKED}: {error}. "
            'Return {"orchestrators": [{"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "machine": "edge-001"}]}.'
        ) from None


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, (str, int)) else tuple(value)
