"""Rolls out in several Keyfactor Command environments, a few at a time, and prints a table at the end.

`python . environments.yaml` runs `up` of one stack for each environment. If one fails, the others continue, and the
exit code is 1.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation

from keyfactor_provider import OrchestratorReenrollment

PROJECT = "reenroll-environments"
AT_ONCE = 3
"""Each run is a process of the Pulumi CLI and a provider: some 300 MB."""


@dataclass(frozen=True)
class Environment:
    """One Keyfactor Command, and the fleet in it.

    Attributes:
        name: of the stack.
        password_from: the environment variable that holds the password.
    """

    name: str
    hostname: str
    username: str
    password_from: str
    orchestrators: list[str]
    canaries: list[str] = field(default_factory=list)
    waves: list[str | int] = field(default_factory=lambda: [5, "10%"])


@dataclass(frozen=True)
class Outcome:
    """How the run of an environment ended.

    Attributes:
        failure: empty if it succeeded.
        counts: of the fleet, from the recorded state; None if there is no state.
    """

    environment: str
    failure: str
    counts: dict[str, int | None] | None


def main(arguments: Sequence[str]) -> int:
    """Run every environment of the file; returns the exit code."""
    (file,) = arguments
    environments = [Environment(**entry) for entry in yaml.safe_load(Path(file).read_text(encoding="utf-8"))]
    variables = [environment.password_from for environment in environments]
    if missing := [name for name in variables if not os.environ.get(name)]:
        print(f"Set {', '.join(missing)}.", file=sys.stderr)
        return 1
    outcomes = run_all(environments, up)
    print(table(outcomes))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def run_all(
    environments: Iterable[Environment], run: Callable[[Environment], Outcome], at_once: int = AT_ONCE
) -> list[Outcome]:
    """The outcome of each environment, in the same order; at most `at_once` run at a time."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(run, environments))


def up(environment: Environment) -> Outcome:
    """One run of an environment's stack, which is created if necessary."""

    def program() -> None:
        OrchestratorReenrollment(
            "edge",
            orchestrator_ids=environment.orchestrators,
            status="Requested",
            canary_ids=environment.canaries or None,
            waves=environment.waves,
            max_failed="2%",
            overdue_after="2d",
        )

    def show(line: str) -> None:
        print(f"{environment.name}: {line}", flush=True)

    failure, counts = "", None
    try:
        stack = automation.create_or_select_stack(environment.name, project_name=PROJECT, program=program)
        # In the stack's config and not in os.environ, because all environments share this process.
        for key, value, secret in (
            ("hostname", environment.hostname, False),
            ("username", environment.username, False),
            ("password", os.environ[environment.password_from], True),
        ):
            stack.set_config(f"keyfactor:{key}", automation.ConfigValue(value, secret))
        try:
            stack.up(on_output=show, color="never")
        finally:
            counts = recorded(stack.export_stack())
    except automation.CommandError as error:
        failure = error_line(str(error))
    return Outcome(environment.name, failure, counts)


def recorded(deployment: automation.Deployment) -> dict[str, int | None] | None:
    """The counts that `keyfactor-reenrollment status` reports for an exported state."""
    document = json.dumps({"version": deployment.version, "deployment": deployment.deployment})
    command = ["keyfactor-reenrollment", "status", "-", "--json"]
    process = subprocess.run(command, input=document, capture_output=True, text=True, check=False)  # noqa: S603
    if process.returncode:
        return None
    fleets: list[dict[str, Any]] = json.loads(process.stdout)["fleets"]
    return next((fleet["counts"] for fleet in fleets if fleet["name"] == "edge"), None)


def error_line(output: str) -> str:
    """The line with the reason, from all the output of a failed command."""
    lines = [line.strip() for line in output.splitlines()]
    errors = [line for line in lines if line.startswith("error: ") and line != "error: update failed"]
    return (errors or [line for line in lines if line] or ["no output"])[0].removeprefix("error: ")


def table(outcomes: Sequence[Outcome]) -> str:
    """One line for each environment, the failed ones with the reason."""
    columns = ("requested", "re_enrolled", "in_use", "queued", "overdue", "failed")
    width = max((len(outcome.environment) for outcome in outcomes), default=0)
    heading = "".join(f"{column.replace('_', '-'):>13}" for column in columns)
    lines = [f"{'':{width}}  {heading}"]
    for outcome in outcomes:
        numbers = [(outcome.counts or {}).get(column) for column in columns]
        cells = "".join(f"{'-' if number is None else number:>13}" for number in numbers)
        lines.append(f"{outcome.environment:{width}}  {cells}  {outcome.failure or 'succeeded'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
