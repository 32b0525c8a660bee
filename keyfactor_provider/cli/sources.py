"""What the engines export, read: states and plans, each with the fleets in it.

Four documents are understood: `pulumi stack export`, `pulumi preview --json`, and `terraform show -json` of a state and
of a plan. What an engine hides (a secret) or does not know yet stays marked as such; nothing is ever guessed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import msgspec

from keyfactor_provider.cli.exits import SourceError
from keyfactor_provider.reenrollment.desired import UNKNOWN

Engine = Literal["pulumi", "terraform"]
Action = Literal["create", "update", "same", "replace", "delete", "forget"]
"""`forget`: the engine drops the fleet from its state, and no flag is cleared."""

PULUMI_TYPES: Final = frozenset({"pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"})
TERRAFORM_TYPE: Final = "keyfactorcommand_orchestrator_reenrollment"

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that marks an object of special meaning in Pulumi's state (pulumi: sdk/go/common/resource/sig)."""
_MARKS_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # what Pulumi marks a secret with
_UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How `pulumi preview --json` writes a value that is not known yet."""
_HIDDEN_TEXT: Final = "[secret]"
"""How `pulumi preview --json` writes a secret."""
_STYLE: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
"""Colours in the messages of an engine."""


class Hidden:
    """A secret that the document does not show."""

    def __repr__(self) -> str:
        return "(secret)"


HIDDEN: Final = Hidden()


def holds(value: Any, mark: object) -> bool:
    """Whether a mark, HIDDEN or UNKNOWN, stands anywhere in a value."""
    if isinstance(value, Mapping):
        return any(holds(item, mark) for item in value.values())
    if isinstance(value, list):
        return any(holds(item, mark) for item in value)
    return value is mark


@dataclass(frozen=True)
class Sighting:
    """One fleet as a state has it.

    Attributes:
        name: of the resource; Terraform's whole address.
        state: what the engine recorded, with HIDDEN in place of secrets that the document does not show.
        shown_secrets: whether the document shows secrets of this fleet in plain text.
    """

    name: str
    engine: Engine
    state: Mapping[str, Any]
    shown_secrets: bool = False


@dataclass(frozen=True)
class Change:
    """What a plan has for one fleet.

    Attributes:
        before: the recorded state; None for a new fleet.
        after: what the program gives, with UNKNOWN and HIDDEN in it; None for a fleet that will be deleted.
        withheld: the engine marks values of this fleet as sensitive, so that its members must not be named.
    """

    name: str
    engine: Engine
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    withheld: bool = False


@dataclass(frozen=True)
class Told:
    """A message of the engine, as it is."""

    severity: str
    text: str


@dataclass(frozen=True)
class State:
    """An exported state.

    Attributes:
        interrupted: fleets of which the last run ended in the middle, so that their state may be old.
    """

    engine: Engine
    fleets: tuple[Sighting, ...]
    interrupted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        incomplete: why the plan can't be relied on; empty where it can.
        refreshed: whether the engine read the fleets before it planned, as far as the document tells.
    """

    engine: Engine
    changes: tuple[Change, ...]
    messages: tuple[Told, ...]
    incomplete: str = ""
    refreshed: bool = True


def parse(content: bytes, where: str) -> State | Plan:
    """The document that an engine wrote.

    Args:
        where: what messages call the source, such as a file's name.

    Raises:
        SourceError: it is none of the four documents.
    """
    document = _decoded(content, where)
    try:
        if isinstance(document, dict):
            if "deployment" in document:
                deployment = document["deployment"] or {}
                return State("pulumi", tuple(_pulumi_state(deployment)), tuple(_interrupted(deployment)))
            if "steps" in document or "changeSummary" in document:
                return _pulumi_plan(document)
            if "resource_changes" in document or "planned_values" in document:
                return _terraform_plan(document)
            if "format_version" in document and "diagnostics" not in document:
                return State("terraform", tuple(_terraform_state(document)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_understood(where, f"part of it is not as an engine writes it ({error!r})") from None
    raise _not_understood(where, "its JSON is none of the documents that this command reads")


def _not_understood(where: str, came_back: str) -> SourceError:
    return SourceError(
        f"{where} can't be read",
        came_back,
        "Give it what `pulumi stack export`, `pulumi preview --json` or `terraform show -json` prints.",
    )


def _decoded(content: bytes, where: str) -> Any:
    # PowerShell 5 writes UTF-16 when output is redirected into a file.
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", errors="replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise _not_understood(where, "it is empty")
    try:
        return msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise _not_understood(where, f"it is not JSON ({error})") from None


# Pulumi.


def _pulumi_state(deployment: Mapping[str, Any]) -> Iterator[Sighting]:
    for resource in deployment.get("resources") or ():
        if resource["type"] in PULUMI_TYPES and not resource.get("delete"):
            shown: list[str] = []
            state = _revealed(resource.get("outputs") or {}, shown)
            yield Sighting(_name(resource["urn"]), "pulumi", state, bool(shown))


def _interrupted(deployment: Mapping[str, Any]) -> Iterator[str]:
    for operation in deployment.get("pending_operations") or ():
        if operation["resource"]["type"] in PULUMI_TYPES:
            yield _name(operation["resource"]["urn"])


def _pulumi_plan(document: Mapping[str, Any]) -> Plan:
    changes: dict[str, Change] = {}
    for step in document.get("steps") or ():
        state = step.get("newState") or step.get("oldState") or {}
        if state.get("type") not in PULUMI_TYPES or (action := _action(step["op"])) is None:
            continue
        name = _name(step["urn"])
        old, new = step.get("oldState") or {}, step.get("newState") or {}
        if step["op"] == "refresh":
            # What it found is what the steps after it start from; a fleet without any is unchanged.
            old, new = new, {}
        before = _revealed(old.get("outputs") or {}, []) if old else None
        after = _revealed(new.get("inputs") or {}, []) if new and action != "delete" else None
        if action == "delete" and old.get("retainOnDelete"):
            action = "forget"
        earlier = changes.get(name)
        if action == "replace" and earlier is not None and earlier.action == "replace":
            before, after = before or earlier.before, after or earlier.after
        changes[name] = Change(name, "pulumi", action, before, after)
    messages = tuple(
        Told(str(each.get("severity") or "info"), text)
        for each in document.get("diagnostics") or ()
        if (text := _STYLE.sub("", str(each.get("message") or "")).strip())
    )
    incomplete = "The preview ended with an error." if any(one.severity == "error" for one in messages) else ""
    refreshed = any(step["op"] == "refresh" for step in document.get("steps") or ())
    return Plan("pulumi", tuple(changes.values()), messages, incomplete, refreshed)


def _action(op: str) -> Action | None:
    """What a step of a preview is to a fleet; None for one that says nothing about it."""
    if op in ("create", "import", "update", "same", "delete"):
        return "create" if op == "import" else cast(Action, op)
    if op == "refresh":
        return "same"
    return "replace" if op in ("replace", "create-replacement", "delete-replaced") else None


def _name(urn: str) -> str:
    # urn:pulumi:STACK::PROJECT::TYPE::NAME, of which only the name may hold further colons.
    return urn.split("::", 3)[-1]


def _revealed(value: Any, shown: list[str]) -> Any:
    """The value with secrets and unknowns replaced; what the document shows of secrets is noted in `shown`."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _MARKS_SECRET:
            if "plaintext" not in value:
                return HIDDEN
            shown.append("plaintext")
            return _revealed(msgspec.json.decode(value["plaintext"]), shown)
        return {key: _revealed(item, shown) for key, item in value.items() if key != "__provider"}
    if isinstance(value, list):
        return [_revealed(item, shown) for item in value]
    if value == _UNKNOWN_TEXT:
        return UNKNOWN
    return HIDDEN if value == _HIDDEN_TEXT else value


# Terraform.


def _terraform_state(document: Mapping[str, Any]) -> Iterator[Sighting]:
    root = (document.get("values") or {}).get("root_module") or {}
    for resource in _resources(root):
        if resource["type"] == TERRAFORM_TYPE and resource.get("mode") == "managed":
            sensitive = _any_true(resource.get("sensitive_values"))
            state = {**resource["values"], "version": resource.get("schema_version")}
            yield Sighting(resource["address"], "terraform", state, sensitive)


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources") or ()
    for child in module.get("child_modules") or ():
        yield from _resources(child)


def _terraform_plan(document: Mapping[str, Any]) -> Plan:
    changes = [
        _terraform_change(each)
        for each in document.get("resource_changes") or ()
        if each["type"] == TERRAFORM_TYPE and each.get("mode") == "managed" and not each.get("deposed")
    ]
    messages = [
        Told("error", f"{instance['address']['to_display']}: {problem['message']}")
        for check in document.get("checks") or ()
        for instance in check.get("instances") or ()
        for problem in instance.get("problems") or ()
    ]
    incomplete = ""
    if document.get("errored"):
        incomplete = "The plan ended with an error."
    elif document.get("complete") is False:
        incomplete = "The plan is not complete: it was limited to some resources, or others were deferred."
    return Plan("terraform", tuple(changes), tuple(messages), incomplete)


def _terraform_change(resource: Mapping[str, Any]) -> Change:
    change = resource["change"]
    actions: Sequence[str] = change["actions"]
    action = "replace" if len(actions) > 1 else "same" if actions[0] == "no-op" else actions[0]
    after = None if change.get("after") is None else _with_unknown(change["after"], change.get("after_unknown"))
    withheld = _any_true(change.get("before_sensitive")) or _any_true(change.get("after_sensitive"))
    return Change(resource["address"], "terraform", cast(Action, action), change.get("before"), after, withheld)


def _with_unknown(value: Any, unknown: Any) -> Any:
    """The value with UNKNOWN wherever the document says that it is not known yet."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and isinstance(value, dict):
        return {key: _with_unknown(value.get(key), unknown.get(key)) for key in {**value, **unknown}}
    if isinstance(unknown, list) and isinstance(value, list):
        return [_with_unknown(item, mark) for item, mark in zip(value, unknown, strict=False)]
    return value


def _any_true(marks: Any) -> bool:
    if isinstance(marks, dict):
        return any(map(_any_true, marks.values()))
    return any(map(_any_true, marks)) if isinstance(marks, list) else marks is True
