"""A fleet given as a list of GUIDs."""

import pulumi

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentStatus

edge = OrchestratorReenrollment(
    "edge",
    orchestrator_ids=pulumi.Config().require_object("orchestrators"),
    status=ReenrollmentStatus.REQUESTED,
    triggers={"issuing-ca": "2027"},
)

pulumi.export("pending", edge.pending_orchestrator_ids)
