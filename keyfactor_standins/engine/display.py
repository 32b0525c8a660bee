"""What a run prints: steps, property differences, messages, outputs and counts, as in the CLI."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from keyfactor_standins.engine import planner
from keyfactor_standins.engine.planner import PROVIDER_TYPE, Step
from keyfactor_standins.engine.store import in_state
from keyfactor_standins.engine.wire import UNKNOWN, Properties, Secret, mapped, plain
from keyfactor_standins.plain import printable

# For each kind of step its mark, and its word once it is done.
_STEPS = {
    planner.SAME: ("  ", "unchanged"),
    planner.CREATE: ("+ ", "created"),
    planner.UPDATE: ("~ ", "updated"),
    planner.DELETE: ("- ", "deleted"),
    planner.REPLACE: ("+-", "replaced"),
    planner.CREATE_REPLACEMENT: ("++", "created replacement"),
    planner.DELETE_REPLACED: ("--", "deleted original"),
    planner.REFRESH: ("~ ", "refreshed"),
}
_COUNTED = (planner.CREATE, planner.UPDATE, planner.DELETE, planner.REPLACE)
_ABSENT = object()


def shown(value: Any) -> str:
    """A value on one line; secrets and unknown values as a word in brackets."""
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{printable(key)}: {shown(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return "[unknown]" if value == UNKNOWN else printable(json.dumps(value, ensure_ascii=False))


def lines(text: str) -> str:
    """A message of one or more lines, with nothing else in it that moves the cursor or colours the terminal."""
    return "\n".join(printable(line.expandtabs()) for line in re.split(r"\r?\n", text.rstrip("\n")))


def differences(old: Any, new: Any, indent: int) -> Iterator[str]:
    """The lines that show how an old map or list differs from the new one: maps by key, lists by index."""
    was, will = (_by_label(() if side is _ABSENT else side) for side in (old, new))
    labels = [*was, *(label for label in will if label not in was)]
    if isinstance(old, dict) or isinstance(new, dict):
        labels = sorted(set(labels) - {"__provider"})
    width = max(map(len, labels), default=0)
    for label in labels:
        yield from _difference(
            f"{printable(label):<{width}}", was.get(label, _ABSENT), will.get(label, _ABSENT), indent
        )


def _by_label(side: Any) -> dict[str, Any]:
    return side if isinstance(side, dict) else {f"[{number}]": item for number, item in enumerate(side)}


def _difference(label: str, old: Any, new: Any, indent: int) -> Iterator[str]:
    present = [value for value in (old, new) if value is not _ABSENT]
    mark = "+ " if old is _ABSENT else "- " if new is _ABSENT else "  " if plain(old) == plain(new) else "~ "
    start = f"{' ' * (indent - 2)}{mark}{label}: "
    for kind, ends in ((dict, "{}"), (list, "[]")):
        if any(present) and all(isinstance(value, kind) for value in present):
            yield start + ends[0]
            yield from differences(old, new, indent + 4)
            yield " " * indent + ends[1]
            return
    yield start + " => ".join(map(shown, present if mark == "~ " else present[-1:]))


class Display:
    """Prints what happens in one pass; messages that name no resource go to `root`, the stack's URN."""

    def __init__(self, *, dry: bool, diff: bool, root: str) -> None:
        self._dry = dry
        self._diff = diff
        self._root = root
        self._counts: Counter[str] = Counter()
        self._messages: dict[str, list[str]] = {}
        self._outputs: list[str] = []
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line at once."""
        print(text, flush=True)

    @property
    def changes(self) -> bool:
        """Whether anything changed, or would."""
        return any(self._counts[op] for op in _STEPS if op != planner.SAME)

    def started(self, step: Step) -> None:
        """A step begins; printed where it calls a provider and may take long."""
        called = step.about.custom and step.about.type != PROVIDER_TYPE
        if not self._dry and called and step.op in (planner.CREATE, planner.UPDATE, planner.DELETE):
            self._row(step.op, step, step.op.removesuffix("e") + "ing")

    def finished(self, step: Step, *, failed: bool = False, status: str = "") -> None:
        """A step has ended; `status` replaces the word of its kind."""
        if failed:
            self._row(step.op, step, "failed")
        elif step.op != planner.REFRESH:
            self._ended(step.op, step, status)

    def drifted(self, step: Step, op: str) -> None:
        """A resource was read; `op` says how it differs from the state."""
        self._ended(op, step)

    def _ended(self, op: str, step: Step, status: str = "") -> None:
        if step.about.type == PROVIDER_TYPE:
            return
        self._counts[op] += 1
        if op != planner.SAME:
            self._row(op, step, status or (op if self._dry else _STEPS[op][1]))
            if self._diff:
                self._properties(op, step)

    def _row(self, op: str, step: Step, status: str) -> None:
        about = step.about
        old, new = (each.inputs if each is not None else {} for each in (step.old, step.new))
        changed = [
            f"{'+' if key not in old else '-' if key not in new else '~'}{key}"
            for key in sorted(old.keys() | new.keys())
            if step.old and step.new and plain(old.get(key, _ABSENT)) != plain(new.get(key, _ABSENT))
        ]
        note = f" [diff: {','.join(changed)}]" if changed else ""
        self.say(f" {_STEPS[op][0]} {about.type} {about.name} {status}{note}")

    def _properties(self, op: str, step: Step) -> None:
        about = step.about
        self.say(f"        [id={about.id}]\n        [urn={about.urn}]" if about.id else f"        [urn={about.urn}]")
        old, new = step.old or step.new, step.new or step.old
        assert old is not None
        assert new is not None
        if op == planner.DELETE_REPLACED or op == planner.CREATE_REPLACEMENT:
            return
        for line in differences(old.inputs, new.inputs, 8):
            self.say(line)

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """A message of severity error, warning, info or debug, printed at the end; debug messages are left out."""
        if severity != "debug":
            prefix = "" if severity == "info" else f"{severity}: "
            self._messages.setdefault(urn or self._root, []).append(prefix + lines(text))

    def outputs(self, old: Properties, new: Properties) -> None:
        """The stack's outputs, before and after."""
        self._outputs = list(differences(old, new, 4))

    def finish(self) -> None:
        """Print what was collected."""
        if self._messages:
            self.say("Diagnostics:")
        for urn, messages in self._messages.items():
            _, _, type_, name = urn.split("::", 3)
            self.say(f"  {type_.rpartition('$')[2]} ({name}):")
            for line in "\n".join(messages).splitlines():
                self.say(f"    {line}")
            self.say("")
        if self._outputs:
            self.say("\n".join(["Outputs:", *self._outputs, ""]))
        self.say("Resources:")
        kinds = [op for op in _COUNTED if self._counts[op]]
        for op in kinds:
            word = f"to {op}" if self._dry else _STEPS[op][1]
            self.say(f"    {_STEPS[op][0]}{self._counts[op]} {word}")
        if same := self._counts[planner.SAME]:
            total = f"{sum(self._counts[op] for op in kinds)} changes. " if len(kinds) > 1 else ""
            self.say(f"    {total}{same} unchanged")
        self.say("" if self._dry else f"\nDuration: {max(round(time.monotonic() - self._began), 1)}s\n")


class Digest(Display):
    """A preview as one JSON document, in the shape of `pulumi preview --json` (pkg/backend/display/json.go).

    As in the CLI, it leaves out the provider, and unchanged resources except the stack. A change that a refresh finds
    is a `refresh` step without details, since a dynamic provider gives no detailed differences.
    """

    def __init__(self, *, root: str) -> None:
        super().__init__(dry=True, diff=False, root=root)
        self._steps: list[dict[str, Any]] = []
        self._diagnostics: list[dict[str, str]] = []
        self._planned: Counter[str] = Counter()

    def say(self, text: str) -> None:
        """Print nothing: stdout holds the document alone."""

    def started(self, step: Step) -> None:
        """A step of the plan; its states are written now, before the step changes them."""
        about = step.about
        if about.type == PROVIDER_TYPE or step.op in (planner.CREATE_REPLACEMENT, planner.DELETE_REPLACED):
            return
        if step.op != planner.REFRESH:
            self._planned[step.op] += 1
        if step.op == planner.SAME and about.urn != self._root:
            return
        digest: dict[str, Any] = {"op": step.op, "urn": about.urn}
        if about.provider:
            digest["provider"] = about.provider
        for name, resource in (("oldState", step.old), ("newState", step.new)):
            if resource is not None:
                digest[name] = in_state(resource, _redacted)
        self._steps.append({**digest, "detailedDiff": None})

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """A diagnostic; debug messages are left out."""
        if severity != "debug":
            prefix = "" if severity == "info" else f"{severity}: "
            on = {"urn": urn} if urn else {}
            self._diagnostics.append({**on, "message": f"{prefix}{text.rstrip()}\n", "severity": severity})

    def finish(self) -> None:
        """Print the document."""
        document = {
            "steps": self._steps,
            "diagnostics": self._diagnostics,
            "duration": round((time.monotonic() - self._began) * 1e9),
            "changeSummary": dict(sorted(self._planned.items())),
        }
        print(json.dumps({name: value for name, value in document.items() if value}, indent=4))


def _redacted(value: Any) -> Any:
    return mapped(value, lambda leaf: "[secret]" if isinstance(leaf, Secret) else leaf)
