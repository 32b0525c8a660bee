"""From a source to a report: read, judged, and what a pipeline is to make of it."""

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
    """Where the fleets of one state stand.

    Attributes:
        at: when it was made.
        live: whether Command was looked at.
        notes: what a reader has to know of the state.
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
            "fleets": [one.to_json() for one in self.standings],
        }


def state(source: str | None, stack: str | None = None) -> sources.State:
    """The state that a source holds.

    Args:
        source: a file, `-` for standard input, None for the project in this folder.
        stack: the Pulumi stack of that project.

    Raises:
        SourceError: there is none.
    """
    if source is None:
        from keyfactor_provider.cli.engines import state_of

        content, where = state_of(Path.cwd(), stack)
    else:
        content, where = _content(source)
    document = sources.parse(content, where)
    if isinstance(document, sources.Plan):
        raise SourceError(
            f"{where} can't be used", "it is a plan, and status needs a state", "Give it to the command summary."
        )
    return document


def plan(source: str) -> sources.Plan:
    """The plan that a source holds.

    Raises:
        SourceError: there is none.
    """
    content, where = _content(source)
    document = sources.parse(content, where)
    if isinstance(document, sources.State):
        raise SourceError(
            f"{where} can't be used",
            "it is a state, and summary needs a plan",
            "Give it what `pulumi preview --json` or `terraform show -json PLAN` prints, or use the command status.",
        )
    return document


def report(state: sources.State, *, live: bool, warn: Say) -> Report:
    """Where the fleets of a state stand, by what is recorded or by a look at Command.

    Raises:
        RecordError: a recorded state can't be read.
        SettingsError, CommandError: the look failed.
    """
    fleets = [
        fleet_of(one.name, one.engine, one.state, shown_secrets=one.shown_secrets)
        for one in sorted(state.fleets, key=lambda each: each.name)
    ]
    agents = None
    if live and fleets:
        from keyfactor_provider.cli.live import look

        fleets, agents = look(fleets, warn)
    standings = tuple(standing(fleet, agents) for fleet in fleets)
    return Report(standings, datetime.now(UTC), live, tuple(_notes(state, fleets, live)))


def verdict(report: Report, reasons: Collection[Reason], complain: Say) -> Exit:
    """The exit code of a report; what it is due to is told."""
    if reasons and (unreadable := [one.name for one in report.standings if one.fleet.unreadable]):
        complain(
            f"--fail-on can't judge {text.listed(unreadable)}. "
            "Export the state with `pulumi stack export --show-secrets`."
        )
        return Exit.ERROR
    found = failing(report.standings, reasons)
    for _, sentence in found:
        complain(sentence)
    return found[0][0] if found else Exit.OK


def _notes(state: sources.State, fleets: list[Fleet], live: bool) -> list[str]:
    notes = []
    if not fleets:
        notes.append("The state has no fleet of orchestrators.")
    shown = [text.safe(fleet.name) for fleet in fleets if fleet.shown_secrets]
    if shown:
        notes.append(
            f"The state marks values of these fleets as secret, and this report shows them: {text.listed(shown)}"
        )
    if state.interrupted:
        names = [text.safe(name) for name in sorted(state.interrupted)]
        notes.append(
            f"The last run was interrupted, so what is recorded of these fleets may be old: {text.listed(names)}"
        )
    untimed = [text.safe(fleet.name) for fleet in fleets if not fleet.timed and not fleet.unreadable]
    if untimed and not live:
        notes.append(
            "An earlier release wrote the state of these fleets, without times and use; "
            f"--live tells whether certificates are in use: {text.listed(untimed)}"
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
