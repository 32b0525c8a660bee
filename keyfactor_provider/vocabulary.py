"""What each engine calls the things that messages name: its commands, its config, and the settings in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vocabulary:
    """The words of one engine; the defaults are Pulumi's.

    Attributes:
        preview: the command that shows what a run would do.
        up: the command that runs.
        config: where the engine's own settings stand.
        settings: the name of a setting there by its key; a setting that is not listed is `keyfactor:KEY`.
    """

    preview: str = "pulumi preview"
    up: str = "pulumi up"
    config: str = "the stack's config"
    settings: Mapping[str, str] = field(default_factory=dict)

    def setting(self, key: str) -> str:
        """A setting as it is written in the engine's own config."""
        return self.settings.get(key, f"keyfactor:{key}")
