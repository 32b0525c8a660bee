"""Messages to users, as data; each front end shows it the way its engine does.

A summary is one clause of at most 80 characters without a full stop, readable alone in a CI log. A detail is one or
more whole sentences: names, reasons, what to do next. No code takes a finished sentence apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Severity = Literal["info", "warning", "error"]


class Kind(NamedTuple):
    """What a kind of message means, and what its reader can do about it; `docs/messages.md` is made from this."""

    meaning: str
    remedy: str


_NOTHING: Final = "Nothing."

KINDS: Final[Mapping[str, Kind]] = {
    "forecast": Kind(
        "What the next run will do for a fleet. Shown in a preview or plan.",
        "Check that these are the orchestrators you mean.",
    ),
    "forecast-unknown": Kind(
        "Arguments of the fleet are known only during the run, so the preview can't name its members.",
        "Check the number of flags that may be cleared. Use values that are known in the preview if it is too high.",
    ),
    "retry": Kind(
        "Members failed in the last run, or their flag could not be cleared, and the next run tries again.",
        "Fix the reason that is named for each, then run.",
    ),
    "drift": Kind(
        "Flags were changed or cleared outside this stack while their members were pending.",
        "Find out who changed them. Run to request them again, or remove the members from the fleet.",
    ),
    "outcome": Kind("What a run did for a fleet, and where its members stand.", _NOTHING),
    "recorded": Kind(
        "The last run failed, and the next one records its outcome again, without a request.",
        "Run again.",
    ),
    "moved": Kind("The plugin takes over a fleet that the dynamic resources recorded, without a request.", _NOTHING),
    "destroyed": Kind("What the destruction of a fleet did.", _NOTHING),
    "failure": Kind(
        'Members failed, and on_failure="warn" makes that a warning.',
        "Fix the reason that is named for each. The next run retries these members.",
    ),
    "stragglers": Kind(
        "What Command reports of members that are overdue or were rejected: last seen, last error, version.",
        "Look into these orchestrators. One that was not seen for long is probably switched off.",
    ),
    "member": Kind(
        "Something about members that is worth knowing although nothing failed.",
        "Read the reason: a flag that was not set by this stack is left as it is, or an orchestrator is gone from "
        "Command.",
    ),
    "stale-reading": Kind(
        "A new round begins within 60 seconds of the last request. Command may still show what stood before, and the "
        "run waits until it no longer does.",
        "Nothing; the run continues by itself.",
    ),
    "not-found": Kind(
        "Command has no orchestrator with this GUID.",
        "Correct the GUID, remove the member, or wait until the orchestrator has registered.",
    ),
    "not-approved": Kind(
        "The orchestrator is not approved in Command, which may therefore reject the request.",
        "Approve it in Command.",
    ),
    "no-certificate": Kind(
        "The orchestrator has no client certificate, so it would stay pending.",
        "Remove it from the fleet, unless it is about to enroll for its first certificate.",
    ),
    "old-agent": Kind(
        "This version of the C agent ignores the status Requested.",
        "Update the agent, or use the status Required.",
    ),
    "required-may-block": Kind(
        "With the status Required an orchestrator does no work until it holds a new certificate. These may be unable "
        "to enroll.",
        "Check these orchestrators first, or use the status Requested.",
    ),
    "settings": Kind("A setting works, but is risky or was not used as written.", "Follow the advice in the message."),
    "settings-missing": Kind(
        "No hostname or no credentials are configured. A preview continues; a run fails.",
        "Set what the message names, unless this preview is meant to run without credentials.",
    ),
    "not-read": Kind(
        "No hostname or no credentials are configured, so the plugin shows what was last recorded.",
        "Set what the message names, unless this preview is meant to run without credentials.",
    ),
    "exclude": Kind(
        "Entries of exclude in a look-up match no orchestrator that the other filters find.",
        "Correct or remove these entries.",
    ),
    "preflight-skipped": Kind(
        "Command did not answer in time, so the preview could not check the members.",
        "Make sure that Command is reachable before the run.",
    ),
    "completion-ahead": Kind("For how many members a completion will wait, and how long at most.", _NOTHING),
    "completion-progress": Kind("How far a completion is that waits. Shown when that changes.", _NOTHING),
    "completion-warning": Kind(
        "Members count as complete although not everything is as it should be.",
        "Read the reason that is named for each.",
    ),
}
"""Every kind of message."""


@dataclass(frozen=True)
class Message:
    """A message to the user of a run.

    Attributes:
        resource: the name of the fleet or completion that it is about; empty where it is about the whole run.
        severity: how an engine should show it.
        kind: a stable identifier in kebab case, such as `retry`; `docs/messages.md` lists them all.
        summary: one clause without a full stop.
        detail: whole sentences; empty where the summary says it all.
        members: the canonical GUIDs that it is about.
    """

    resource: str
    severity: Severity
    kind: str
    summary: str
    detail: str = ""
    members: tuple[str, ...] = ()

    def text(self) -> str:
        """`RESOURCE: SUMMARY. DETAIL`, the form of engines that show one line."""
        subject = f"{self.resource}: " if self.resource else ""
        return f"{subject}{self.summary}. {self.detail}".rstrip()


Tell = Callable[[Message], None]
