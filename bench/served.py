"""The product's Terraform plugin with an additional resource that does nothing.

Terraform starts it as `python -m bench.served`. When it ends, it appends its peak memory to $BENCH_PEAKS.
"""

import os
import uuid
from pathlib import Path
from typing import Any

from tf.schema import Attribute, Schema
from tf.types import Set, String

from bench.machine import peak_memory
from keyfactor_provider.terraform.calls import Planned
from keyfactor_provider.terraform.provider import CommandProvider
from keyfactor_provider.terraform.servicer import Servicer
from keyfactor_provider.terraform.serving import serve
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import UNKNOWN


class Idle:
    """Takes a fleet's required arguments and does nothing with them."""

    def __init__(self, _shared: Shared) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "idle"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""
        attributes = [
            Attribute("orchestrator_ids", Set(String()), required=True),
            Attribute("status", String(), required=True),
            Attribute("id", String(), computed=True),
        ]
        return Schema(attributes=attributes, version=1)

    def validate(self, _diagnostics: Any, _config: Any) -> None:
        """Accept everything."""

    def plan(self, _call: Any, prior: Any, config: Any) -> Planned:
        """The inputs."""
        if config is None:
            return Planned(None)
        return Planned({**config, "id": prior["id"] if prior else UNKNOWN})

    def create(self, _call: Any, planned: dict[str, Any]) -> dict[str, Any]:
        """Add an id."""
        return {**planned, "id": str(uuid.uuid4())}

    def read(self, _call: Any, state: dict[str, Any]) -> dict[str, Any]:
        """The state as it is."""
        return state

    def update(self, _call: Any, _prior: Any, planned: dict[str, Any]) -> dict[str, Any]:
        """The plan."""
        return planned

    def delete(self, _call: Any, _prior: Any) -> None:
        """Do nothing."""


class Provider(CommandProvider):
    """The product's provider with the idle resource."""

    def get_resources(self) -> list[Any]:
        """All resource types."""
        return [*super().get_resources(), Idle]


def main() -> None:
    """Serve, then append the peak memory."""
    serve(Servicer(Provider()))
    if peaks := os.environ.get("BENCH_PEAKS"):
        with Path(peaks).open("a", encoding="utf-8") as file:
            file.write(f"{peak_memory()}\n")


if __name__ == "__main__":
    main()
