"""What is told to people, as data; each front end shows it the way its engine does.

A summary is one clause of at most 80 characters without a full stop, readable alone in a CI log. A detail is one or
more whole sentences: names, reasons, what to do next. Nobody ever takes a finished sentence apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Message:
    """One thing told to the user of a run.

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
