"""The Pulumi plugin for the bench: the product's, with a resource that does nothing beside its own.

`python -m bench.pluginserved` is what Pulumi starts. When it ends it adds its peak of memory to $BENCH_PEAKS.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.machine import peak_memory
from keyfactor_provider.plugin.fleets import Call, Differences, Result
from keyfactor_provider.plugin.protocol import provider_pb2
from keyfactor_provider.plugin.schema import FLEET, document
from keyfactor_provider.plugin.servicer import Servicer
from keyfactor_provider.plugin.serving import serve
from keyfactor_provider.plugin.values import Bag

IDLE = "keyfactor:index:Idle"


class Idle:
    """A fleet's arguments, and nothing done with them."""

    def check(self, _call: Call, news: Bag) -> tuple[Bag, list[Any]]:
        """Anything goes."""
        return news, []

    def diff(self, _call: Call, _old_inputs: Bag, _outputs: Bag, _news: Bag) -> tuple[bool, Differences]:
        """Never."""
        return False, {}

    def preview(self, call: Call, _outputs: Bag | None, news: Bag) -> Result:
        """As written."""
        return Result(call.id, news.values, reads_first=False)

    def create(self, call: Call, news: Bag) -> Result:
        """As written."""
        return Result(call.name, news.values, reads_first=False)

    def delete(self, _call: Call, _outputs: Bag) -> None:
        """Nothing."""


class BenchServicer(Servicer):
    """The product's, and the idle resource."""

    def resources(self) -> Mapping[str, Any]:
        """All of them."""
        return {**super().resources(), IDLE: Idle()}

    def GetSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # gRPC names it
        """The product's, in which the idle resource takes what a fleet takes."""
        made = document()
        fleet = made["resources"][FLEET]
        made["resources"][IDLE] = {
            "inputProperties": fleet["inputProperties"],
            "properties": fleet["inputProperties"],
            "requiredInputs": fleet["requiredInputs"],
        }
        return provider_pb2.GetSchemaResponse(schema=json.dumps(made))


def main() -> None:
    """Serve, and leave the peak of memory."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    serve(sys.argv[-1], os.getppid(), BenchServicer)
    if peaks := os.environ.get("BENCH_PEAKS"):
        with Path(peaks).open("a", encoding="utf-8") as file:
            file.write(f"{peak_memory()}\n")
    os._exit(0)


if __name__ == "__main__":
    main()
