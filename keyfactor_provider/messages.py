"""Messages to users, as data; each front end shows them the way its engine does.

A summary is one clause of at most 80 characters without a full stop that makes sense alone in a CI log. A detail is one
or more full sentences: names, reasons, what to do next. No code takes a finished sentence apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Severity = Literal["info", "warning", "error"]


class Kind(NamedTuple):
    """What a kind of message means, and what the user can do; `docs/messages.md` is generated from it."""

    meaning: str
    remedy: str


_NOTHING: Final = "Nothing."

KINDS: Final[Mapping[str, Kind]] = {
    "forecast": Kind(
        "What the next run will do for a fleet. Shown in a preview or plan.",
        "Check that these are the orchestrators that you mean.",
    ),
    "forecast-unknown": Kind(
        "Some arguments of the fleet are known only during the run, so the preview can't name its members.",
        "Check how many flags may be cleared. If these are too many, use values that are known in the preview.",
    ),
    "retry": Kind(
        "Members failed in the last run, or their flag could not be cleared. The next run retries them.",
        "Fix the reason given for each, then run.",
    ),
    "drift": Kind(
        "Flags were changed or cleared outside this stack while their members were pending.",
        "Find out who changed them. Run to request them again, or remove the members from the fleet.",
    ),
    "outcome": Kind("What a run did for a fleet, and the state of its members.", _NOTHING),
    "recorded": Kind(
        "The last run failed. The next run only records the outcome again; it requests nothing.",
        "Run again.",
    ),
    "moved": Kind("The plugin takes over a fleet that the dynamic resources recorded; it requests nothing.", _NOTHING),
    "destroyed": Kind("What the destruction of a fleet did.", _NOTHING),
    "failure": Kind(
        'Members failed, and on_failure="warn" turns the error into a warning.',
        "Fix the reason given for each. The next run retries these members.",
    ),
    "stragglers": Kind(
        "What Command reports about members that are overdue or were rejected: last seen, last error, version.",
        "Investigate these orchestrators. One that has not been seen for a long time is probably switched off.",
    ),
    "member": Kind(
        "Something about members that you should know although nothing failed.",
        "Read the reason: a flag not set by this stack was left as it is, or an orchestrator is gone from Command.",
    ),
    "stale-reading": Kind(
        "A new round begins within 60 seconds of the last request. Command may still show the state before that "
        "request, so the run waits.",
        "Nothing; the run continues by itself.",
    ),
    "not-found": Kind(
        "Command has no orchestrator with this GUID.",
        "Correct the GUID, remove the member, or wait until the orchestrator has registered.",
    ),
    "not-approved": Kind(
        "The orchestrator is not approved in Command, so Command may reject the request.",
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
        "With the status Required, an orchestrator does no work until it holds a new certificate. These orchestrators "
        "may be unable to enroll.",
        "Check these orchestrators first, or use the status Requested.",
    ),
    "settings": Kind("A setting is risky, or was not used as written.", "Follow the advice in the message."),
    "settings-missing": Kind(
        "No hostname or no credentials are configured. A preview continues; a run fails.",
        "Set what the message names, unless this preview is meant to run without credentials.",
    ),
    "not-read": Kind(
        "No hostname or no credentials are configured, so the plugin shows the recorded state.",
        "Set what the message names, unless this preview is meant to run without credentials.",
    ),
    "exclude": Kind(
        "Some entries of exclude in a look-up match none of the orchestrators that the other filters find.",
        "Correct or remove these entries.",
    ),
    "preflight-skipped": Kind(
        "Command did not answer in time, so the preview could not check the members.",
        "Make sure that Command is reachable before you run.",
    ),
    "completion-ahead": Kind("How many members a completion will wait for, and for how long at most.", _NOTHING),
    "completion-progress": Kind("The progress of a completion that is waiting. Shown whenever it changes.", _NOTHING),
    "completion-warning": Kind(
        "Members count as complete, but something is not as it should be.",
        "Read the reason given for each.",
    ),
}
"""Every kind of message."""


@dataclass(frozen=True)
class Message:
    """A message to the user of a run.

    Attributes:
        resource: the name of the fleet or completion concerned; empty for the whole run.
        severity: how an engine should show it.
        kind: a stable identifier in kebab case, such as `retry`; `docs/messages.md` lists them all.
        summary: one clause without a full stop.
        detail: full sentences; empty if the summary says everything.
        members: the canonical GUIDs of the members concerned.
    """

    resource: str
    severity: Severity
    kind: str
    summary: str
    detail: str = ""
    members: tuple[str, ...] = ()

    def text(self) -> str:
        """`RESOURCE: SUMMARY. DETAIL`, for engines that show one line."""
        subject = f"{self.resource}: " if self.resource else ""
        return f"{subject}{self.summary}. {self.detail}".rstrip()


Tell = Callable[[Message], None]
