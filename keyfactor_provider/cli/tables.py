"""Tables for a terminal or a CI log, drawn by rich. Texts are shown literally, without rich's markup."""

import os
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keyfactor_provider import text
from keyfactor_provider.cli.standing import Standing, Straggler
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.lookup import PLATFORMS, STATUSES

_WIDE: Final = 180
"""The width where it is unknown: in a file, a pipe, a CI log."""

_COLUMNS: Final = (
    ("Members", "members"),
    ("Requested", "requested"),
    ("Pending", "pending"),
    ("Overdue", "overdue"),
    ("Re-enrolled", "re_enrolled"),
    ("In use", "in_use"),
    ("Queued", "queued"),
    ("Failed", "failed"),
    ("Drift", "drift"),
)
_STYLES: Final = {"failed": "bold red", "overdue": "yellow", "drift": "magenta", "waiting": ""}


def show_orchestrators(agents: Sequence[Agent]) -> None:
    """A table of orchestrators."""
    table = _table("Orchestrator", "Machine", "Identity", "Platform", "Version", "Status", "Last seen", "Flag")
    for agent in agents:
        platform = PLATFORMS[agent.platform] if 0 <= agent.platform < len(PLATFORMS) else str(agent.platform)
        status = STATUSES.get(agent.status, str(agent.status))
        cells = (agent.id, agent.machine, agent.identity, platform, agent.version, status, agent.last_seen, agent.flag)
        table.add_row(*(Text(text.safe(cell)) for cell in cells))
    console = _console()
    console.print(table)
    console.print(Text(text.count(len(agents))))


def show_status(standings: Sequence[Standing]) -> None:
    """A table of fleets, and for each a table of at most text.MOST_NAMED stragglers."""
    console = _console()
    table = _table("Fleet", "Status", "Wave")
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for one in standings:
        numbers = [one.counts.get(name) for _, name in _COLUMNS]
        cells = (one.name, one.status or "?", one.wave or "-")
        table.add_row(*map(Text, cells), *(Text("-" if number is None else str(number)) for number in numbers))
    console.print(table)
    for one in standings:
        if one.fleet.unreadable:
            console.print(Text(f"{one.name}: {one.fleet.unreadable}"))
        if one.trouble:
            console.print(Text(f"{one.name}: the last run reported: {one.trouble}"))
        if one.stragglers:
            console.print()
            console.print(_stragglers(one.name, one.stragglers))
            if (more := len(one.stragglers) - text.MOST_NAMED) > 0:
                console.print(Text(f"and {more} more; --json and --html list them all"))


def _stragglers(fleet: str, stragglers: Sequence[Straggler]) -> Table:
    shown = stragglers[: text.MOST_NAMED]
    columns = {
        "State": [one.state if not one.reason else f"{one.state}: {one.reason}" for one in shown],
        "Requested at": [one.since for one in shown],
        "Last seen": [one.last_seen for one in shown],
        "Last error": [one.last_error for one in shown],
        "Version": [one.version for one in shown],
    }
    kept = {heading: cells for heading, cells in columns.items() if any(cells)}
    table = _table("Machine", "Orchestrator", *kept)
    table.title, table.title_justify = Text(f"{fleet}: {text.count(len(stragglers))} not done"), "left"
    for place, one in enumerate(shown):
        cells = [one.machine or "-", one.id, *(cells[place] for cells in kept.values())]
        table.add_row(*map(Text, cells), style=_STYLES[one.kind])
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "Orchestrator")
    return table


def _console() -> Console:
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else _WIDE, highlight=False, emoji=False, markup=False)
