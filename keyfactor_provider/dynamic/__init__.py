"""Front end: the Pulumi dynamic resources.

The path of the provider classes (`keyfactor_provider.dynamic.ReenrollmentProvider`) stands in every stack's state: it
never changes. The providers run in the SDK's provider host, the resources in the program.
"""

from keyfactor_provider.dynamic.lookup import orchestrators
from keyfactor_provider.dynamic.providers import CompletionProvider, ReenrollmentProvider
from keyfactor_provider.dynamic.resources import OrchestratorReenrollment, ReenrollmentCompletion

__all__ = [
    "CompletionProvider",
    "OrchestratorReenrollment",
    "ReenrollmentCompletion",
    "ReenrollmentProvider",
    "orchestrators",
]
