"""The provider: its block, its resources and its data sources."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tf.iface import Provider
from tf.schema import Schema
from tf.utils import Diagnostics

from keyfactor_provider.command.settings import Settings
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.terraform import block
from keyfactor_provider.terraform.calls import DataSource, Resource
from keyfactor_provider.terraform.completion import Completion
from keyfactor_provider.terraform.diagnostics import add_settings_error, add_settings_warning
from keyfactor_provider.terraform.orchestrators import OneOrchestrator, Orchestrators
from keyfactor_provider.terraform.reenrollment import Reenrollment
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import has_unknown, is_unknown

ADDRESS: Final = "terraform.local/keyfactor/keyfactorcommand"
"""The source address until the provider is in a public registry."""

_RESOURCES: Final[tuple[type[Resource], ...]] = (Reenrollment, Completion)
_DATA_SOURCES: Final[tuple[type[DataSource], ...]] = (OneOrchestrator, Orchestrators)


class CommandProvider(Provider):
    """The provider, as `tf` and `servicer` call it.

    Attributes:
        shared: passed to each of its resources.
    """

    def __init__(self) -> None:
        self.shared = Shared()

    def get_model_prefix(self) -> str:
        """The prefix of all resource names."""
        return "keyfactorcommand_"

    def full_name(self) -> str:
        """Its source address."""
        return ADDRESS

    def get_provider_schema(self, _diags: Diagnostics) -> Schema:
        """The schema of the provider block, in which everything is optional."""
        return block.SCHEMA

    def validate_config(self, diags: Diagnostics, config: Mapping[str, Any]) -> None:
        """Refuses invalid settings, but not unknown or missing ones."""
        if has_unknown(config):
            return
        try:
            block.settings(config)
        except MissingSettings:
            pass
        except SettingsError as error:
            add_settings_error(diags, error, dict(block.ATTRIBUTES))

    def configure_provider(self, diags: Diagnostics, config: Mapping[str, Any]) -> None:
        """Takes the settings for this process, and reports problems with them once."""
        from keyfactor_provider.operations.operations import Operations

        unknown = [name for name, value in config.items() if is_unknown(value)]
        self.shared.readable = not unknown

        def settings() -> Settings:
            if unknown:
                raise MissingSettings(
                    "Keyfactor Command can't be read yet",
                    f"the provider block's {unknown[0]} is known only after apply",
                    "Existing orchestrators are not refreshed.",
                )
            found = block.settings(config)
            url = urlsplit(found.base_url)
            self.shared.server = f"{url.hostname}:{url.port or url.scheme}"
            return found

        self.shared.operations = Operations(settings, self.shared.tell, block.VOCABULARY)
        try:
            with self.shared.tell.into(diags):
                self.shared.operations.require_settings()
        except MissingSettings as error:
            add_settings_warning(
                diags, error, "" if unknown else " The plan continues; `terraform apply` will fail without it."
            )
        except SettingsError as error:
            add_settings_error(diags, error, dict(block.ATTRIBUTES))

    def get_resources(self) -> list[Any]:
        """Its resource types."""
        return list(_RESOURCES)

    def get_data_sources(self) -> list[Any]:
        """Its data sources."""
        return list(_DATA_SOURCES)

    def resource(self, kind: type[Resource]) -> Resource:
        """A resource for one call."""
        return kind(self.shared)

    def data_source(self, kind: type[DataSource]) -> DataSource:
        """A data source for one call."""
        return kind(self.shared)
