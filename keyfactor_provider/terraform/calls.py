"""What Terraform's calls for a resource carry, in and out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tf.utils import Diagnostics

State = dict[str, Any]


@dataclass
class Call:
    """One call of Terraform's for a resource.

    Attributes:
        private: what the plan of this change left for its apply.
        fleet: how `operations` names the resource; Terraform names it itself, so no message has to.
    """

    diagnostics: Diagnostics
    private: dict[str, Any] = field(default_factory=dict)
    fleet: str = ""


@dataclass(frozen=True)
class Planned:
    """A planned change; the state is None for a destruction, and what is unknown in it is left to apply."""

    state: State | None
    private: Mapping[str, Any] = field(default_factory=dict)
