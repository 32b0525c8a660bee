"""The stack at the root of this repository: any number of fleets, declared in the stack's config."""

from typing import Any

import msgspec
import pulumi

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion, orchestrators

EXAMPLE = """
  keyfactor-reenrollment:fleets:
    - name: canary
      orchestrators: [3f2504e0-4f89-11d3-9a0c-0305e82c3301]
      status: Requested
    - name: edge
      rule: {machine: "edge-*", exclude: ["edge-lab-*"], at_least: 5}
      status: Requested
      after: canary"""


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """Selects members by their properties; each takes one value or a list."""

    machine: str | list[str] = []
    platform: str | int | list[str | int] = []
    capability: str | list[str] = []
    identity: str | list[str] = []
    exclude: str | list[str] = []
    with_certificate: bool | None = None
    at_least: int = 1
    at_most: int | None = None


class Fleet(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of the config key `fleets`."""

    name: str
    status: str | int
    orchestrators: list[str] | None = None
    rule: Rule | None = None
    triggers: dict[str, str | int | float | bool] = {}
    # Validated by the resource, whose messages are better than a struct's.
    on_removal: Any = "unset"
    on_failure: Any = "error"
    waves: Any = None
    canaries: Any = None
    max_failed: Any = None
    overdue_after: Any = None
    paused: Any = False
    after: str | None = None
    wait: bool = False
    timeout: float = 3600
    completion_max_failed: Any = None


def declared(config: pulumi.Config) -> list[Fleet]:
    """The fleets of the stack's config.

    Raises:
        pulumi.RunError: there are none, or one is invalid; names the key and shows an example.
    """
    key = "keyfactor-reenrollment:fleets"

    def refuse(problem: str) -> pulumi.RunError:
        return pulumi.RunError(f"{key}{problem}. Expected in Pulumi.{pulumi.get_stack()}.yaml:\nconfig:{EXAMPLE}")

    raw: Any = config.get_object("fleets")
    if not raw:
        raise refuse(" declares no fleet")
    try:
        fleets = msgspec.convert(raw, list[Fleet])
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise refuse(f"{place.rstrip('`')} can't be used: {message}") from None
    names: list[str] = []
    for number, fleet in enumerate(fleets):
        if fleet.name in names or not fleet.name:
            raise refuse(f"[{number}].name is {fleet.name!r}; expected a name that no other fleet has")
        if (fleet.orchestrators is None) is (fleet.rule is None):
            raise refuse(f"[{number}] ({fleet.name}) needs either orchestrators or rule")
        criteria = fleet.rule and (
            fleet.rule.machine or fleet.rule.platform or fleet.rule.capability or fleet.rule.identity
        )
        if fleet.rule and not criteria:
            raise refuse(f"[{number}].rule needs one of machine, platform, capability and identity")
        if fleet.after is not None and fleet.after not in names:
            raise refuse(f"[{number}].after is {fleet.after!r}; expected a fleet declared before this one")
        names.append(fleet.name)
    return fleets


def declare(fleets: list[Fleet]) -> None:
    """Declares every fleet, and the completions that others wait for."""
    awaited = {fleet.after for fleet in fleets}
    completions: dict[str, pulumi.Resource] = {}
    for fleet in fleets:
        if fleet.rule is not None:
            members: list[str] = orchestrators(**msgspec.structs.asdict(fleet.rule)).ids
        else:
            members = fleet.orchestrators or []
        after = [completions[fleet.after]] if fleet.after else []
        resource = OrchestratorReenrollment(
            fleet.name,
            orchestrator_ids=members,
            status=fleet.status,
            triggers={name: _text(value) for name, value in fleet.triggers.items()},
            on_removal=fleet.on_removal,
            on_failure=fleet.on_failure,
            waves=fleet.waves,
            canary_ids=fleet.canaries,
            max_failed=fleet.max_failed,
            overdue_after=fleet.overdue_after,
            paused=fleet.paused,
            opts=pulumi.ResourceOptions(depends_on=after),
        )
        if fleet.wait or fleet.name in awaited:
            completions[fleet.name] = ReenrollmentCompletion(
                f"{fleet.name}-complete", fleet=resource, timeout=fleet.timeout, max_failed=fleet.completion_max_failed
            )
        pulumi.export(fleet.name, summary(resource))


def summary(fleet: OrchestratorReenrollment) -> dict[str, pulumi.Output[Any]]:
    """The outputs of a fleet: the number of members in each state, and their GUIDs."""
    outputs: dict[str, pulumi.Output[Any]] = {}
    for name, ids in (
        ("reenrolled", fleet.reenrolled_orchestrator_ids),
        ("pending", fleet.pending_orchestrator_ids),
        ("queued", fleet.queued_orchestrator_ids),
        ("overdue", fleet.overdue_orchestrator_ids),
        ("failed", fleet.failed_orchestrator_ids),
    ):
        outputs[name] = ids.apply(len)
        outputs[f"{name}_ids"] = ids
    return outputs


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


declare(declared(pulumi.Config()))
