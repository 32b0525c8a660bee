"""The interface between `servicer` and the resources and data sources."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tf.schema import Schema
from tf.utils import Diagnostics

from keyfactor_provider.terraform.shared import Shared

State = dict[str, Any]
"""The attributes of a resource or data source by name: plain values, with unknown values as they came."""


@dataclass
class Call:
    """One call from Terraform for a resource.

    Attributes:
        private: the data that the plan of this change stored for its apply.
    """

    diagnostics: Diagnostics
    private: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """A planned change. The state is None for a destruction; its unknown values are known after apply."""

    state: State | None
    private: Mapping[str, Any] = field(default_factory=dict)


class _Kind(Protocol):
    """What resources and data sources have in common; each call gets a new instance."""

    def __init__(self, shared: Shared, /) -> None: ...

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""

    def validate(self, diagnostics: Diagnostics, config: State, /) -> None:
        """Refuses invalid values, as far as they are known."""


class Resource(_Kind, Protocol):
    """A managed resource. A `ProviderError` becomes the error of the call."""

    def plan(self, call: Call, prior: State | None, config: State | None, /) -> Planned:
        """What an apply would do. Without prior state it is a creation, without a config a destruction."""

    def create(self, call: Call, planned: State, /) -> State:
        """Carries out a planned creation and returns the state; an exception leaves none."""

    def read(self, call: Call, state: State, /) -> State:
        """The state after a refresh."""

    def update(self, call: Call, prior: State, planned: State, /) -> State:
        """Carries out a planned update and returns the state; an exception leaves the prior state."""

    def delete(self, call: Call, prior: State, /) -> None:
        """Carries out a planned destruction; an error diagnostic leaves the prior state."""

    def import_(self, call: Call, import_id: str, /) -> State | None:
        """The state of an existing object by its ID; None together with an error diagnostic."""


class DataSource(_Kind, Protocol):
    """A data source. A `ProviderError` becomes the error of the call."""

    def read(self, call: Call, config: State, /) -> State:
        """The config, completed by the computed attributes."""
