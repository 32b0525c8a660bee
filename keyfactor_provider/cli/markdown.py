"""An outlook as Markdown for a pull request, within GitHub's limit, and safe whatever the machines are called.

Untrusted text appears only in code spans and code fences, where no Markdown, HTML, mention or issue number has effect.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from keyfactor_provider import text
from keyfactor_provider.cli.ahead import REQUESTS, Ahead, Outlook
from keyfactor_provider.cli.sources import Told

MARKER: Final = "<!-- keyfactor-reenrollment summary -->"
"""The first line, by which a pipeline recognises its own comment."""
MOST: Final = 65_536
"""GitHub's limit for a comment, in characters; counting bytes never exceeds it."""
_FOLD_FROM: Final = 6
_MESSAGE: Final = 4_000
"""The most characters of one message of the engine."""
_MESSAGES: Final = 24_000
"""The most bytes of all messages together."""
_NAMED: Final = (500, 100, 20, 5, 0)
"""How many orchestrators a group may name; each is tried until the summary fits."""
_FLEETS: Final = (200, 50, 10)
"""How many fleets are shown if the summary is too long even without names; each is tried until it fits."""

_RANKS: Final = {"error": 0, "warning": 1}

_MEANINGS: Final = {
    "first": "requested for the first time in this round",
    "retried": "retried after a failure",
    "drifted": "requested again: flag changed outside this stack",
    "status_changed": "requested in place of another status",
    "cleared": "flag cleared",
    "removed": "removed, flag cleared",
    "moved": "removed here, named by another fleet of this plan",
    "kept": "removed, flag left as it is",
    "queued": "left queued",
}
_ACTIONS: Final = {
    "create": "new",
    "update": "changed",
    "same": "unchanged",
    "replace": "replaced",
    "delete": "deleted",
    "forget": "forgotten by the engine",
}


def markdown(outlook: Outlook) -> str:
    """The summary, with as many names as fit."""
    summary = ""
    for fleets, named in [(None, named) for named in _NAMED] + [(fleets, 0) for fleets in _FLEETS]:
        summary = "\n".join(_lines(outlook, fleets, named)) + "\n"
        if len(summary.encode()) <= MOST:
            break
    return summary


def code(words: str) -> str:
    """A code span that shows the words on one line, whatever they contain."""
    line = text.safe(words, 500) or "(empty)"
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _lines(outlook: Outlook, fleets: int | None, named: int) -> Iterator[str]:
    yield MARKER
    yield f"### Re-enrollment: {_headline(outlook)}"
    if outlook.incomplete:
        yield ""
        yield f"**{outlook.incomplete}** The following is what it contains."
    if outlook.fleets:
        yield ""
        yield from _table(outlook.fleets[:fleets])
    if fleets is not None and len(outlook.fleets) > fleets:
        yield ""
        yield f"{len(outlook.fleets) - fleets} more fleets are not shown; `summary --json` lists them all."
    if not outlook.refreshed and any(fleet.action != "create" for fleet in outlook.fleets):
        yield ""
        yield "Computed from the state that the last run recorded; a preview with `--refresh` reads Command first."
    for fleet in outlook.fleets[:fleets]:
        yield from _section(fleet, named)
    yield from _messages(outlook.messages)


def _headline(outlook: Outlook) -> str:
    if not outlook.fleets:
        return "this plan changes no fleet"
    requests, clears = outlook.count(*REQUESTS), outlook.count("cleared", "removed")
    unknown = sum(bool(fleet.unknown) for fleet in outlook.fleets)
    more = sum(fleet.more for fleet in outlook.fleets)
    parts = [f"{text.count(requests)} will be requested" if requests else "no request"]
    parts += [f"up to {more} more"] if more else []
    parts += [f"{clears} will have the flag cleared"] if clears else []
    parts += [f"{text.count(unknown, 'fleet')} not fully known"] if unknown else []
    return ", ".join(parts)


def _table(fleets: Sequence[Ahead]) -> Iterator[str]:
    columns = {
        "Requested": ("first", "status_changed"),
        "Retried": ("retried",),
        "Drifted": ("drifted",),
        "Cleared": ("cleared", "removed"),
        "Queued": ("queued",),
    }
    yield f"| Fleet | | {' | '.join(columns)} | Unchanged |"
    yield f"|---|---|{'--:|' * (len(columns) + 1)}"
    for fleet in fleets:
        numbers = [str(fleet.count(*groups)) for groups in columns.values()]
        shown = ["?"] * (len(columns) + 1) if fleet.unknown else [*numbers, str(fleet.unchanged)]
        # A vertical bar would end the cell, even in a code span; the section below shows the name unchanged.
        yield f"| {code(fleet.name.replace('|', '¦'))} | {_ACTIONS[fleet.action]} | {' | '.join(shown)} |"


def _section(fleet: Ahead, named: int) -> Iterator[str]:
    if not (fleet.groups or fleet.unknown or fleet.new_round):
        return
    status = f", status {code(fleet.status)}" if fleet.status else ""
    yield ""
    yield f"#### {code(fleet.name)}: {_ACTIONS[fleet.action]}{status}"
    if fleet.new_round:
        yield ""
        yield "A new round begins."
    if fleet.wave:
        yield ""
        yield f"Before the run: {fleet.wave}."
    if fleet.more:
        yield ""
        yield f"**Up to {fleet.more} more** queued orchestrators are requested if the run finds the open wave finished."
    for sentence in fleet.unknown:
        yield ""
        yield f"**Not known:** {_plain(sentence)}"
    if fleet.withheld:
        yield ""
        yield "Values of this fleet are marked as sensitive, so its orchestrators are not named."
    for group, members in fleet.groups.items():
        heading = f"{text.count(len(members))}: {_MEANINGS[group]}"
        shown = () if fleet.withheld else members[:named]
        yield ""
        if len(members) < _FOLD_FROM or not shown:
            yield f"**{heading}**"
            yield from _names(fleet, members, shown)
        else:
            yield f"<details><summary>{heading}</summary>"
            yield from _names(fleet, members, shown)
            yield ""
            yield "</details>"
    if fleet.reenrolled and fleet.count("status_changed", "retried"):
        yield ""
        yield (
            f"Unchanged because re-enrolled in this round: {fleet.reenrolled}. Change `triggers` to start a new round."
        )


def _names(fleet: Ahead, members: Sequence[str], shown: Sequence[str]) -> Iterator[str]:
    if shown:
        yield ""
    for member_id in shown:
        machine = fleet.machines.get(member_id)
        yield f"- {code(machine)} ({code(member_id)})" if machine else f"- {code(member_id)}"
    if shown and len(members) > len(shown):
        yield f"- and {len(members) - len(shown)} more"


def _messages(messages: Sequence[Told]) -> Iterator[str]:
    if not messages:
        return
    lines: list[str] = []
    shown, room = 0, _MESSAGES
    for message in sorted(messages, key=lambda message: _RANKS.get(message.severity, 2)):
        added = _verbatim(message)
        room -= sum(len(line.encode()) + 1 for line in added)
        if room < 0:
            break
        lines += added
        shown += 1
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
    yield ""
    yield f"<details><summary>Messages of the engine ({len(messages)})</summary>"
    yield ""
    yield f"{fence}text"
    yield from lines
    yield fence
    if shown < len(messages):
        yield ""
        yield f"and {len(messages) - shown} more"
    yield ""
    yield "</details>"


def _verbatim(message: Told) -> list[str]:
    """The lines of a message, made safe but otherwise unchanged; prefixed with its severity if that is missing."""
    lines = [text.safe(line, _MESSAGE) for line in message.text[:_MESSAGE].splitlines()]
    if len(message.text) > _MESSAGE:
        lines.append("…")
    has_severity = lines and lines[0].startswith(f"{message.severity}:")
    return lines if has_severity or not lines else [f"{text.safe(message.severity)}: {lines[0]}", *lines[1:]]


def _plain(sentence: str) -> str:
    """One of this project's sentences, with the names of properties in it escaped."""
    return re.sub(r"([\\`*_\[\]<>@#|~])", r"\\\1", sentence)
