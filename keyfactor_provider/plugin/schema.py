"""The package's schema, generated from arguments, record, look-up filters and the settings table."""

import inspect
import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.lookup import Filter
from keyfactor_provider.plugin.lookups import AGENT_FIELDS, FILTERS, HOURS
from keyfactor_provider.plugin.meanings import (
    ALWAYS,
    CHOICES,
    FLAG,
    INSTEAD,
    MAP,
    NUMBER,
    OF_A_FLEET,
    OF_ARGUMENTS,
    TEXT,
    TEXTS,
    WAIT,
)
from keyfactor_provider.plugin.names import ARGUMENTS, LISTS, MEMBER_FIELDS, PACKAGE
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.version import RELEASE

FLEET: Final = f"{PACKAGE}:index:OrchestratorReenrollment"
COMPLETION: Final = f"{PACKAGE}:index:ReenrollmentCompletion"
ONE: Final = f"{PACKAGE}:index:getOrchestrator"
MANY: Final = f"{PACKAGE}:index:getOrchestrators"

_DYNAMIC: Final = "pulumi-python:dynamic/"
_REPOSITORY: Final = "github.com/keyfactor/pulumi-keyfactor"


@cache
def schema() -> str:
    """The schema as JSON."""
    return json.dumps(document())


def document() -> dict[str, Any]:
    """The schema (Pulumi: developer-docs/providers/schema)."""
    return {
        "name": PACKAGE,
        "displayName": "Keyfactor Command",
        "version": RELEASE,
        "description": "Declare which orchestrators of Keyfactor Command must enroll for a new client-authentication "
        "certificate.",
        "keywords": ["pulumi", "keyfactor", "certificates", "category/infrastructure"],
        "meta": {"moduleFormat": "(.*)(?:/[^/]*)"},
        "config": {"variables": _settings()},
        "provider": {
            "description": "The address of Keyfactor Command, and the credentials. Defaults come from the environment, "
            "or from a profile in Keyfactor's own file.",
            "inputProperties": _settings(),
            "properties": _settings(),
        },
        "types": _types(),
        "resources": {FLEET: _fleet(), COMPLETION: _completion()},
        "functions": {ONE: _one(), MANY: _many()},
        "language": {
            "go": {
                "importBasePath": f"{_REPOSITORY}/sdk/go/keyfactor",
                "respectSchemaVersion": True,
                "generateResourceContainerTypes": True,
            },
            "nodejs": {"respectSchemaVersion": True},
            "python": {"respectSchemaVersion": True, "pyproject": {"enabled": True}},
            "csharp": {"respectSchemaVersion": True},
            "java": {},
        },
    }


def _settings() -> dict[str, Any]:
    kinds: dict[str, Mapping[str, Any]] = {"text": TEXT, "list": TEXTS, "number": NUMBER, "flag": FLAG}
    return {
        setting.key: {
            **kinds[setting.kind],
            "description": f"{setting.description}."
            + (f" Default: `{setting.default}`." if setting.default else "")
            + f" Or `{setting.environment[0]}`.",
            **({"secret": True} if setting.secret else {}),
        }
        for setting in SETTINGS.values()
        if setting.attribute
    }


def _types() -> dict[str, Any]:
    hints = get_type_hints(Member)
    meanings = meanings_of(Member)
    member = {
        MEMBER_FIELDS[field.encode_name]: {**_type(hints[field.name]), "description": meanings[field.name]}
        for field in msgspec.structs.fields(Member)
    }
    statuses = [
        {"name": status.value, "value": status.value, "description": meaning}
        for status, meaning in zip(ReenrollmentStatus, _values(ReenrollmentStatus), strict=True)
    ]
    phases = [
        {"name": "".join(word.capitalize() for word in phase.value.split("-")), "value": phase.value, "description": of}
        for phase, of in zip(Phase, _values(Phase), strict=True)
    ]
    return {
        f"{PACKAGE}:index:ReenrollmentStatus": _enum("What an orchestrator must do at its next session.", statuses),
        f"{PACKAGE}:index:Phase": _enum("The phase of an orchestrator in its round.", phases),
        f"{PACKAGE}:index:OnRemoval": _choice("What happens to the flag of a removed orchestrator.", "on_removal"),
        f"{PACKAGE}:index:OnFailure": _choice("How a run with failed orchestrators ends.", "on_failure"),
        f"{PACKAGE}:index:Member": {
            "type": "object",
            "description": "One orchestrator of a fleet, in its current round.",
            "properties": member,
            "required": ["status", "phase"],
        },
        f"{PACKAGE}:index:Orchestrator": {
            "type": "object",
            "description": "An orchestrator as Command shows it.",
            "properties": _orchestrator(),
            "required": ["id"],
        },
    }


def _fleet() -> dict[str, Any]:
    arguments = {
        theirs: {**OF_ARGUMENTS[name][0], "description": OF_ARGUMENTS[name][1]} for name, theirs in ARGUMENTS.items()
    }
    computed: dict[str, Any] = {name: {**TEXTS, "description": meaning} for name, meaning in LISTS.items()}
    computed |= {name: {**of, "description": meaning} for name, (of, meaning) in OF_A_FLEET.items()}
    return {
        "description": "A set of orchestrators that must enroll for a new client-authentication certificate.",
        "inputProperties": arguments,
        "requiredInputs": ["orchestratorIds", "status"],
        "properties": {**arguments, **computed},
        "required": sorted({*(ARGUMENTS[name] for name in ALWAYS), *computed} - {"trouble"}),
        "aliases": [{"type": f"{_DYNAMIC}{PACKAGE}:OrchestratorReenrollment"}],
    }


def _completion() -> dict[str, Any]:
    wait = {name: {**of, "description": meaning} for name, (of, meaning) in WAIT.items()}
    return {
        "description": "The completion of a fleet's round, for other resources to depend on. It is created once every "
        "orchestrator has re-enrolled and uses its new certificate.",
        "inputProperties": {
            "round": {**MAP, "description": "`round` of the OrchestratorReenrollment to wait for."},
            **wait,
        },
        "requiredInputs": ["round"],
        "properties": {
            "awaited": {
                **MAP,
                "description": "The round that was waited for. A new round of a member is another wait.",
            },
        },
        "required": ["awaited"],
        "aliases": [{"type": f"{_DYNAMIC}{PACKAGE}:ReenrollmentCompletion"}],
    }


def _one() -> dict[str, Any]:
    return {
        "description": "One orchestrator of Keyfactor Command.",
        "inputs": {
            "type": "object",
            "properties": {"identifier": {**TEXT, "description": "Its GUID or machine name."}},
            "required": ["identifier"],
        },
        "outputs": {
            "type": "object",
            "description": "The orchestrator.",
            "properties": _orchestrator(),
            "required": ["id"],
        },
    }


def _many() -> dict[str, Any]:
    hints, meanings = get_type_hints(Filter), meanings_of(Filter)
    filters = {}
    for field in fields(Filter):
        of = {**NUMBER} if FILTERS[field.name] == HOURS else _type(hints[field.name])
        filters[FILTERS[field.name]] = {**of, "description": meanings[field.name]}
    return {
        "description": "The orchestrators of Keyfactor Command that match every given filter, from all pages of its "
        "list.",
        "inputs": {"type": "object", "properties": filters},
        "outputs": {
            "type": "object",
            "description": "The matching orchestrators.",
            "properties": {
                "ids": {**TEXTS, "description": "Their GUIDs, sorted."},
                "orchestrators": {
                    "type": "array",
                    "items": {"$ref": f"#/types/{PACKAGE}:index:Orchestrator"},
                    "description": "Their details, in the same order.",
                },
                "unstable": {
                    **TEXTS,
                    "description": "The given filters whose result changes by itself. Do not derive a fleet from them.",
                },
            },
            "required": ["ids", "orchestrators", "unstable"],
        },
    }


def _orchestrator() -> dict[str, Any]:
    hints, meanings = get_type_hints(Agent), meanings_of(Agent)
    return {theirs: {**_type(hints[name]), "description": meanings[name]} for name, theirs in AGENT_FIELDS.items()}


def _type(hint: Any) -> dict[str, Any]:
    """The schema's type for a type in Python."""
    if hint is ReenrollmentStatus:
        return {"$ref": f"#/types/{PACKAGE}:index:ReenrollmentStatus"}
    if hint is Phase:
        return {"$ref": f"#/types/{PACKAGE}:index:Phase"}
    plain = {str: TEXT, bool: FLAG, int: {"type": "integer"}, float: NUMBER}
    if hint in plain:
        return dict(plain[hint])
    arguments = [argument for argument in get_args(hint) if argument not in (type(None), msgspec.UnsetType, ...)]
    if get_origin(hint) in (Union, types.UnionType):
        # For a name or a number, use the name, which is the same in every language.
        return _type(str if str in arguments else arguments[0])
    return {"type": "array", "items": _type(arguments[0])}


def _enum(description: str, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": list(values)}


def _choice(description: str, argument: str) -> dict[str, Any]:
    choices = get_args(get_type_hints(Desired)[argument])
    return _enum(
        description,
        [{"name": value.capitalize(), "value": value, "description": CHOICES[value]} for value in choices],
    )


def meanings_of(kind: type) -> dict[str, str]:
    """A sentence on each attribute of a class, from its docstring or from INSTEAD."""
    text = inspect.getdoc(kind) or ""
    section = text.partition("Attributes:\n")[2]
    sentences: dict[str, str] = {}
    for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        words = " ".join(meaning.split()).rstrip(".")
        sentences[name] = f"{words[:1].upper()}{words[1:]}."
    return sentences | {name: text for (of, name), text in INSTEAD.items() if of == kind.__name__}


def _values(kind: Any) -> list[str]:
    """The docstrings of an enumeration's values, from its source."""
    source = inspect.getsource(kind)
    return re.findall(r'^    [A-Z]+ = .*\n    """(.*?)"""', source, re.MULTILINE)
