"""A policy pack for fleets: how many orchestrators may be requested at once, and what Required needs.

It checks the inputs of each fleet, which a preview knows, and never reads Keyfactor Command.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

FLEET = "pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"
MOST = 500
"""The default for the number of orchestrators that may be requested at once."""


def violations(inputs: Mapping[str, Any], most: int) -> Iterator[str]:
    """The rules that a fleet breaks, one sentence each.

    Args:
        inputs: of the resource, as the engine has them. `orchestrators` is a map from GUID to status, and is missing
            while the members are unknown.
        most: how many orchestrators may be requested at once.
    """
    status, waves, canaries = inputs.get("status"), inputs.get("waves"), inputs.get("canary_ids")
    if status == "None":
        return
    if status == "Required" and not canaries:
        yield "Required blocks orchestrators that can't enroll. Name some of them in canary_ids to request them first."
    members = inputs.get("orchestrators")
    if not isinstance(members, Mapping):
        return
    count = len(members)
    if not waves:
        rest = count - len(canaries or ())
        if rest > most:
            yield f"{rest} orchestrators would be requested at once, and {most} are allowed. Add waves."
    elif (first := wave_size(waves, count)) > most:
        yield f"The first wave has {first} orchestrators, and {most} are allowed. Make it smaller."


def wave_size(waves: Sequence[str | float], members: int) -> int:
    """How many orchestrators the first wave has: a number, or a percent of the members, rounded up."""
    size = str(waves[0])
    if size.endswith("%"):
        return max(1, math.ceil(Fraction(size[:-1]) * members / 100))
    # A number comes back from the engine as a float.
    return min(int(float(size)), members)


if __name__ == "__main__":
    from pulumi_policy import (
        EnforcementLevel,
        PolicyConfigSchema,
        PolicyPack,
        ReportViolation,
        ResourceValidationArgs,
        ResourceValidationPolicy,
    )

    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        """Report the rules that a fleet breaks."""
        if args.resource_type == FLEET:
            for violation in violations(args.props, int(args.get_config().get("most", MOST))):
                report_violation(violation, None)

    PolicyPack(
        name="keyfactor-reenrollment",
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=[
            ResourceValidationPolicy(
                name="reenrollment-limits",
                description="Required only with canaries; no more orchestrators at once than allowed.",
                validate=validate,
                config_schema=PolicyConfigSchema(properties={"most": {"type": "integer", "minimum": 1}}),
            )
        ],
    )
