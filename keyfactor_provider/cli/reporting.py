"""From a source to a report: reads it, judges it, and chooses the exit code for pipelines."""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keyfactor_provider import text
from keyfactor_provider.cli import sources
from keyfactor_provider.cli.durations import utc
from keyfactor_provider.cli.exits import Exit, SourceError
from keyfactor_provider.cli.recorded import Fleet, fleet_of
from keyfactor_provider.cli.standing import Reason, Standing, failing, standing
from keyfactor_provider.version import RELEASE

Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """The progress of the fleets in one state.

    Attributes:
        at: when the report was made.
        live: whether Command was read for it.
        notes: what the reader has to know about the state.
    """

    standings: tuple[Standing, ...]
    at: datetime
    live: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The form of `--json`."""
        return {
            "version": 1,
            "release": RELEASE,
            "at": utc(self.at),
            "live": self.live,
            "notes": list(self.notes),
            "fleets": [standing.to_json() for standing in self.standings],
        }


def state(source: str | None, stack: str | None = None) -> sources.State:
    """The state in a source.

    Args:
        source: a file, `-` for standard input, None for the project in this folder.
        stack: the Pulumi stack of that project.

    Raises:
        SourceError: it has no state.
    """
    if source is None:
        from keyfactor_provider.cli.engines import state_of

        content, where = state_of(Path.cwd(), stack)
    else:
        content, where = _content(source)
    document = sources.parse(content, where)
    if isinstance(document, sources.Plan):
        raise SourceError(
            f"{where} can't be used", "it is a plan, but status needs a state", "Use the command summary for plans."
        )
    return document


def plan(source: str) -> sources.Plan:
    """The plan in a source.

    Raises:
        SourceError: it has no plan.
    """
    content, where = _content(source)
    document = sources.parse(content, where)
    if isinstance(document, sources.State):
        raise SourceError(
            f"{where} can't be used",
            "it is a state, but summary needs a plan",
            "Use the output of `pulumi preview --json` or `terraform show -json PLAN`, or the command status.",
        )
    return document


def report(state: sources.State, *, live: bool, warn: Say) -> Report:
    """The progress of the fleets in a state, as recorded or as Command shows it now.

    Raises:
        RecordError: a recorded state can't be read.
        SettingsError, CommandError: Command can't be read.
    """
    fleets = [
        fleet_of(sighting.name, sighting.engine, sighting.state, shown_secrets=sighting.shown_secrets)
        for sighting in sorted(state.fleets, key=lambda sighting: sighting.name)
    ]
    agents = None
    if live and fleets:
        from keyfactor_provider.cli.live import look

        fleets, agents = look(fleets, warn)
    standings = tuple(standing(fleet, agents) for fleet in fleets)
    return Report(standings, datetime.now(UTC), live, tuple(_notes(state, fleets, live)))


def verdict(report: Report, reasons: Collection[Reason], complain: Say) -> Exit:
    """The exit code of a report; complains about each fleet that decides it."""
    if reasons and (unreadable := [standing.name for standing in report.standings if standing.fleet.unreadable]):
        complain(
            f"--fail-on can't judge {text.listed(unreadable)}. "
            "Export the state with `pulumi stack export --show-secrets`."
        )
        return Exit.ERROR
    failures = failing(report.standings, reasons)
    for _, sentence in failures:
        complain(sentence)
    return failures[0][0] if failures else Exit.OK


def _notes(state: sources.State, fleets: list[Fleet], live: bool) -> list[str]:
    notes = []
    if not fleets:
        notes.append("The state has no fleet of orchestrators.")
    shown = [text.safe(fleet.name) for fleet in fleets if fleet.shown_secrets]
    if shown:
        notes.append(
            f"The state marks values of these fleets as secret, but this report shows them: {text.listed(shown)}"
        )
    if state.interrupted:
        names = [text.safe(name) for name in sorted(state.interrupted)]
        notes.append(
            f"The last run was interrupted, so the state of these fleets may be outdated: {text.listed(names)}"
        )
    untimed = [text.safe(fleet.name) for fleet in fleets if not fleet.timed and not fleet.unreadable]
    if untimed and not live:
        notes.append(
            "An earlier release wrote the state of these fleets, without times and use; "
            f"--live shows whether certificates are in use: {text.listed(untimed)}"
        )
    return notes


def _content(source: str) -> tuple[bytes, str]:
    if source == "-":
        return sys.stdin.buffer.read(), "Standard input"
    try:
        return Path(source).read_bytes(), text.safe(source)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SourceError(f"{text.safe(source)} can't be read", reason, "Name a file that can be read.") from None
