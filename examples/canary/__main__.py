"""A canary that must be complete before the rest is asked."""

import pulumi

from keyfactor_provider import (
    OrchestratorReenrollment,
    ReenrollmentCompletion,
    ReenrollmentStatus,
    orchestrators,
)

config = pulumi.Config()
chosen = config.require_object("canary")

canary = OrchestratorReenrollment("canary", orchestrator_ids=chosen, status=ReenrollmentStatus.REQUESTED)
# Created once every canary holds its new certificate and uses it; until then each run waits here.
complete = ReenrollmentCompletion("canary-complete", fleet=canary, timeout=config.get_int("timeout") or 3600)

OrchestratorReenrollment(
    "rest",
    orchestrator_ids=orchestrators(machine="edge-*", exclude=chosen).ids,
    status=ReenrollmentStatus.REQUESTED,
    opts=pulumi.ResourceOptions(depends_on=[complete]),
)
