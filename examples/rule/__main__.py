"""A fleet given as a rule: whoever matches when the program runs."""

import pulumi

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentStatus, orchestrators

config = pulumi.Config()

found = orchestrators(
    machine="edge-*",
    platform="Native",
    exclude=config.get_object("exclude") or [],
    # A typing error in the pattern must not turn into an empty fleet, or into a fleet of everything.
    at_least=config.get_int("at-least") or 3,
    at_most=500,
)
OrchestratorReenrollment("edge", orchestrator_ids=found.ids, status=ReenrollmentStatus.REQUESTED)

pulumi.export("machines", sorted(orchestrator.machine for orchestrator in found))
