"""The figures as a table on the screen and as RESULTS.md."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from bench.measure import Row, Section, seconds

_COLUMNS = ("Figure", "Median", "Min", "Max", "Runs", "Goal", "")


def table(sections: Sequence[Section]) -> Table:
    """The table for the screen."""
    shown = Table()
    for column in _COLUMNS:
        shown.add_column(column, justify="left" if column in ("Figure", "") else "right")
    for section in sections:
        shown.add_section()
        shown.add_row(f"[bold]{section.title}[/]")
        for row in section.rows:
            figure = f"{escape(row.what)}\n[dim]{escape(row.aside)}[/]" if row.aside else escape(row.what)
            style = "bold red" if row.verdict == "MISSED" else ""
            shown.add_row(figure, *_cells(row), style=style)
    return shown


def markdown(sections: Sequence[Section], machine: Sequence[str], taken: float) -> str:
    """The text of RESULTS.md; `taken` in seconds."""
    day = datetime.now(UTC).date()
    lines = [
        "# Results of `make bench`",
        "",
        f"Taken on {day} in one run of {taken / 60:.0f} minutes, on:",
        *(f"- {fact}" for fact in machine),
        "",
        "Everything runs on loopback against the stand-in for Command, on the same cores. A ratio is that of the two",
        "runs of a pair. The median of the repetitions counts for a goal. x: times.",
        "",
        "| Figure | Median | Min | Max | Runs | Goal | | Of |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for section in sections:
        lines.append(f"| **{section.title}** | | | | | | | |")
        lines += [f"| {' | '.join([row.what, *_cells(row), row.aside])} |" for row in section.rows]
    lines += ["", "## How it was measured", ""]
    for section in sections:
        lines += [f"**{section.title}.** {section.how}", ""]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    goal = f"{row.goal.bound} {_shown(row.goal.value, row.unit)}" if row.goal else ""
    values = [_shown(value, row.unit) for value in (row.median, min(row.values), max(row.values))]
    return [*values, str(len(row.values)), goal, row.verdict]


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        return seconds(value)
    text = f"{value:.0f}" if unit in ("", "bytes", "MB") else f"{value:.3g}"
    return f"{text} {unit}".strip()
