"""The resource options of a program: which of them work, in which names, and which are refused because they would not.

| option | what happens |
|---|---|
| parent, depends_on, aliases, protect, retain_on_delete, delete_before_replace | work, as on any resource |
| replacement_trigger, replace_with, deleted_with, state_migrations | work, as on any resource |
| transformations, transforms, hooks | work; this project's hooks are added after every transformation |
| ignore_changes, replace_on_changes, hide_diffs | work, in the names of the arguments |
| additional_secret_outputs | works, in the names of the arguments and outputs |
| custom_timeouts | a fleet's create, update and delete are bounded; read is refused, and a completion has `timeout` |
| import_, id, urn | refused: a new fleet adopts the flags that already stand |
| provider, providers, version, plugin_download_url, env_var_mappings | refused: the provider is part of the program |
"""

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

import pulumi

_PROVIDER: Final = "a dynamic resource's provider is part of the program; its settings are the config keys keyfactor:*"
_ADOPTS: Final = "there is nothing to import or read: a new fleet adopts the flags that already stand"

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
"""Options that have no effect on these resources, with the reason."""

PUBLIC: Final = "orchestrator_ids"
STORED: Final = "orchestrators"
"""What the engine keeps the members under: a map by GUID, so that one member more is one line of a diff."""

LISTS: Final = ("failed_orchestrator_ids", "pending_orchestrator_ids", "reenrolled_orchestrator_ids")
"""Outputs that name members."""

_PATH: Final = re.compile(rf'(?:\["(?:{PUBLIC}|{STORED})"\]|(?:{PUBLIC}|{STORED}))(?P<part>[.\[].*)?')
_BY_PLACE: Final = re.compile(r"\[\d+\]")


def refuse_without_effect(subject: str, opts: pulumi.ResourceOptions, refused: Iterable[str] = REFUSED) -> None:
    """Refuses options that would be ignored.

    Args:
        subject: what they are given to, such as `Fleet "edge"`.
        refused: names of options.

    Raises:
        pulumi.RunError: names the first one.
    """
    for name in refused:
        # A list of providers is empty where somebody merges options.
        if getattr(opts, name, None) not in (None, [], {}):
            raise pulumi.RunError(f"{subject}: the option {name} has no effect: {REFUSED[name]}. Remove it.")


def refuse_unknown_names(subject: str, opts: pulumi.ResourceOptions | None, arguments: Collection[str]) -> None:
    """Refuses a misspelt name in the options of the resource itself; a transformation may name what others have.

    Raises:
        pulumi.RunError: names the option and the name.
    """
    for option in ("ignore_changes", "replace_on_changes", "hide_diffs"):
        for path in getattr(opts, option, None) or ():
            head = re.split(r"[.\[]", path.removeprefix('["').removeprefix("["), maxsplit=1)[0].removesuffix('"]')
            if path != "*" and head not in arguments:
                expected = ", ".join(sorted({*arguments} - {STORED}))
                raise pulumi.RunError(f"{subject}: {option} names {path!r}; expected one of {expected}, or *.")


def in_stored_names(subject: str, opts: pulumi.ResourceOptions) -> None:
    """Rewrites, in place, the paths in options from the names of the arguments to those that the engine keeps.

    Raises:
        pulumi.RunError: a path names one member of the set where the engine can't tell it from another.
    """
    opts.ignore_changes = _each(subject, "ignore_changes", opts.ignore_changes)
    opts.replace_on_changes = _each(subject, "replace_on_changes", opts.replace_on_changes)
    opts.hide_diffs = _each(subject, "hide_diffs", opts.hide_diffs)
    if opts.additional_secret_outputs is not None:
        named = {
            name
            for path in opts.additional_secret_outputs
            for name in (("members", *LISTS) if _PATH.fullmatch(path) else (path,))
        }
        opts.additional_secret_outputs = sorted(named)


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
            f"{subject}: {option} names {path}, a part of a set. Expected {PUBLIC}, which means every change of the "
            "members."
        )
    return f"{STORED}{part}"


def time_limits(subject: str, opts: pulumi.ResourceOptions, instead: str = "") -> None:
    """Refuses `custom_timeouts` that nothing heeds.

    Args:
        instead: the argument of a resource that has its own way to say it.

    Raises:
        pulumi.RunError: there are such.
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
