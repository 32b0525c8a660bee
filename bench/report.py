"""The figures as one table on the screen, and as RESULTS.md."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from bench.measure import Row, Section, seconds

_COLUMNS = ("Figure", "Median", "Min", "Max", "Runs", "Goal", "")


def table(sections: Sequence[Section]) -> Table:
    """For the screen."""
    made = Table()
    for column in _COLUMNS:
        made.add_column(column, justify="left" if column in ("Figure", "") else "right")
    for section in sections:
        made.add_section()
        made.add_row(f"[bold]{section.title}[/]")
        for row in section.rows:
            figure = f"{escape(row.what)}\n[dim]{escape(row.aside)}[/]" if row.aside else escape(row.what)
            style = "bold red" if row.verdict == "MISSED" else ""
            made.add_row(figure, *_cells(row), style=style)
    return made


def markdown(sections: Sequence[Section], machine: Sequence[str], taken: float) -> str:
    """The file."""
    day = datetime.now(UTC).date()
    lines = [
        "# Results of `make bench`",
        "",
        f"Taken on {day} in one run of {taken / 60:.0f} minutes, on:",
        *(f"- {fact}" for fact in machine),
        "",
        "Everything is on loopback, against the stand-in for Command, which runs on the same cores. A ratio is of two",
        "runs of one pair, side by side; what counts for a goal is the median of its repetitions. x: times.",
        "",
        "| Figure | Median | Min | Max | Runs | Goal | | Of |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for section in sections:
        lines.append(f"| **{section.title}** | | | | | | | |")
        lines += [f"| {' | '.join([row.what, *_cells(row), row.aside])} |" for row in section.rows]
    lines += ["", "## How each was taken", ""]
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
