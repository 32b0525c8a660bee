"""Front end: the Pulumi dynamic resources.

The path of the provider classes (`keyfactor_provider.dynamic.ReenrollmentProvider`) is part of every stack's state and
never changes. The providers run in the SDK's provider host, the resources in the program.

Raises:
    ImportError: the extra `pulumi` is not installed.
"""

from importlib.util import find_spec

if find_spec("pulumi") is None:
    raise ImportError(
        "The Pulumi resources are an extra of this package. Run: pip install 'keyfactor-provider[pulumi]'"
    )

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
