"""`python -m tests.concurrency.many N`: runs a program with N fleets under the SDK's mocks; prints their number."""

import asyncio
import sys
from typing import Any

import pulumi

from keyfactor_provider import OrchestratorReenrollment

GUID = "3f2504e0-4f89-11d3-9a0c-{:012x}"


class Counting(pulumi.runtime.Mocks):
    """Counts the registered fleets."""

    registered = 0

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:  # noqa: ARG002
        return {}, None

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.registered += "OrchestratorReenrollment" in args.typ
        return args.name, args.inputs


def main(number: int) -> None:
    mocks = Counting()
    pulumi.runtime.set_mocks(mocks)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]  # the SDK leaves it untyped
    def program() -> None:
        for index in range(number):
            OrchestratorReenrollment(f"fleet-{index}", orchestrator_ids=[GUID.format(index)], status="Requested")

    program()
    print(f"{mocks.registered} registered")


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    main(int(sys.argv[1]))
