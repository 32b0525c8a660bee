"""Whole runs of the native Pulumi plugin, compared with idle resources and with dynamic resources."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.children import first_line, timed
from bench.measure import Goal, Pairs, Row, Section, seconds
from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command, running

HOW = """The wall time of the Pulumi CLI with a YAML program of N resources with one member each: `preview` before they
exist, `up --skip-preview` that creates them, and `preview --expect-no-changes` afterwards. They are compared with N
idle resources, which do nothing, with the same arguments and on the same plugin, and with a Python program of N dynamic
resources. The order is reversed in every repetition; every run must succeed. For one resource the figure is the
difference in seconds, for more the ratio. Idle resources are not read before a run, unlike fleets. Start-up: from
starting the process to the line with its port; the bytecode was compiled before. Each provider process writes down its
peak memory when it ends."""

ROOT = Path(__file__).resolve().parents[1]

_NEEDED = ("pulumi", "pulumi-language-yaml")
_REPETITIONS = {1: 5, 100: 3, 500: 3}
_FLEET, _IDLE, _DYNAMIC = "keyfactor:OrchestratorReenrollment", "keyfactor:Idle", "dynamic"
_STEPS = (
    ("preview that creates", ("preview",)),
    ("up that creates", ("up", "--yes", "--skip-preview")),
    ("no-change preview", ("preview", "--expect-no-changes")),
)
_PROGRAM = """\
import json
from pathlib import Path

from keyfactor_provider import OrchestratorReenrollment

for name, ids in json.loads(Path("fleets.json").read_text()).items():
    OrchestratorReenrollment(name, orchestrator_ids=ids, status="Requested")
"""


class Program:
    """A program with one kind of resource, and its stack."""

    def __init__(self, folder: Path, command: Command, kind: str, groups: Sequence[Sequence[str]]) -> None:
        folder.mkdir(parents=True)
        self._folder, self.peaks = folder, folder / "peaks"
        plugin = folder / "home" / "plugins" / f"resource-keyfactor-v{RELEASE}"
        plugin.mkdir(parents=True)
        script = plugin / "pulumi-resource-keyfactor"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench.pluginserved "$@"\n')
        script.chmod(0o755)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "KEYFACTOR_"))},
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": str(ROOT),
            "BENCH_PEAKS": str(self.peaks),
            **command.environment(),
        }
        fleets = {f"n{number:04}": list(ids) for number, ids in enumerate(groups)}
        if kind == _DYNAMIC:
            runtime: object = {"name": "python", "options": {"virtualenv": sys.prefix}}
            (folder / "__main__.py").write_text(_PROGRAM)
            (folder / "fleets.json").write_text(json.dumps(fleets))
            resources = {}
        else:
            runtime = "yaml"
            resources = {
                name: {"type": kind, "properties": {"orchestratorIds": ids, "status": "Requested"}}
                for name, ids in fleets.items()
            }
        # JSON is YAML.
        program = {"name": "bench", "runtime": runtime, **({"resources": resources} if resources else {})}
        (folder / "Pulumi.yaml").write_text(json.dumps(program))
        self.run(("stack", "init", "bench"))

    def run(self, arguments: tuple[str, ...]) -> float:
        """Run one command; returns the seconds that it took."""
        return timed(["pulumi", "--non-interactive", *arguments], self._folder, self._environment)


def plugin() -> Section:
    """The section; only the start-up where there is no Pulumi CLI."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    rows = [Row("plugin start-up", [_start() for _ in range(15)], "s", Goal("at most", 0.3))]
    if missing:
        how = f"{HOW} There was no {' and no '.join(missing)} on the PATH, so no run was measured."
        return Section("The Pulumi plugin", how, rows)
    for size, repetitions in _REPETITIONS.items():
        with running("--orchestrators", str(size)) as command, TemporaryDirectory() as folder:
            rows += _runs(command, Path(folder), size, repetitions)
    return Section("The Pulumi plugin", HOW, rows)


def _start() -> float:
    line = [sys.executable, "-m", "keyfactor_provider.plugin", "127.0.0.1:1"]
    taken, port = first_line(line, ROOT, {"PATH": os.environ["PATH"]})
    assert int(port)
    return taken


def _runs(command: Command, folder: Path, size: int, repetitions: int) -> Iterator[Row]:
    groups = [[agent_id] for agent_id in command.ids()]
    kinds = [_FLEET, _IDLE]
    if shutil.which("pulumi-language-python"):
        kinds.append(_DYNAMIC)
    times: dict[tuple[str, str], list[float]] = {}
    peaks: list[float] = []
    for repetition in range(repetitions):
        order = list(enumerate(kinds))
        for number, kind in order if repetition % 2 == 0 else reversed(order):
            program = Program(folder / f"{repetition}-{number}", command, kind, groups)
            command.world(change={ids[0]: {"flag": 0} for ids in groups})
            for what, arguments in _STEPS:
                times.setdefault((what, kind), []).append(program.run(arguments))
            if kind == _FLEET:
                peaks.append(max(map(float, program.peaks.read_text().split())))
            if kind != _IDLE:
                assert set(command.flags().values()) == {"Requested"}
    of = "1 resource" if size == 1 else f"{size} resources"
    for what, _ in _STEPS:
        pairs = Pairs(times[what, _FLEET], times[what, _IDLE])
        if size == 1:
            yield Row(f"{what}, {of}: more than idle", pairs.differences(), "s", aside=pairs.aside())
        else:
            yield Row(f"{what}, {of}: over idle", pairs.ratios(), "x", Goal("at most", 1.15), pairs.aside())
        if _DYNAMIC in kinds:
            pairs = Pairs(times[what, _FLEET], times[what, _DYNAMIC])
            aside = f"{pairs.aside()}, {seconds(median(pairs.ours) / size)} a resource"
            yield Row(f"{what}, {of}: over dynamic resources", pairs.ratios(), "x", aside=aside)
    yield Row(f"peak memory of a plugin process, {of}", peaks, "MB")
