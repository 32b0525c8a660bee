"""The descriptions and types of arguments, outputs and attributes in the schema, for programs in any language."""

from collections.abc import Mapping
from typing import Any, Final

from keyfactor_provider.operations.lookup import PLATFORMS, STATUSES
from keyfactor_provider.operations.waiting import MOST_SECONDS
from keyfactor_provider.plugin.completions import DEFAULT_SECONDS
from keyfactor_provider.plugin.forms import VERSION
from keyfactor_provider.plugin.names import PACKAGE

TEXT: Final = {"type": "string"}
TEXTS: Final = {"type": "array", "items": TEXT}
MAP: Final = {"type": "object", "additionalProperties": TEXT}
FLAG: Final = {"type": "boolean"}
NUMBER: Final = {"type": "number"}

OF_ARGUMENTS: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "orchestrator_ids": (TEXTS, "GUIDs of the orchestrators. Order, duplicates, case and braces do not matter."),
    "status": (
        {"$ref": f"#/types/{PACKAGE}:index:ReenrollmentStatus"},
        "The status to set: `Requested`, `Required` or `None`.",
    ),
    "triggers": (MAP, "Any strings. A change starts a new round for all members."),
    "on_removal": (
        {"$ref": f"#/types/{PACKAGE}:index:OnRemoval"},
        "What happens to the flag of an orchestrator that is removed from the set, or when the resource is destroyed; "
        "`unset` by default.",
    ),
    "on_failure": (
        {"$ref": f"#/types/{PACKAGE}:index:OnFailure"},
        "Whether failed orchestrators end the run with an error or a warning; `error` by default.",
    ),
    "waves": (
        TEXTS,
        'Sizes of the waves in which orchestrators are requested, such as `["5", "10%", "100%"]`: numbers, or percents '
        "of the members. The last size repeats. Without waves, all members are requested at once.",
    ),
    "canary_ids": (
        TEXTS,
        "GUIDs of the members that are requested first. The others wait until each of these has re-enrolled and uses "
        "its new certificate.",
    ),
    "max_failed": (
        TEXT,
        "How many orchestrators may be rejected, not found or overdue before the roll-out halts: a number, or a "
        "percent of those started so far; `0` by default.",
    ),
    "overdue_after": (
        TEXT,
        "How long after its request an orchestrator is overdue, such as `48h`, `2d` or a number of seconds; `7d` by "
        "default with waves or canaries, otherwise never.",
    ),
    "paused": (FLAG, "Whether the roll-out is paused: no further members are requested. `false` by default."),
}
"""The type and the description of each argument of a fleet."""

CHOICES: Final = {
    "unset": "Clears the flag.",
    "retain": "Leaves the flag as it is.",
    "error": "Ends the run with an error. The state is kept, and the next run retries the failed orchestrators.",
    "warn": "Ends the run with a warning.",
}

OF_A_FLEET: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "fleet": (TEXT, "The name of the fleet in messages: the name of the resource."),
    "failure": (TEXT, "Why the last run failed, as one clause; empty if it did not."),
    "members": (
        {"type": "object", "additionalProperties": {"$ref": f"#/types/{PACKAGE}:index:Member"}},
        "The record of each orchestrator, by GUID.",
    ),
    "round": (
        MAP,
        "What a ReenrollmentCompletion waits for, by GUID. Pass it unchanged: its form may change between releases.",
    ),
    VERSION: ({"type": "integer"}, "The version of the recorded state."),
    "trouble": (TEXT, "The error that cut the last run short, if any."),
}
ALWAYS: Final = ("orchestrator_ids", "status", "on_removal", "on_failure")

INSTEAD: Final[Mapping[tuple[str, str], str]] = {
    ("Member", "phase"): "Its phase in the round.",
    ("Member", "baseline_thumbprint"): "Its thumbprint when first observed in the round; empty if it had no "
    "certificate then, absent before that observation.",
    ("Member", "requested_at"): "When it was requested in this round; RFC 3339 in UTC, like all times here.",
    ("Agent", "platform"): "The number of its platform: "
    + ", ".join(f"{number} {name}" for number, name in enumerate(PLATFORMS))
    + ".",
    ("Agent", "version"): "The version that it runs.",
    ("Agent", "capabilities"): "Its capabilities.",
    ("Agent", "blueprint"): "The blueprint that was applied to it.",
    ("Agent", "thumbprint"): "Thumbprint of the certificate that Command expects, in upper case; absent if none.",
    ("Agent", "last_thumbprint_used"): "Thumbprint of the certificate last used, in upper case; absent if unknown.",
    ("Agent", "last_error_code"): "The error code of its last session; absent if there was no error.",
    ("Agent", "last_error_message"): "The error message of its last session.",
    ("Filter", "platform"): f"{', '.join(PLATFORMS[:-1])} or {PLATFORMS[-1]}, or its number.",
    ("Filter", "with_certificate"): "Whether Command expects a client certificate of it. Orchestrators that sign in "
    "with OAuth or Basic never re-enroll.",
    ("Filter", "status"): f"{', '.join(STATUSES.values())}, or its number. Do not derive a fleet from it: the "
    "result changes by itself.",
    ("Filter", "seen_within"): "Within how many hours it must have been seen last. Do not derive a fleet from it: the "
    "result changes by itself.",
}
"""Descriptions of attributes whose docstring is missing or specific to Python."""

WAIT: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "timeout": (
        NUMBER,
        f"The most seconds to wait, up to {MOST_SECONDS} (7 days); {DEFAULT_SECONDS} by default. Then the run fails, "
        "naming the orchestrators that are not complete. The next run waits again. 0 checks once.",
    ),
    "maxFailed": (TEXT, "How many orchestrators need not be complete: a number, or a percent; `0` by default."),
}
