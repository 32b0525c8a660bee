"""A canary that must be complete before the rest is requested."""

import pulumi

from keyfactor_provider import (
    OrchestratorReenrollment,
    ReenrollmentCompletion,
    ReenrollmentStatus,
    orchestrators,
)

config = pulumi.Config()
canaries = config.require_object("canary")

canary = OrchestratorReenrollment("canary", orchestrator_ids=canaries, status=ReenrollmentStatus.REQUESTED)
# Created once every canary has re-enrolled and uses its new certificate; until then each run waits here.
complete = ReenrollmentCompletion("canary-complete", fleet=canary, timeout=config.get_int("timeout") or 3600)

OrchestratorReenrollment(
    "rest",
    orchestrator_ids=orchestrators(machine="edge-*", exclude=canaries).ids,
    status=ReenrollmentStatus.REQUESTED,
    opts=pulumi.ResourceOptions(depends_on=[complete]),
)
