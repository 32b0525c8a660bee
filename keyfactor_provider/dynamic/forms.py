"""A fleet between Pulumi's values and the decisions: what a program wrote, the inputs and the state that are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi.output import Unknown

from keyfactor_provider.dynamic.inputs import given
from keyfactor_provider.errors import InputError, Problem
from keyfactor_provider.reenrollment.desired import (
    GIVEN,
    UNKNOWN,
    Checked,
    Desired,
    rollout_from_inputs,
    rollout_inputs,
)
from keyfactor_provider.status import ReenrollmentStatus

PROVIDER: Final = "__provider"
ORCHESTRATORS: Final = "orchestrators"
"""The members as the engine keeps and compares them: a map from GUID to status, so that one more is one line."""
RUN: Final = "run"
"""What a program tells the check of its run, and what is never kept: see `About`."""


@dataclass(frozen=True)
class Written:
    """What a program wrote for a fleet.

    Attributes:
        fleet: its name.
        values: by the names of the arguments; UNKNOWN for what is known only during the run.
        partly: whether the engine mixed old and new members, because `ignore_changes` names a part of the set.
        preview: whether nothing is changed in this run.
        failures: the file by which the program learns of a failure; empty where it does not want to know.
        after: the resources that unknown arguments come from, by name.
    """

    fleet: str
    values: Mapping[str, Any]
    partly: bool
    preview: bool
    failures: str
    after: tuple[str, ...]


def written(news: Mapping[str, Any], olds: Mapping[str, Any]) -> Written:
    """What the engine passes on to be checked.

    Args:
        olds: the inputs of the last run; empty for a new fleet.
    """
    values = {name: given(plain(news[name])) for name in GIVEN if name in news}
    stored = plain(news.get(ORCHESTRATORS))
    about = news.get(RUN)
    told = about if isinstance(about, Mapping) else {}
    kept = plain(olds.get(ORCHESTRATORS))
    # A part of a set has no place of its own: the engine put back some of the old members and not all.
    partly = stored is not None and set(stored) != set(kept or stored)
    if stored is None and about is not None and "orchestrator_ids" not in values:
        # The program says ignore_changes, and the engine left the members out for that.
        stored = kept
    if stored is not None:
        values["orchestrator_ids"] = list(stored)
    preview = bool(told.get("preview"))
    if not preview:
        # What comes from a resource that failed is left out: only --continue-on-error gets here, and holds this fleet
        # back after its check.
        values = {"orchestrator_ids": UNKNOWN, "status": UNKNOWN, **values}
    after = told.get("after")
    return Written(
        fleet=str(news["fleet"]),
        values=values,
        partly=partly,
        preview=preview,
        failures=str(told.get("failures") or ""),
        after=tuple(sorted(str(name) for name in after)) if isinstance(after, list) else (),
    )


def inputs(desired: Desired) -> dict[str, Any]:
    """The inputs that the engine keeps and compares."""
    kept: dict[str, Any] = {
        "fleet": desired.fleet,
        ORCHESTRATORS: dict.fromkeys(sorted(desired.members), desired.status.value),
        "status": desired.status.value,
        "on_removal": desired.on_removal,
        "on_failure": desired.on_failure,
        **rollout_inputs(desired.rollout),
    }
    if desired.triggers:
        kept["triggers"] = dict(desired.triggers)
    return kept


def unknown_inputs(checked: Checked, news: Mapping[str, Any], *, preview: bool) -> dict[str, Any]:
    """The inputs of a fleet of which something is unknown, which only a preview takes, or wrong.

    What is known stands there as it will in the run, defaults included: no preview shows it as changed.
    """
    kept = inputs(checked.known)
    for name in checked.unknown - {"orchestrator_ids"}:
        # What is not known in a run comes from a resource that failed, and is not there.
        kept.pop(name, None)
        if name in news:
            kept[name] = news[name]
    if "orchestrator_ids" in checked.unknown:
        del kept[ORCHESTRATORS]
        if preview:
            kept[ORCHESTRATORS] = Unknown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    elif "status" in checked.unknown:
        kept[ORCHESTRATORS] = dict.fromkeys(kept[ORCHESTRATORS], news.get("status"))
    return kept


def desired_of(kept: Mapping[str, Any]) -> Desired:
    """What is desired by the inputs that `inputs` wrote.

    Raises:
        InputError: one that is needed is missing, because it comes from a resource that failed.
    """
    if missing := [name for name in (ORCHESTRATORS, "status") if kept.get(name) is None]:
        names = [name.replace(ORCHESTRATORS, "orchestrator_ids") for name in missing]
        raise InputError(str(kept["fleet"]), [Problem(name, "missing: its value is None") for name in names])
    return Desired(
        fleet=kept["fleet"],
        members=frozenset(kept[ORCHESTRATORS]),
        status=ReenrollmentStatus(kept["status"]),
        triggers=kept.get("triggers") or {},
        on_removal=kept["on_removal"],
        on_failure=kept["on_failure"],
        rollout=rollout_from_inputs(kept),
    )


def is_known(kept: Mapping[str, Any]) -> bool:
    """Whether everything that is needed is there and known."""
    return not has_unknown(kept) and kept.get(ORCHESTRATORS) is not None and kept.get("status") is not None


def plain(value: Any) -> Any:
    """An engine's value as the decisions take it."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether anything in an engine's value is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)
