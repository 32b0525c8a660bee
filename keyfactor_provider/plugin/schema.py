"""The package's schema, made from the typed arguments, the record, the look-up's filters and the settings table."""

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
from keyfactor_provider.operations.lookup import PLATFORMS, STATUSES, Filter
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.plugin.completions import DEFAULT_SECONDS
from keyfactor_provider.plugin.forms import VERSION
from keyfactor_provider.plugin.lookups import AGENT_FIELDS, FILTERS, HOURS
from keyfactor_provider.plugin.names import ARGUMENTS, LISTS, MEMBER_FIELDS
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.version import RELEASE

PACKAGE: Final = "keyfactor"
FLEET: Final = f"{PACKAGE}:index:OrchestratorReenrollment"
COMPLETION: Final = f"{PACKAGE}:index:ReenrollmentCompletion"
ONE: Final = f"{PACKAGE}:index:getOrchestrator"
MANY: Final = f"{PACKAGE}:index:getOrchestrators"

_DYNAMIC: Final = "pulumi-python:dynamic/"
_REPOSITORY: Final = "github.com/keyfactor/pulumi-keyfactor"

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_MAP: Final = {"type": "object", "additionalProperties": _TEXT}
_FLAG: Final = {"type": "boolean"}
_NUMBER: Final = {"type": "number"}

_ARGUMENTS: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "orchestrator_ids": (_TEXTS, "GUIDs of the orchestrators; order, duplicates, case and braces do not matter."),
    "status": (
        {"$ref": f"#/types/{PACKAGE}:index:ReenrollmentStatus"},
        "What to set: `Requested`, `Required` or `None`.",
    ),
    "triggers": (_MAP, "Any strings; a change of them starts a new round for everyone."),
    "on_removal": (
        {"$ref": f"#/types/{PACKAGE}:index:OnRemoval"},
        "Whether the flag of an orchestrator is cleared when it is removed from the set or the resource is destroyed; "
        "`unset` by default.",
    ),
    "on_failure": (
        {"$ref": f"#/types/{PACKAGE}:index:OnFailure"},
        "Whether failed orchestrators end the run with an error or a warning; `error` by default.",
    ),
    "waves": (
        _TEXTS,
        'Sizes of the waves in which orchestrators are requested, such as `["5", "10%", "100%"]`: numbers, or percents '
        "of the members; the last size repeats. Without waves everybody is requested at once.",
    ),
    "canary_ids": (
        _TEXTS,
        "GUIDs of the members that are requested first; nobody else is before each of them has re-enrolled and uses "
        "its new certificate.",
    ),
    "max_failed": (
        _TEXT,
        "How many orchestrators may be rejected, not found or overdue before the roll-out halts: a number, or a "
        "percent of those started so far; `0` by default.",
    ),
    "overdue_after": (
        _TEXT,
        "After how long a requested orchestrator is overdue, such as `48h`, `2d` or a number of seconds; `7d` by "
        "default where there are waves or canaries, else never.",
    ),
    "paused": (_FLAG, "Whether nobody new is requested; `false` by default."),
}
"""Of each argument of a fleet: its type for programs, and what it is for."""

_CHOICES: Final = {
    "unset": "Clears the flag.",
    "retain": "Leaves the flag as it is.",
    "error": "Ends the run with an error; the state is kept, and the next run requests the failed ones again.",
    "warn": "Ends the run with a warning.",
}

_OF_A_FLEET: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "fleet": (_TEXT, "The name that messages use: that of the resource."),
    "failure": (_TEXT, "Why the last run failed, as one clause; empty when it did not."),
    "members": (
        {"type": "object", "additionalProperties": {"$ref": f"#/types/{PACKAGE}:index:Member"}},
        "What is recorded of each orchestrator, by GUID.",
    ),
    "round": (
        _MAP,
        "What a ReenrollmentCompletion waits for, by GUID. Pass it on as it is: its form may change.",
    ),
    VERSION: ({"type": "integer"}, "The version of the recorded state."),
    "trouble": (_TEXT, "What went wrong between the plugin and Command in the last run, if anything did."),
}
_ALWAYS: Final = ("orchestrator_ids", "status", "on_removal", "on_failure")

_INSTEAD: Final[Mapping[tuple[str, str], str]] = {
    ("Member", "phase"): "Where it stands in its round.",
    ("Member", "baseline_thumbprint"): "Its thumbprint at the first observation of the round that showed it; empty "
    "when it had no certificate then, absent before such an observation.",
    ("Member", "requested_at"): "When it was requested in this round; RFC 3339, in UTC, as all times here.",
    ("Agent", "platform"): "Its platform by number: "
    + ", ".join(f"{number} {name}" for number, name in enumerate(PLATFORMS))
    + ".",
    ("Agent", "version"): "The version that it runs.",
    ("Agent", "capabilities"): "What it can do.",
    ("Agent", "blueprint"): "The blueprint that was applied to it.",
    ("Agent", "thumbprint"): "The certificate that Command expects of it, upper case; absent when it has none.",
    ("Agent", "last_thumbprint_used"): "The certificate that it last presented, upper case; absent when none is known.",
    ("Agent", "last_error_code"): "The error code of its last session; absent when that went well.",
    ("Agent", "last_error_message"): "The error message of its last session.",
    ("Filter", "platform"): f"{', '.join(PLATFORMS[:-1])} or {PLATFORMS[-1]}, or its number.",
    ("Filter", "status"): f"{', '.join(STATUSES.values())}, or its number. Do not let it rule a fleet: orchestrators "
    "come and go under it.",
    ("Filter", "seen_within"): "How long ago it may have been seen last, in hours. Do not let it rule a fleet: "
    "orchestrators come and go under it.",
}
"""What programs of any language read of an attribute whose docstring speaks of Python, or is silent."""

_WAIT: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "timeout": (
        _NUMBER,
        f"Seconds to wait at most, up to {MOST_SECONDS} (7 days); {DEFAULT_SECONDS} by default. Then the run fails, "
        "naming the orchestrators that are not complete, and the next one waits again. 0 looks once.",
    ),
    "maxFailed": (_TEXT, "How many orchestrators may not be complete: a number, or a percent; `0` by default."),
}


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
            "description": "Where Keyfactor Command is, and who asks. What is left out comes from the environment, or "
            "from a profile of Keyfactor's own file.",
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
    kinds: dict[str, Mapping[str, Any]] = {"text": _TEXT, "list": _TEXTS, "number": _NUMBER, "flag": _FLAG}
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
        f"{PACKAGE}:index:ReenrollmentStatus": _enum(
            "What an orchestrator is told to do at its next session.", statuses
        ),
        f"{PACKAGE}:index:Phase": _enum("Where an orchestrator stands in its round.", phases),
        f"{PACKAGE}:index:OnRemoval": _choice("What becomes of the flag of a removed orchestrator.", "on_removal"),
        f"{PACKAGE}:index:OnFailure": _choice("How failed orchestrators end a run.", "on_failure"),
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
        theirs: {**_ARGUMENTS[name][0], "description": _ARGUMENTS[name][1]} for name, theirs in ARGUMENTS.items()
    }
    computed: dict[str, Any] = {name: {**_TEXTS, "description": meaning} for name, meaning in LISTS.items()}
    computed |= {name: {**of, "description": meaning} for name, (of, meaning) in _OF_A_FLEET.items()}
    return {
        "description": "A set of orchestrators that are to enroll for a new client-authentication certificate.",
        "inputProperties": arguments,
        "requiredInputs": ["orchestratorIds", "status"],
        "properties": {**arguments, **computed},
        "required": sorted({*(ARGUMENTS[name] for name in _ALWAYS), *computed} - {"trouble"}),
        "aliases": [{"type": f"{_DYNAMIC}{PACKAGE}:OrchestratorReenrollment"}],
    }


def _completion() -> dict[str, Any]:
    wait = {name: {**of, "description": meaning} for name, (of, meaning) in _WAIT.items()}
    return {
        "description": "The completion of a fleet's round, for the next wave to depend on: it is created once every "
        "orchestrator has re-enrolled and uses its new certificate.",
        "inputProperties": {
            "round": {**_MAP, "description": "`round` of the OrchestratorReenrollment to wait for."},
            **wait,
        },
        "requiredInputs": ["round"],
        "properties": {
            "awaited": {**_MAP, "description": "What was waited for: a new round of a member is waited for again."},
        },
        "required": ["awaited"],
        "aliases": [{"type": f"{_DYNAMIC}{PACKAGE}:ReenrollmentCompletion"}],
    }


def _one() -> dict[str, Any]:
    return {
        "description": "One orchestrator of Keyfactor Command.",
        "inputs": {
            "type": "object",
            "properties": {"identifier": {**_TEXT, "description": "Its GUID, or the name of its machine."}},
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
        of = {**_NUMBER} if FILTERS[field.name] == HOURS else _type(hints[field.name])
        filters[FILTERS[field.name]] = {**of, "description": meanings[field.name]}
    return {
        "description": "The orchestrators of Keyfactor Command that match every filter given, over every page of its "
        "list.",
        "inputs": {"type": "object", "properties": filters},
        "outputs": {
            "type": "object",
            "description": "What was found.",
            "properties": {
                "ids": {**_TEXTS, "description": "Their GUIDs, sorted."},
                "orchestrators": {
                    "type": "array",
                    "items": {"$ref": f"#/types/{PACKAGE}:index:Orchestrator"},
                    "description": "Each of them, in the same order.",
                },
                "unstable": {
                    **_TEXTS,
                    "description": "The filters given under which orchestrators come and go by themselves; do not let "
                    "such a look-up rule a fleet.",
                },
            },
            "required": ["ids", "orchestrators", "unstable"],
        },
    }


def _orchestrator() -> dict[str, Any]:
    hints, meanings = get_type_hints(Agent), meanings_of(Agent)
    return {theirs: {**_type(hints[name]), "description": meanings[name]} for name, theirs in AGENT_FIELDS.items()}


def _type(hint: Any) -> dict[str, Any]:
    """How the schema writes the type of a value in Python."""
    if hint is ReenrollmentStatus:
        return {"$ref": f"#/types/{PACKAGE}:index:ReenrollmentStatus"}
    if hint is Phase:
        return {"$ref": f"#/types/{PACKAGE}:index:Phase"}
    plain = {str: _TEXT, bool: _FLAG, int: {"type": "integer"}, float: _NUMBER}
    if hint in plain:
        return dict(plain[hint])
    arguments = [one for one in get_args(hint) if one not in (type(None), msgspec.UnsetType, ...)]
    if get_origin(hint) in (Union, types.UnionType):
        # A name or a number: the name, which every language writes alike.
        return _type(str if str in arguments else arguments[0])
    return {"type": "array", "items": _type(arguments[0])}


def _enum(description: str, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": list(values)}


def _choice(description: str, argument: str) -> dict[str, Any]:
    choices = get_args(get_type_hints(Desired)[argument])
    return _enum(
        description,
        [{"name": value.capitalize(), "value": value, "description": _CHOICES[value]} for value in choices],
    )


def meanings_of(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each of its attributes, as sentences, or what stands in its place."""
    text = inspect.getdoc(kind) or ""
    section = text.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        words = " ".join(meaning.split()).rstrip(".")
        found[name] = f"{words[:1].upper()}{words[1:]}."
    return found | {name: text for (of, name), text in _INSTEAD.items() if of == kind.__name__}


def _values(kind: Any) -> list[str]:
    """What stands below each value of an enumeration in its source."""
    source = inspect.getsource(kind)
    return re.findall(r'^    [A-Z]+ = .*\n    """(.*?)"""', source, re.MULTILINE)
