"""Translates between Pulumi's values and `Desired`: a program's arguments, and the inputs that the engine stores."""

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
"""The members in the inputs: a map from GUID to status, so that a diff shows an added member as one line."""
RUN: Final = "run"
"""What a program tells `check` about its run (see `_about_run`); never stored."""


@dataclass(frozen=True)
class Written:
    """What a program wrote for a fleet.

    Attributes:
        fleet: its name in messages.
        values: by argument name; UNKNOWN for a value that is known only during the run.
        partly: whether the engine mixed old and new members, because `ignore_changes` names a part of the set.
        preview: whether this is a preview.
        failures: the file that tells the program of a failure; empty if the program does not need it.
        after: the names of the resources that the arguments come from.
    """

    fleet: str
    values: Mapping[str, Any]
    partly: bool
    preview: bool
    failures: str
    after: tuple[str, ...]


def written(news: Mapping[str, Any], olds: Mapping[str, Any]) -> Written:
    """Parses the inputs that the engine passes to `check`.

    Args:
        olds: the inputs of the last run; empty for a new fleet.
    """
    values = {name: given(plain(news[name])) for name in GIVEN if name in news}
    stored = plain(news.get(ORCHESTRATORS))
    about = news.get(RUN)
    run = about if isinstance(about, Mapping) else {}
    previous = plain(olds.get(ORCHESTRATORS))
    # ignore_changes with a part of the set: the engine restored some of the old members, but not all.
    partly = stored is not None and set(stored) != set(previous or stored)
    if stored is None and about is not None and "orchestrator_ids" not in values:
        # ignore_changes names the set, so the engine left it out.
        stored = previous
    if stored is not None:
        values["orchestrator_ids"] = list(stored)
    preview = bool(run.get("preview"))
    if not preview:
        # The engine leaves out values of failed resources. This happens only with --continue-on-error, which skips this
        # fleet after its check.
        values = {"orchestrator_ids": UNKNOWN, "status": UNKNOWN, **values}
    after = run.get("after")
    return Written(
        fleet=str(news["fleet"]),
        values=values,
        partly=partly,
        preview=preview,
        failures=str(run.get("failures") or ""),
        after=tuple(sorted(str(name) for name in after)) if isinstance(after, list) else (),
    )


def inputs(desired: Desired) -> dict[str, Any]:
    """The inputs that the engine stores and compares."""
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
    """The inputs of a fleet with invalid values, or with unknown ones, which only a preview accepts.

    Known values are the same as in the run, defaults included, so that a preview does not show them as changed.
    """
    kept = inputs(checked.known)
    for name in checked.unknown - {"orchestrator_ids"}:
        # In a run, an unknown value comes from a failed resource and is absent.
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
    """Parses the inputs that `inputs` wrote.

    Raises:
        InputError: a required input is missing, because it comes from a failed resource.
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
    """Whether all required inputs are present and none is unknown."""
    return not has_unknown(kept) and kept.get(ORCHESTRATORS) is not None and kept.get("status") is not None


def plain(value: Any) -> Any:
    """A value of the SDK as `check` takes it: UNKNOWN in place of the SDK's `Unknown`."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether any part of a value of the SDK is unknown."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)
