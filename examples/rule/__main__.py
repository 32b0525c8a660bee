"""A fleet given as a rule: all orchestrators that match when the program runs."""

import pulumi

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentStatus, orchestrators

config = pulumi.Config()

members = orchestrators(
    machine="edge-*",
    platform="Native",
    exclude=config.get_object("exclude") or [],
    # A typo in the pattern must not result in an empty fleet, or in a fleet of all orchestrators.
    at_least=config.get_int("at-least") or 3,
    at_most=500,
)
OrchestratorReenrollment("edge", orchestrator_ids=members.ids, status=ReenrollmentStatus.REQUESTED)

pulumi.export("machines", sorted(orchestrator.machine for orchestrator in members))
