"""The status as one self-contained HTML page; it needs no server and no network, and is complete without JavaScript."""

import base64
import hashlib
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup

from keyfactor_provider.cli import course
from keyfactor_provider.cli.durations import ago, utc
from keyfactor_provider.cli.reporting import Report
from keyfactor_provider.cli.standing import Standing
from keyfactor_provider.cli.waves import Progress
from keyfactor_provider.version import RELEASE

_COUNTS: Final = (
    ("members", "Members"),
    ("requested", "Requested"),
    ("pending", "Pending"),
    ("overdue", "Overdue"),
    ("re_enrolled", "Re-enrolled"),
    ("in_use", "In use"),
    ("queued", "Queued"),
    ("failed", "Failed"),
    ("drift", "Drift"),
)
_MARKS: Final = {"failed": "✕", "overdue": "▲", "drift": "◆", "waiting": "○"}
"""Shapes beside the words of a state, so that nothing is conveyed by colour alone."""


def page(report: Report) -> str:
    """The page. The template escapes every text."""
    # The policy allows this style and this script by their hashes, and nothing else.
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("page.html.j2")).render(
        policy=policy,
        style=Markup(style),  # noqa: S704  # this project's own file
        script=Markup(script),  # noqa: S704  # this project's own file
        release=RELEASE,
        at=utc(report.at),
        live=report.live,
        notes=report.notes,
        fleets=[_fleet(standing, report) for standing in report.standings],
        stragglers=[
            {"member": straggler, "mark": _MARKS[straggler.kind], "ago": ago(straggler.since, report.at)}
            for standing in report.standings
            for straggler in standing.stragglers
        ],
        box=course,
    )


def _fleet(standing: Standing, report: Report) -> dict[str, Any]:
    record, progress = standing.fleet.record, standing.progress
    return {
        "standing": standing,
        "counts": [(label, standing.counts.get(name)) for name, label in _COUNTS],
        "waves": _waves(progress) if progress else [],
        "course": course.course(record, progress.waves, report.at) if record and progress else None,
    }


def _waves(progress: Progress) -> list[tuple[str, int, int, str]]:
    """Each wave: its name, its size, how many have started by its end, and its state."""
    place, start, rows = progress.place, 0, []
    for number, wave in enumerate(progress.waves):
        state = "finished" if place is None or number < place else "waiting"
        if number == place:
            state = progress.counted.blocked or "in progress"
        rows.append((wave.name, wave.ends - start, wave.ends, state))
        start = wave.ends
    return rows


def _part(name: str) -> str:
    return resources.files("keyfactor_provider.cli").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
