"""Each engine's words for what messages name: its commands, its config, and the settings in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Vocabulary:
    """The words of one engine; the defaults are Pulumi's.

    Attributes:
        preview: the command that previews a run.
        up: the command that runs.
        config: where the engine keeps its settings.
        settings: the names of settings there by key; the default is `keyfactor:KEY`.
    """

    preview: str = "pulumi preview"
    up: str = "pulumi up"
    config: str = "the stack's config"
    settings: Mapping[str, str] = field(default_factory=dict)

    def setting(self, key: str) -> str:
        """The name of a setting in the engine's config."""
        return self.settings.get(key, f"keyfactor:{key}")
