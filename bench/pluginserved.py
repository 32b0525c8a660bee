"""The product's Pulumi plugin with an additional resource that does nothing.

Pulumi starts it as `python -m bench.pluginserved`. When it ends, it appends its peak memory to $BENCH_PEAKS.
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
    """Takes a fleet's arguments and does nothing with them."""

    def check(self, _call: Call, news: Bag) -> tuple[Bag, list[Any]]:
        """Accept everything."""
        return news, []

    def diff(self, _call: Call, _old_inputs: Bag, _outputs: Bag, _news: Bag) -> tuple[bool, Differences]:
        """Nothing changes."""
        return False, {}

    def preview(self, call: Call, _outputs: Bag | None, news: Bag) -> Result:
        """The inputs."""
        return Result(call.id, news.values, reads_first=False)

    def create(self, call: Call, news: Bag) -> Result:
        """The inputs."""
        return Result(call.name, news.values, reads_first=False)

    def delete(self, _call: Call, _outputs: Bag) -> None:
        """Do nothing."""


class BenchServicer(Servicer):
    """The product's servicer with the idle resource."""

    def resources(self) -> Mapping[str, Any]:
        """All resources by type."""
        return {**super().resources(), IDLE: Idle()}

    def GetSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # gRPC names it
        """The product's schema; the idle resource takes what a fleet takes."""
        schema = document()
        fleet = schema["resources"][FLEET]
        schema["resources"][IDLE] = {
            "inputProperties": fleet["inputProperties"],
            "properties": fleet["inputProperties"],
            "requiredInputs": fleet["requiredInputs"],
        }
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))


def main() -> None:
    """Serve, then append the peak memory."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    serve(sys.argv[-1], os.getppid(), BenchServicer)
    if peaks := os.environ.get("BENCH_PEAKS"):
        with Path(peaks).open("a", encoding="utf-8") as file:
            file.write(f"{peak_memory()}\n")
    os._exit(0)


if __name__ == "__main__":
    main()
