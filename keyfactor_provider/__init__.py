"""Declare which Keyfactor Command orchestrators must enroll for a new client-authentication certificate.

The public names are resolved on first use: importing pulumi takes 0.6 s and httpx 0.1 s, and neither the provider host
nor the Terraform front end needs both.
"""

from typing import TYPE_CHECKING, Any

from keyfactor_provider.version import RELEASE

if TYPE_CHECKING:
    from keyfactor_provider.dynamic import OrchestratorReenrollment as OrchestratorReenrollment
    from keyfactor_provider.dynamic import ReenrollmentCompletion as ReenrollmentCompletion
    from keyfactor_provider.dynamic import orchestrators as orchestrators
    from keyfactor_provider.operations.lookup import LookupResult as LookupResult
    from keyfactor_provider.operations.lookup import Orchestrator as Orchestrator
    from keyfactor_provider.reenrollment.record import Phase as Phase
    from keyfactor_provider.reenrollment.state import MemberState as MemberState
    from keyfactor_provider.status import ReenrollmentStatus as ReenrollmentStatus

__version__ = RELEASE

_HOMES = {
    "OrchestratorReenrollment": "keyfactor_provider.dynamic",
    "ReenrollmentCompletion": "keyfactor_provider.dynamic",
    "ReenrollmentStatus": "keyfactor_provider.status",
    "orchestrators": "keyfactor_provider.dynamic",
    "LookupResult": "keyfactor_provider.operations.lookup",
    "MemberState": "keyfactor_provider.reenrollment.state",
    "Orchestrator": "keyfactor_provider.operations.lookup",
    "Phase": "keyfactor_provider.reenrollment.record",
}

__all__ = [
    "LookupResult",
    "MemberState",
    "Orchestrator",
    "OrchestratorReenrollment",
    "Phase",
    "ReenrollmentCompletion",
    "ReenrollmentStatus",
    "__version__",
    "orchestrators",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
