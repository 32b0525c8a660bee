"""A setting as it was found, and the words that name where: what every message about settings is made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keyfactor_provider.errors import SettingsError

WRONG = "A setting for Keyfactor Command is wrong"


@dataclass(frozen=True)
class Value:
    """One setting as found, with the words that name its source; its text may be a secret.

    Attributes:
        key: its key, where it comes from the engine's own config.
    """

    text: str = field(repr=False)
    source: str
    key: str = ""


@dataclass(frozen=True)
class Source:
    """One place that settings come from."""

    values: Mapping[str, Value]


def first(sources: Iterable[Source], key: str) -> Value | None:
    """The setting of the first source that has it."""
    return next((source.values[key] for source in sources if key in source.values), None)


def text_of(value: Value | None) -> str:
    """Its text; empty where there is none."""
    return value.text if value else ""


def wrong(value: Value, expected: str) -> SettingsError:
    """The error for a value that can't be meant; it repeats the value, so never use it for a secret."""
    return SettingsError(WRONG, f"{value.source} is {value.text!r}", f"Expected {expected}.", key=value.key)


def as_text(value: Any) -> str | None:
    """A value of an engine's config as the settings take it, which come from texts everywhere else."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
