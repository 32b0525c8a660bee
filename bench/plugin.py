"""Whole runs of the native Pulumi plugin, next to resources that do nothing, and to the dynamic resources."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.children import die_with_parent
from bench.measure import Goal, Pairs, Row, Section, seconds
from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command, running

HOW = """The wall time of the Pulumi CLI with a YAML program: `preview` of so many resources of one member each that do
not exist yet, `up --skip-preview` that creates them, and `preview --expect-no-changes` when they do; next to as many
resources that do nothing, with the same arguments, on the same plugin, and to a Python program with as many dynamic
resources. The order is reversed each time; every run has to end well. For one resource the figure is the difference in
seconds, for more the ratio. Idle resources are not read before a run, as fleets are. Start-up: from starting the
process to the line with its port, the bytes compiled before. Each provider process notes its peak of memory when it
ends."""

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
    """A program of one kind of resource, and its stack."""

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
        """The seconds that one command took."""
        began = time.perf_counter()
        done = subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        taken = time.perf_counter() - began
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return taken


def plugin() -> Section:
    """The whole section; empty where there is no Pulumi CLI."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    rows = [Row("plugin start-up", [_start() for _ in range(15)], "s", Goal("at most", 0.3))]
    if missing:
        how = f"{HOW} There was no {' and no '.join(missing)} on the PATH: no run was measured."
        return Section("The Pulumi plugin", how, rows)
    for size, repetitions in _REPETITIONS.items():
        with running("--orchestrators", str(size)) as command, TemporaryDirectory() as folder:
            rows += _runs(command, Path(folder), size, repetitions)
    return Section("The Pulumi plugin", HOW, rows)


def _start() -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "keyfactor_provider.plugin", "127.0.0.1:1"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline())
        taken = time.perf_counter() - began
        process.terminate()
    return taken


def _runs(command: Command, folder: Path, size: int, repetitions: int) -> Iterator[Row]:
    groups = [[one] for one in command.ids()]
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
        made = Pairs(times[what, _FLEET], times[what, _IDLE])
        if size == 1:
            yield Row(f"{what}, {of}: more than idle", made.differences(), "s", aside=made.aside())
        else:
            yield Row(f"{what}, {of}: over idle", made.ratios(), "x", Goal("at most", 1.15), made.aside())
        if _DYNAMIC in kinds:
            beside = Pairs(times[what, _FLEET], times[what, _DYNAMIC])
            each = f"{beside.aside()}, {seconds(median(beside.ours) / size)} a resource"
            yield Row(f"{what}, {of}: over dynamic resources", beside.ratios(), "x", aside=each)
    yield Row(f"peak memory of a plugin process, {of}", peaks, "MB")
