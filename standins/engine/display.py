"""What a person sees: a tree of what changes, the diagnostics, the outputs and a count, as the CLI shows them.

Layout follows `pkg/backend/display` (progress and diff displays, not interactive).
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO

from standins.engine import planner
from standins.engine.differences import lines, shown
from standins.engine.planner import Step
from standins.engine.state import PROVIDER_TYPE
from standins.engine.values import Properties

_MARKS = {
    planner.CREATE: "+ ",
    planner.UPDATE: "~ ",
    planner.DELETE: "- ",
    planner.CREATE_REPLACEMENT: "++",
    planner.DELETE_REPLACED: "--",
    planner.REPLACE: "+-",
    planner.REFRESH: "~ ",
    planner.SAME: "  ",
}
_DONE = {
    planner.CREATE: "created",
    planner.UPDATE: "updated",
    planner.DELETE: "deleted",
    planner.CREATE_REPLACEMENT: "created replacement",
    planner.DELETE_REPLACED: "deleted original",
    planner.REPLACE: "replaced",
    planner.REFRESH: "updated",
    planner.SAME: "unchanged",
}
_COUNTED = (planner.CREATE, planner.UPDATE, planner.DELETE, planner.REPLACE)


@dataclass
class _Row:
    op: str = planner.SAME
    status: str = ""
    step: Step | None = None
    messages: list[tuple[str, str]] = field(default_factory=list)


class Display:
    """Collects what happens in one run and prints it.

    Args:
        out: where it goes.
        preview: nothing is made: words in the future.
        diff: show every property that changes.
        root: the stack's own URN; what belongs to no resource is shown there.
    """

    def __init__(self, out: TextIO, *, preview: bool, diff: bool, root: str) -> None:
        self._out = out
        self._preview = preview
        self._diff = diff
        self._root = root
        self._rows: dict[str, _Row] = {root: _Row()}
        self._counts: Counter[str] = Counter()
        self._outputs: list[str] = []
        self._began = time.monotonic()
        self._replaced: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(line, file=self._out, flush=True)

    @property
    def changes(self) -> int:
        """How many resources change, or would."""
        return sum(self._counts[op] for op in _COUNTED)

    def started(self, step: Step) -> None:
        """A step begins."""
        row = self._rows.setdefault(step.urn, _Row())
        if step.op in (planner.CREATE_REPLACEMENT, planner.DELETE_REPLACED) and row.op == planner.REPLACE:
            return
        row.op, row.step = step.op, step

    def finished(self, step: Step, *, failed: bool) -> None:
        """A step has ended."""
        row = self._rows[step.urn]
        hidden = f"::{PROVIDER_TYPE}::" in step.urn
        if failed:
            row.status = "failed"
            return
        row.status = step.op if self._preview else _DONE[step.op]
        if step.op == planner.REPLACE:
            row.op, row.step = planner.REPLACE, step
        if not hidden and step.op not in (planner.CREATE_REPLACEMENT, planner.DELETE_REPLACED):
            self._counts[step.op] += 1
        if step.op != planner.SAME and not hidden and not self._diff:
            kind, name = self._naming(step.urn)
            self.say(f" {_MARKS[step.op]} {kind} {name} {row.status}")

    def diagnostic(self, severity: str, message: str, urn: str = "") -> None:
        """A message for the block of diagnostics: severity error, warning, info or debug."""
        if severity == "debug":
            return
        row = self._rows.setdefault(urn or self._root, _Row())
        row.messages.append((severity, message.rstrip("\n")))

    def ephemeral(self, message: str, urn: str = "") -> None:
        """A message of the moment: shown at once, not kept."""
        kind, name = self._naming(urn or self._root)
        self.say(f"    {kind} {name} {message}")

    def outputs(self, old: Properties, new: Properties) -> None:
        """The stack's outputs, before and after."""
        self._outputs = lines(old, new, indent=4, full=True)

    @staticmethod
    def inline(value: Any) -> str:
        """A value inside a message, secrets hidden, as the CLI writes it there."""
        return shown(value)

    @staticmethod
    def _naming(urn: str) -> tuple[str, str]:
        _, _, kinds, name = urn.split("::", 3)
        return kinds.rpartition("$")[2], name

    def finish(self) -> None:
        """Print what was collected."""
        if self._diff:
            self._print_diff()
        self._print_diagnostics()
        if self._outputs:
            self.say("Outputs:")
            for line in self._outputs:
                self.say(line)
            self.say("")
        self._print_counts()

    def _print_diff(self) -> None:
        for urn, row in self._rows.items():
            step = row.step
            if step is None or f"::{PROVIDER_TYPE}::" in urn:
                continue
            if row.op == planner.SAME and urn != self._root:
                continue
            kind, _ = self._naming(urn)
            indent = 0 if urn == self._root else 4
            self.say(f"{' ' * indent}{_MARKS[row.op]}{kind}: ({row.op})")
            about = step.new or step.old
            if about is not None and about.id:
                self.say(f"{' ' * (indent + 4)}[id={about.id}]")
            self.say(f"{' ' * (indent + 4)}[urn={urn}]")
            if row.op == planner.SAME:
                continue
            old = step.old.inputs if step.old is not None else {}
            new = step.new.inputs if step.new is not None else {}
            for line in lines(old, new, indent=indent + 4, full=step.old is None or step.new is None):
                self.say(line)

    def _print_diagnostics(self) -> None:
        with_messages = {urn: row for urn, row in self._rows.items() if row.messages}
        if not with_messages:
            return
        self.say("Diagnostics:")
        for urn, row in with_messages.items():
            kind, name = self._naming(urn)
            self.say(f"  {kind} ({name}):")
            for severity, message in row.messages:
                text = message if severity == "info" else f"{severity}: {message}"
                for line in text.splitlines():
                    self.say(f"    {line}")
            self.say("")

    def _print_counts(self) -> None:
        self.say("Resources:")
        words = {op: (f"to {op}" if self._preview else _DONE[op]) for op in _COUNTED}
        for op in _COUNTED:
            if self._counts[op]:
                self.say(f"    {_MARKS[op]}{self._counts[op]} {words[op]}")
        same = self._counts[planner.SAME]
        if same:
            self.say(
                f"    {same} unchanged"
                if not self.changes
                else f"    {self.changes} changes. {same} unchanged"
            )
        self.say("")
        if not self._preview:
            self.say(f"Duration: {max(round(time.monotonic() - self._began), 1)}s")
            self.say("")
