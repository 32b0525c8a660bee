"""Reads what the engines export: states and plans, with the fleets in them.

It reads four documents: `pulumi stack export`, `pulumi preview --json`, and `terraform show -json` of a state and of a
plan. Values that are hidden (secrets) or not known yet are marked as such; nothing is guessed.
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
"""`forget` means that the engine drops the fleet from its state without clearing any flag."""

PULUMI_TYPES: Final = frozenset({"pulumi-python:dynamic/keyfactor:OrchestratorReenrollment"})
TERRAFORM_TYPE: Final = "keyfactorcommand_orchestrator_reenrollment"

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key of objects with a special meaning in Pulumi's state (pulumi: sdk/go/common/resource/sig)."""
_MARKS_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # the mark of a secret, not a secret
_UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How `pulumi preview --json` writes a value that is not known yet."""
_HIDDEN_TEXT: Final = "[secret]"
"""How `pulumi preview --json` writes a secret."""
_STYLE: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
"""Colours in an engine's messages."""


class Hidden:
    """The type of HIDDEN: a secret that the document does not show."""

    def __repr__(self) -> str:
        return "(secret)"


HIDDEN: Final = Hidden()


def holds(value: Any, mark: object) -> bool:
    """Whether a value contains a mark, HIDDEN or UNKNOWN, at any depth."""
    if isinstance(value, Mapping):
        return any(holds(item, mark) for item in value.values())
    if isinstance(value, list):
        return any(holds(item, mark) for item in value)
    return value is mark


@dataclass(frozen=True)
class Sighting:
    """One fleet in a state.

    Attributes:
        name: the resource's name; in Terraform its full address.
        state: what the engine recorded, with HIDDEN for secrets that the document does not show.
        shown_secrets: whether the document shows secrets of this fleet in plain text.
    """

    name: str
    engine: Engine
    state: Mapping[str, Any]
    shown_secrets: bool = False


@dataclass(frozen=True)
class Change:
    """One fleet in a plan.

    Attributes:
        before: the recorded state; None for a new fleet.
        after: the new arguments, which may contain UNKNOWN and HIDDEN; None for a fleet that will be deleted.
        withheld: the engine marks values of this fleet as sensitive, so its members must not be named.
    """

    name: str
    engine: Engine
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    withheld: bool = False


@dataclass(frozen=True)
class Told:
    """A message of the engine; its text is not made safe."""

    severity: str
    text: str


@dataclass(frozen=True)
class State:
    """An exported state.

    Attributes:
        interrupted: fleets whose last operation did not finish, so that their state may be outdated.
    """

    engine: Engine
    fleets: tuple[Sighting, ...]
    interrupted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        incomplete: why the plan can't be relied on; empty if it can.
        refreshed: whether, as far as the document shows, the engine read the fleets before it planned.
    """

    engine: Engine
    changes: tuple[Change, ...]
    messages: tuple[Told, ...]
    incomplete: str = ""
    refreshed: bool = True


def parse(content: bytes, where: str) -> State | Plan:
    """Parses a document that an engine wrote.

    Args:
        where: the name of the source in messages, such as a file's name.

    Raises:
        SourceError: it is not one of the four documents.
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
        raise _not_understood(where, f"part of it has an unexpected form ({error!r})") from None
    raise _not_understood(where, "its JSON is not one of the documents that this command reads")


def _not_understood(where: str, came_back: str) -> SourceError:
    return SourceError(
        f"{where} can't be read",
        came_back,
        "Use the output of `pulumi stack export`, `pulumi preview --json` or `terraform show -json`.",
    )


def _decoded(content: bytes, where: str) -> Any:
    # PowerShell 5 writes UTF-16 when output is redirected to a file.
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
            # Its result is where later steps start from; a fleet without later steps is unchanged.
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
        Told(str(diagnostic.get("severity") or "info"), text)
        for diagnostic in document.get("diagnostics") or ()
        if (text := _STYLE.sub("", str(diagnostic.get("message") or "")).strip())
    )
    incomplete = "The preview ended with an error." if any(told.severity == "error" for told in messages) else ""
    refreshed = any(step["op"] == "refresh" for step in document.get("steps") or ())
    return Plan("pulumi", tuple(changes.values()), messages, incomplete, refreshed)


def _action(op: str) -> Action | None:
    """What a step of a preview does to a fleet; None for steps that do nothing to it."""
    if op in ("create", "import", "update", "same", "delete"):
        return "create" if op == "import" else cast(Action, op)
    if op == "refresh":
        return "same"
    return "replace" if op in ("replace", "create-replacement", "delete-replaced") else None


def _name(urn: str) -> str:
    # urn:pulumi:STACK::PROJECT::TYPE::NAME, where only the name may contain further colons.
    return urn.split("::", 3)[-1]


def _revealed(value: Any, shown: list[str]) -> Any:
    """The value with UNKNOWN and HIDDEN for marked values; adds to `shown` for each secret in plain text."""
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
        _terraform_change(resource)
        for resource in document.get("resource_changes") or ()
        if resource["type"] == TERRAFORM_TYPE and resource.get("mode") == "managed" and not resource.get("deposed")
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
        incomplete = "The plan is incomplete: it was limited to some resources, or others were deferred."
    return Plan("terraform", tuple(changes), tuple(messages), incomplete)


def _terraform_change(resource: Mapping[str, Any]) -> Change:
    change = resource["change"]
    actions: Sequence[str] = change["actions"]
    action = "replace" if len(actions) > 1 else "same" if actions[0] == "no-op" else actions[0]
    after = None if change.get("after") is None else _with_unknown(change["after"], change.get("after_unknown"))
    withheld = _any_true(change.get("before_sensitive")) or _any_true(change.get("after_sensitive"))
    return Change(resource["address"], "terraform", cast(Action, action), change.get("before"), after, withheld)


def _with_unknown(value: Any, unknown: Any) -> Any:
    """The value with UNKNOWN wherever the document marks it as not known yet."""
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
