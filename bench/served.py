"""The Terraform plugin for the bench: the product's, with a resource that does nothing beside its own.

`python -m bench.served` is what Terraform starts. When it ends it adds its peak of memory to $BENCH_PEAKS.
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
    """A fleet's required arguments, and nothing done with them."""

    def __init__(self, _shared: Shared) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "idle"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""
        given = [
            Attribute("orchestrator_ids", Set(String()), required=True),
            Attribute("status", String(), required=True),
        ]
        return Schema(attributes=[*given, Attribute("id", String(), computed=True)], version=1)

    def validate(self, _diagnostics: Any, _config: Any) -> None:
        """Anything goes."""

    def plan(self, _call: Any, prior: Any, config: Any) -> Planned:
        """As written."""
        if config is None:
            return Planned(None)
        return Planned({**config, "id": prior["id"] if prior else UNKNOWN})

    def create(self, _call: Any, planned: dict[str, Any]) -> dict[str, Any]:
        """An id."""
        return {**planned, "id": str(uuid.uuid4())}

    def read(self, _call: Any, state: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return state

    def update(self, _call: Any, _prior: Any, planned: dict[str, Any]) -> dict[str, Any]:
        """As planned."""
        return planned

    def delete(self, _call: Any, _prior: Any) -> None:
        """Nothing."""


class Provider(CommandProvider):
    """The product's, and the idle resource."""

    def get_resources(self) -> list[Any]:
        """Both."""
        return [*super().get_resources(), Idle]


def main() -> None:
    """Serve, and leave the peak of memory."""
    serve(Servicer(Provider()))
    if peaks := os.environ.get("BENCH_PEAKS"):
        with Path(peaks).open("a", encoding="utf-8") as file:
            file.write(f"{peak_memory()}\n")


if __name__ == "__main__":
    main()
