"""Whole runs of Terraform, compared with idle resources; the plugin's start-up, memory and calls."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.children import first_line, timed
from bench.measure import Goal, Pairs, Row, Section, seconds
from keyfactor_provider.terraform.provider import ADDRESS
from keyfactor_provider.terraform.serving import COOKIE
from keyfactor_standins.command.process import Command, running

HOW = """The wall time of `terraform` with the plugin in dev_overrides, for N resources with one member each: `plan`
before they exist, `apply` that creates them, and `plan -detailed-exitcode` afterwards. They are compared with N idle
resources, which do nothing, with the same arguments and on the same plugin. Runs are paired, in reversed order in every
repetition; every run must end with the expected exit code. For one resource the figure is the difference in seconds,
for more the ratio. Start-up: from starting the process to its handshake; the bytecode was compiled before. Calls: those
that the stand-in saw in one run of 100 resources with 100 members each, all of its 10,000 orchestrators."""

ROOT = Path(__file__).resolve().parents[1]

_REPETITIONS = {1: 5, 100: 3, 500: 3}
_FLEET, _IDLE = "keyfactorcommand_orchestrator_reenrollment", "keyfactorcommand_idle"
_PLUGIN = "terraform-provider-keyfactorcommand"
_CREATE = ("plan that creates", ("plan", "-detailed-exitcode"), 2)
_NOTHING = ("no-change plan", ("plan", "-detailed-exitcode"), 0)
_APPLY = ("apply that creates", ("apply", "-auto-approve"), 0)


class Module:
    """A root module with one kind of resource."""

    def __init__(self, folder: Path, command: Command, kind: str, groups: list[list[str]]) -> None:
        folder.mkdir(parents=True)
        self._folder, self.peaks = folder, folder / "peaks"
        script = folder / _PLUGIN
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench.served\n')
        script.chmod(0o755)
        config = folder / "tfrc"
        config.write_text(f'provider_installation {{ dev_overrides {{ "{ADDRESS}" = "{folder}" }}\n direct {{}} }}\n')
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KEYFACTOR_"))},
            "TF_CLI_CONFIG_FILE": str(config),
            "CHECKPOINT_DISABLE": "1",
            "PYTHONPATH": str(ROOT),
            "BENCH_PEAKS": str(self.peaks),
            **command.environment(),
        }
        resources = {
            f"n{number:04}": {"orchestrator_ids": ids, "status": "Requested"} for number, ids in enumerate(groups)
        }
        needs = {"required_providers": {"keyfactorcommand": {"source": ADDRESS}}}
        (folder / "main.tf.json").write_text(json.dumps({"terraform": needs, "resource": {kind: resources}}))

    def run(self, arguments: tuple[str, ...], exit_code: int) -> float:
        """Run one command; returns the seconds that it took."""
        return timed(["terraform", *arguments, "-no-color"], self._folder, self._environment, exit_code)


def terraform() -> Section:
    """The section; empty where there is no Terraform."""
    rows = list(_rows()) if shutil.which("terraform") else []
    return Section("Terraform", HOW if rows else "There was no terraform on the PATH, so nothing was measured.", rows)


def _rows() -> Iterator[Row]:
    yield Row("plugin start-up", [_start() for _ in range(15)], "s", Goal("at most", 0.5))
    for size, repetitions in _REPETITIONS.items():
        with running("--orchestrators", str(size)) as command, TemporaryDirectory() as folder:
            yield from _runs(command, Path(folder), size, repetitions)
    yield from _sharing()


def _start() -> float:
    environment = {"PATH": os.environ["PATH"], COOKIE[0]: COOKIE[1]}
    taken, handshake = first_line([sys.executable, "-m", "keyfactor_provider.terraform"], ROOT, environment)
    assert handshake.startswith("1|6|unix|")
    return taken


def _runs(command: Command, folder: Path, size: int, repetitions: int) -> Iterator[Row]:
    groups = [[agent_id] for agent_id in command.ids()]
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    peaks: list[float] = []
    for repetition in range(repetitions):
        kinds = (_FLEET, _IDLE)
        modules = [Module(folder / f"{repetition}-{kind}", command, kind, groups) for kind in kinds]
        command.world(change={ids[0]: {"flag": 0} for ids in groups})
        for what, arguments, exit_code in (_CREATE, _APPLY, _NOTHING):
            taken = pairs.setdefault(what, ([], []))
            order = list(zip(taken, modules, strict=True))
            for times, module in order if repetition % 2 == 0 else reversed(order):
                times.append(module.run(arguments, exit_code))
        peaks.append(max(map(float, modules[0].peaks.read_text().split())))
        assert set(command.flags().values()) == {"Requested"}
    for what, (ours, theirs) in pairs.items():
        paired = Pairs(ours, theirs)
        if size == 1:
            yield Row(f"{what}, 1 resource: more than idle", paired.differences(), "s", aside=paired.aside())
        else:
            aside = f"{paired.aside()}, {seconds((median(ours) - median(theirs)) / size)} more a resource"
            yield Row(f"{what}, {size} resources: over idle", paired.ratios(), "x", aside=aside)
    yield Row(f"peak memory of a plugin process, {size} {'resource' if size == 1 else 'resources'}", peaks, "MB")


def _sharing() -> Iterator[Row]:
    with running("--orchestrators", "10000") as command, TemporaryDirectory() as folder:
        ids = command.ids()
        groups = [ids[start : start + 100] for start in range(0, len(ids), 100)]
        module = Module(Path(folder) / "shared", command, _FLEET, groups)
        for what, arguments, exit_code in (_CREATE, _APPLY, _NOTHING):
            command.forget()
            taken = module.run(arguments, exit_code)
            calls = command.journal()
            pages = sum(1 for call in calls if call["path"] == "/Agents")
            lists = sum(1 for call in calls if call["path"] == "/Agents" and _page(call) == "1")
            posts = sum(1 for call in calls if call["method"] == "POST")
            other = len(calls) - pages - posts
            aside = f"in {seconds(taken)}: {pages} pages, {other} single agents, {posts} POSTs"
            yield Row(
                f"{what}, 100 resources sharing 10,000 agents: times that the list is read", [lists], "", aside=aside
            )
        peak = max(map(float, module.peaks.read_text().split()))
        yield Row("peak memory of a plugin process, 100 resources sharing 10,000 agents", [peak], "MB")


def _page(call: Any) -> Any:
    return call["query"].get("PageReturned")
