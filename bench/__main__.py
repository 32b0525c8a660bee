"""`python -m bench` measures everything, prints a table and writes bench/RESULTS.md.

`python -m bench SECTION ...` measures and prints only these sections, and writes nothing.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from bench import report
from bench.asking import asking
from bench.cli import cli
from bench.deciding import deciding
from bench.fleets import large_fleets
from bench.machine import describe
from bench.measure import Section
from bench.plugin import plugin
from bench.reading import reading
from bench.rollout import rollout
from bench.runs import whole_runs
from bench.terraform import terraform

SECTIONS: Mapping[str, Callable[[], Section]] = {
    "asking": asking,
    "reading": reading,
    "deciding": deciding,
    "rollout": rollout,
    "fleets": large_fleets,
    "runs": whole_runs,
    "cli": cli,
    "terraform": terraform,
    "plugin": plugin,
}

RESULTS = Path(__file__).with_name("RESULTS.md")


def main(names: list[str]) -> int:
    """Measure; returns 0, whatever the figures are, or 2 for an unknown section."""
    console = Console(highlight=False, width=max(120, shutil.get_terminal_size().columns))
    if unknown := [name for name in names if name not in SECTIONS]:
        console.print(f"Unknown section {unknown[0]!r}; expected any of {', '.join(SECTIONS)}")
        return 2
    # On SIGTERM, end the children as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Everything is on loopback; a proxy in the environment must not be used.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    machine, began = describe(), time.monotonic()
    sections = []
    for name in names or SECTIONS:
        console.print(f"[dim]{time.monotonic() - began:4.0f} s  measuring {name} ...[/]")
        sections.append(SECTIONS[name]())
    console.print(report.table(sections))
    if not names:
        RESULTS.write_text(report.markdown(sections, machine, time.monotonic() - began), encoding="utf-8")
        console.print(f"Written to bench/{RESULTS.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
