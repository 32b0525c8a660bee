"""The provider block: its attributes, and the settings from them and from the environment."""

import os
from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Bool, Number, String

from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.command.settings_table import CONFIG_KEYS, SETTINGS, Setting
from keyfactor_provider.command.sources import as_text
from keyfactor_provider.vocabulary import Vocabulary

ATTRIBUTES: Final[Mapping[str, str]] = {key: SETTINGS[key].attribute for key in CONFIG_KEYS}
"""The attribute of each setting by its key, named as in Keyfactor's own provider where that has it."""

_TYPES: Final = {"text": String(), "list": String(), "number": Number(), "flag": Bool()}

VOCABULARY: Final = Vocabulary("terraform plan", "terraform apply", "the provider block", ATTRIBUTES)


def describe(setting: Setting) -> str:
    """An attribute's description, with its default and its environment variable."""
    default = f" Default: `{setting.default}`." if setting.default else ""
    return f"{setting.description}.{default} Or `{setting.environment[0]}`."


SCHEMA: Final = Schema(
    attributes=[
        Attribute(setting.attribute, _TYPES[setting.kind], describe(setting), optional=True, sensitive=setting.secret)
        for setting in (SETTINGS[key] for key in ATTRIBUTES)
    ],
    description="Declares which orchestrators of Keyfactor Command must enroll for a new certificate.",
)


def settings(config: Mapping[str, Any]) -> Settings:
    """The settings; the provider block comes before other sources.

    Raises:
        SettingsError: they are wrong or missing.
    """
    texts = {key: as_text(config.get(name)) for key, name in ATTRIBUTES.items()}
    return load(texts.get, os.environ, vocabulary=VOCABULARY)
