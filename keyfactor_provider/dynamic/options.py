"""Resource options: which of them work, with which names, and which are refused because they would have no effect.

| option | what happens |
|---|---|
| parent, depends_on, aliases, protect, retain_on_delete, delete_before_replace | work, as on any resource |
| replacement_trigger, replace_with, deleted_with, state_migrations | work, as on any resource |
| transformations, transforms, hooks | work; this project's hooks are added after every transformation |
| ignore_changes, replace_on_changes, hide_diffs | work, with the names of the arguments |
| additional_secret_outputs | works, with the names of the arguments and outputs |
| custom_timeouts | bound a fleet's create, update and delete; read is refused; a completion has `timeout` instead |
| import_, id, urn | refused: a new fleet adopts flags that are already set |
| provider, providers, version, plugin_download_url, env_var_mappings | refused: the provider is part of the program |
"""

import re
from collections.abc import Collection
from typing import Any, Final

import pulumi

from keyfactor_provider.dynamic.forms import ORCHESTRATORS

_PROVIDER: Final = "a dynamic resource's provider is part of the program; its settings are the config keys keyfactor:*"
_ADOPTS: Final = "there is nothing to import or read: a new fleet adopts flags that are already set"

REFUSED: Final = {
    "provider": _PROVIDER,
    "providers": _PROVIDER,
    "version": _PROVIDER,
    "plugin_download_url": _PROVIDER,
    "env_var_mappings": _PROVIDER,
    "import_": _ADOPTS,
    "id": _ADOPTS,
    "urn": _ADOPTS,
}
"""Options that have no effect on these resources, and why."""

PUBLIC: Final = "orchestrator_ids"
LISTS: Final = tuple(f"{kind}_{PUBLIC}" for kind in ("failed", "pending", "reenrolled", "queued", "overdue"))
"""Outputs that the program derives from `members`."""

_PATH: Final = re.compile(rf'(?:\["(?:{PUBLIC}|{ORCHESTRATORS})"\]|(?:{PUBLIC}|{ORCHESTRATORS}))(?P<part>[.\[].*)?')
_BY_PLACE: Final = re.compile(r"\[\d+\]")


def refuse_without_effect(subject: str, opts: pulumi.ResourceOptions) -> None:
    """Refuses options that would be ignored.

    Args:
        subject: the resource that they belong to, such as `Fleet "edge"`.

    Raises:
        pulumi.RunError: names the first one.
    """
    for name in REFUSED:
        # Merged options have an empty list of providers.
        if getattr(opts, name, None) not in (None, [], {}):
            raise pulumi.RunError(f"{subject}: the option {name} has no effect: {REFUSED[name]}. Remove it.")


def refuse_unknown_names(subject: str, opts: pulumi.ResourceOptions | None, arguments: Collection[str]) -> None:
    """Refuses unknown names in a resource's own options; those of a transformation may belong to other resources.

    Raises:
        pulumi.RunError: names the option and the name.
    """
    inputs, outputs = {*arguments}, {*arguments, "members", "trouble", *LISTS}
    for option in ("ignore_changes", "replace_on_changes", "hide_diffs", "additional_secret_outputs"):
        names = outputs if option == "additional_secret_outputs" else inputs
        for path in getattr(opts, option, None) or ():
            head = re.split(r"[.\[]", path.removeprefix('["').removeprefix("["), maxsplit=1)[0].removesuffix('"]')
            if path != "*" and head not in names:
                expected = ", ".join(sorted(names - {ORCHESTRATORS}))
                raise pulumi.RunError(f"{subject}: {option} names {path!r}; expected one of {expected}, or *.")


def in_stored_names(subject: str, opts: pulumi.ResourceOptions) -> None:
    """Rewrites the paths in options, in place, from argument names to the names that the engine stores.

    Raises:
        pulumi.RunError: a path names a single member where the engine can't identify it.
    """
    opts.ignore_changes = _each(subject, "ignore_changes", opts.ignore_changes)
    opts.replace_on_changes = _each(subject, "replace_on_changes", opts.replace_on_changes)
    opts.hide_diffs = _each(subject, "hide_diffs", opts.hide_diffs)
    if opts.additional_secret_outputs is not None:
        names = {
            "members" if _PATH.fullmatch(path) or path in LISTS else path for path in opts.additional_secret_outputs
        }
        opts.additional_secret_outputs = sorted(names)


def _each(subject: str, option: str, paths: list[str] | None) -> list[str] | None:
    return None if paths is None else [_stored(subject, option, path) for path in paths]


def _stored(subject: str, option: str, path: str) -> str:
    match = _PATH.fullmatch(path)
    if match is None:
        return path
    part = match["part"] or ""
    if part in ("[*]", ".*"):
        part = ""
    if part and (option == "ignore_changes" or _BY_PLACE.match(part)):
        raise pulumi.RunError(
            f"{subject}: {option} names {path}, a part of a set. Expected {PUBLIC}, which covers every change of "
            "members."
        )
    return f"{ORCHESTRATORS}{part}"


def time_limits(subject: str, opts: pulumi.ResourceOptions, instead: str = "") -> None:
    """Refuses `custom_timeouts` that have no effect.

    Args:
        instead: the argument to use instead, for a resource that has one.

    Raises:
        pulumi.RunError: names the option.
    """
    timeouts: Any = opts.custom_timeouts
    if timeouts is None:
        return
    if instead:
        raise pulumi.RunError(f"{subject}: the option custom_timeouts has no effect. Use the argument {instead}.")
    read = timeouts.get("read") if isinstance(timeouts, dict) else getattr(timeouts, "read", None)
    if read:
        raise pulumi.RunError(
            f"{subject}: custom_timeouts.read has no effect. Set keyfactor:timeout, which bounds every request."
        )
