"""What programs of any language read of arguments, outputs and attributes, and the types that these have for them."""

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
    "orchestrator_ids": (TEXTS, "GUIDs of the orchestrators; order, duplicates, case and braces do not matter."),
    "status": (
        {"$ref": f"#/types/{PACKAGE}:index:ReenrollmentStatus"},
        "What to set: `Requested`, `Required` or `None`.",
    ),
    "triggers": (MAP, "Any strings; a change of them starts a new round for everyone."),
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
        TEXTS,
        'Sizes of the waves in which orchestrators are requested, such as `["5", "10%", "100%"]`: numbers, or percents '
        "of the members; the last size repeats. Without waves everybody is requested at once.",
    ),
    "canary_ids": (
        TEXTS,
        "GUIDs of the members that are requested first; nobody else is before each of them has re-enrolled and uses "
        "its new certificate.",
    ),
    "max_failed": (
        TEXT,
        "How many orchestrators may be rejected, not found or overdue before the roll-out halts: a number, or a "
        "percent of those started so far; `0` by default.",
    ),
    "overdue_after": (
        TEXT,
        "After how long a requested orchestrator is overdue, such as `48h`, `2d` or a number of seconds; `7d` by "
        "default where there are waves or canaries, else never.",
    ),
    "paused": (FLAG, "Whether nobody new is requested; `false` by default."),
}
"""Of each argument of a fleet: its type for programs, and what it is for."""

CHOICES: Final = {
    "unset": "Clears the flag.",
    "retain": "Leaves the flag as it is.",
    "error": "Ends the run with an error; the state is kept, and the next run requests the failed ones again.",
    "warn": "Ends the run with a warning.",
}

OF_A_FLEET: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "fleet": (TEXT, "The name that messages use: that of the resource."),
    "failure": (TEXT, "Why the last run failed, as one clause; empty when it did not."),
    "members": (
        {"type": "object", "additionalProperties": {"$ref": f"#/types/{PACKAGE}:index:Member"}},
        "What is recorded of each orchestrator, by GUID.",
    ),
    "round": (
        MAP,
        "What a ReenrollmentCompletion waits for, by GUID. Pass it on as it is: its form may change.",
    ),
    VERSION: ({"type": "integer"}, "The version of the recorded state."),
    "trouble": (TEXT, "What went wrong between the plugin and Command in the last run, if anything did."),
}
ALWAYS: Final = ("orchestrator_ids", "status", "on_removal", "on_failure")

INSTEAD: Final[Mapping[tuple[str, str], str]] = {
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
    ("Filter", "with_certificate"): "Whether Command expects a client certificate of it; those that sign in with OAuth "
    "or Basic never re-enroll.",
    ("Filter", "status"): f"{', '.join(STATUSES.values())}, or its number. Do not let it rule a fleet: orchestrators "
    "come and go under it.",
    ("Filter", "seen_within"): "How long ago it may have been seen last, in hours. Do not let it rule a fleet: "
    "orchestrators come and go under it.",
}
"""What programs of any language read of an attribute whose docstring speaks of Python, or is silent."""

WAIT: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "timeout": (
        NUMBER,
        f"Seconds to wait at most, up to {MOST_SECONDS} (7 days); {DEFAULT_SECONDS} by default. Then the run fails, "
        "naming the orchestrators that are not complete, and the next one waits again. 0 looks once.",
    ),
    "maxFailed": (TEXT, "How many orchestrators may not be complete: a number, or a percent; `0` by default."),
}
