"""A fleet that is rolled out in waves: every run requests as many orchestrators as the waves allow, and ends."""

import pulumi

from keyfactor_provider import OrchestratorReenrollment

config = pulumi.Config()

edge = OrchestratorReenrollment(
    "edge",
    orchestrator_ids=config.require_object("orchestrators"),
    status=config.get("status") or "Requested",
    triggers={"issuing-ca": config.get("issuing-ca") or "2027"},
    canary_ids=config.get_object("canaries"),
    waves=config.get_object("waves") or [5, "10%", "25%"],
    max_failed=config.get("max-failed") or "2%",
    overdue_after=config.get("overdue-after") or "3d",
    paused=config.get_bool("paused") or False,
)

# A loop waits for members that are queued or pending, but not for overdue ones, which max_failed allows.
waiting = pulumi.Output.all(
    edge.queued_orchestrator_ids, edge.pending_orchestrator_ids, edge.overdue_orchestrator_ids
).apply(lambda ids: sorted({*ids[0], *ids[1]} - {*ids[2]}))

pulumi.export("waiting", waiting.apply(len))
pulumi.export("pending", edge.pending_orchestrator_ids)
pulumi.export("queued", edge.queued_orchestrator_ids)
pulumi.export("overdue", edge.overdue_orchestrator_ids)
pulumi.export("failed", edge.failed_orchestrator_ids)
