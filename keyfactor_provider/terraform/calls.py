"""What Terraform's calls for a resource carry, in and out, and what a resource offers to be called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tf.schema import Schema
from tf.utils import Diagnostics

from keyfactor_provider.terraform.shared import Shared

State = dict[str, Any]
"""The attributes of a resource or a data source by name: plain values, in which the unknown stands as it came."""


@dataclass
class Call:
    """One call of Terraform's for a resource.

    Attributes:
        private: what the plan of this change left for its apply.
    """

    diagnostics: Diagnostics
    private: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """A planned change; the state is None for a destruction, and what is unknown in it is left to apply."""

    state: State | None
    private: Mapping[str, Any] = field(default_factory=dict)


class _Kind(Protocol):
    """What resources and data sources have in common; made anew for each call."""

    def __init__(self, shared: Shared, /) -> None: ...

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""

    def validate(self, diagnostics: Diagnostics, config: State, /) -> None:
        """Refuses what can't be meant, as far as it is known."""


class Resource(_Kind, Protocol):
    """A managed resource. Whatever it raises as a `ProviderError` becomes the error of the call."""

    def plan(self, call: Call, prior: State | None, config: State | None, /) -> Planned:
        """What an apply would do: a creation without prior state, a destruction without a config."""

    def create(self, call: Call, planned: State, /) -> State:
        """Carries a planned creation out; its state. With an error there is none."""

    def read(self, call: Call, state: State, /) -> State:
        """The state as a refresh finds it."""

    def update(self, call: Call, prior: State, planned: State, /) -> State:
        """Carries a planned update out; its state. With an error the prior one stands."""

    def delete(self, call: Call, prior: State, /) -> None:
        """Carries a planned destruction out; with an error diagnostic the prior state stands."""

    def import_(self, call: Call, import_id: str, /) -> State | None:
        """The state of what is there already, by an ID; None together with an error diagnostic."""


class DataSource(_Kind, Protocol):
    """A data source. Whatever it raises as a `ProviderError` becomes the error of the call."""

    def read(self, call: Call, config: State, /) -> State:
        """The config with the computed attributes."""
