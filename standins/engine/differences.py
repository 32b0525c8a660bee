"""Two sets of properties side by side: lines with `+`, `~` and `-`, maps by key and lists by index.

What the CLI shows is its own comparison of old and new inputs (`pkg/backend/display/object_diff.go`).
"""

import json
from typing import Any

from standins.engine.values import UNKNOWN, Properties, Secret, plain

_HIDDEN = "__provider"


def shown(value: Any) -> str:
    """A value on one line; secrets and what is not known yet by a word in brackets."""
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, str):
        return "[unknown]" if value == UNKNOWN else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return json.dumps(value)


def lines(old: Properties, new: Properties, *, indent: int, full: bool) -> list[str]:
    """The lines that show how the old properties become the new ones.

    Args:
        old: before.
        new: after.
        indent: spaces before each line.
        full: show what stays the same too.
    """
    found: list[str] = []
    width = max((len(key) for key in {*old, *new} if key != _HIDDEN), default=0)
    for key in sorted({*old, *new}):
        if key == _HIDDEN:
            continue
        _compare(found, f"{key:<{width}}", old.get(key, _ABSENT), new.get(key, _ABSENT), indent, full)
    return found


_ABSENT = object()


def _compare(found: list[str], label: str, old: Any, new: Any, indent: int, full: bool) -> None:
    space = " " * indent
    if old is _ABSENT:
        _whole(found, "+ ", label, new, indent)
    elif new is _ABSENT:
        _whole(found, "- ", label, old, indent)
    elif plain(old) == plain(new) and isinstance(old, Secret) == isinstance(new, Secret):
        if full:
            _whole(found, "  ", label, new, indent)
    elif isinstance(old, dict) and isinstance(new, dict):
        found.append(f"{space}~ {label}: {{")
        keys = sorted({*old, *new})
        width = max((len(key) for key in keys), default=0)
        for key in keys:
            _compare(found, f"{key:<{width}}", old.get(key, _ABSENT), new.get(key, _ABSENT), indent + 4, full)
        found.append(f"{space}  }}")
    elif isinstance(old, list) and isinstance(new, list):
        found.append(f"{space}~ {label}: [")
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            _compare(found, f"[{index}]", before, after, indent + 4, full)
        found.append(f"{space}  ]")
    else:
        found.append(f"{space}~ {label}: {shown(old)} => {shown(new)}")


def _whole(found: list[str], mark: str, label: str, value: Any, indent: int) -> None:
    space = " " * indent
    if isinstance(value, dict) and value:
        found.append(f"{space}{mark}{label}: {{")
        width = max(len(key) for key in value)
        for key, item in sorted(value.items()):
            _whole(found, mark, f"{key:<{width}}", item, indent + 4)
        found.append(f"{space}{mark}}}")
    elif isinstance(value, list) and value:
        found.append(f"{space}{mark}{label}: [")
        for index, item in enumerate(value):
            _whole(found, mark, f"[{index}]", item, indent + 4)
        found.append(f"{space}{mark}]")
    else:
        found.append(f"{space}{mark}{label}: {shown(value)}")
