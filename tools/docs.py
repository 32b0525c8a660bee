"""`python -m tools.docs` writes the generated parts of the documentation; a test checks that they are current.

A generated part stands between `<!-- made by tools/docs.py: NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from keyfactor_provider.command.settings_table import SETTINGS, Setting
from keyfactor_provider.dynamic import options
from keyfactor_provider.messages import KINDS
from keyfactor_provider.plugin.schema import document
from keyfactor_provider.terraform.block import describe
from tools import messages

ROOT: Final = Path(__file__).resolve().parents[1]

_KINDS: Final = {"text": "text", "list": "list of strings", "number": "number", "flag": "true or false"}
_TERRAFORM_TYPES: Final = {"text": "String", "list": "String", "number": "Number", "flag": "Boolean"}


def settings_table() -> str:
    """Every setting with all its names."""
    head = ("Key", "Environment variable", "In a profile", "In Terraform", "Type", "Default", "Meaning")
    rows = [head, ("---",) * len(head), *(_row(setting) for setting in SETTINGS.values())]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |").replace("|  |", "| |") for row in rows)


def _row(setting: Setting) -> tuple[str, ...]:
    def codes(*names: str) -> str:
        return ", ".join(f"`{name}`" for name in names if name)

    return (
        codes(setting.key if setting.attribute else ""),
        codes(*setting.environment),
        codes(*setting.profile),
        codes(setting.attribute),
        _KINDS[setting.kind] + (", secret" if setting.secret else ""),
        codes(setting.default),
        setting.description,
    )


def provider_block() -> str:
    """The attributes of Terraform's provider block, as its registry lists them."""
    return "\n".join(
        fill(
            f"- `{each.attribute}` ({_TERRAFORM_TYPES[each.kind]}{', Sensitive' if each.secret else ''}) "
            f"{describe(each)}",
            120,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for each in SETTINGS.values()
        if each.attribute
    )


def options_table() -> str:
    """The table of resource options in the docstring of the module that handles them."""
    return "\n".join(line for line in (options.__doc__ or "").splitlines() if line.startswith("|"))


def messages_list() -> str:
    """Every kind of message, with an example."""
    examples = messages.messages()
    return "\n".join(
        _entry(kind, f"{examples[kind].severity.capitalize()}. {about.meaning}", examples[kind].text(), about.remedy)
        for kind, about in sorted(KINDS.items())
    )


def errors_list() -> str:
    """Every class of error that is raised, with an example."""
    return "\n".join(
        _entry(kind.__name__, (kind.__doc__ or "").partition("\n")[0], str(error), kind.remedy)
        for kind, error in messages.errors().items()
    )


def _entry(name: str, meaning: str, example: str, remedy: str) -> str:
    def text(words: str) -> str:
        return fill(words, 120, break_long_words=False, break_on_hyphens=False)

    return f"### {name}\n\n{text(meaning)}\n\n```text\n{text(example)}\n```\n\n{text(f'**What to do:** {remedy}')}\n"


def plugin_reference() -> str:
    """The resources, functions and types of the plugin's schema."""
    schema = document()
    parts: list[str] = []
    for token, resource in schema["resources"].items():
        outputs = {name: of for name, of in resource["properties"].items() if name not in resource["inputProperties"]}
        parts += [
            f"## {_name(token)}",
            resource["description"],
            "### Inputs",
            _properties(resource["inputProperties"], resource["requiredInputs"]),
            "### Outputs, besides the inputs",
            _properties(outputs, ()),
        ]
    for token, function in schema["functions"].items():
        parts += [
            f"## {_name(token)}",
            function["description"],
            "### Arguments",
            _properties(function["inputs"]["properties"], function["inputs"].get("required", ())),
            "### Result",
            _properties(function["outputs"]["properties"], ()),
        ]
    for token, of in schema["types"].items():
        rows = [(f"`{one['value']}`", one["description"]) for one in of.get("enum", ())]
        table = _table(("Value", "Meaning"), rows) if rows else _properties(of["properties"], of["required"])
        parts += [f"## {_name(token)}", of["description"], table]
    return "\n\n".join(parts)


def _properties(properties: Mapping[str, Any], required: Collection[str]) -> str:
    rows = [
        (f"`{name}`", _type(of) + (", required" if name in required else ""), of["description"])
        for name, of in properties.items()
    ]
    return _table(("Name", "Type", "Meaning"), rows)


def _type(of: Mapping[str, Any]) -> str:
    if "$ref" in of:
        return f"[{_name(of['$ref'])}](#{_name(of['$ref']).lower()})"
    if of["type"] == "array":
        return f"list of {_type(of['items'])}"
    return f"map of {_type(of['additionalProperties'])}" if of["type"] == "object" else str(of["type"])


def _name(token: str) -> str:
    return token.rpartition(":")[2]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


MADE: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "docs/settings.md": {"settings": settings_table},
    "docs/messages.md": {"messages": messages_list, "errors": errors_list},
    "docs/pulumi.md": {"options": options_table},
    "docs/plugin-reference.md": {"reference": plugin_reference},
    "docs/terraform/index.md": {"attributes": provider_block},
}
"""The generated parts, by page and by name."""


def current(page: str) -> str:
    """A page with its generated parts updated.

    Raises:
        LookupError: the page has no place for one of its parts.
    """
    text = (ROOT / page).read_text()
    for name, make in MADE[page].items():
        begin, end = f"<!-- made by tools/docs.py: {name} -->", "<!-- end -->"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not place.search(text):
            raise LookupError(f"{page} has no {begin} ... {end}")
        part = f"{begin}\n{make()}\n{end}"
        text = place.sub(lambda _, part=part: part, text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for name in MADE:
        (ROOT / name).write_text(current(name))
