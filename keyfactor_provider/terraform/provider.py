"""The provider block, and what all resources of one plugin process share."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tf.schema import Attribute, Schema
from tf.types import Bool, Number, String
from tf.utils import Diagnostics

from keyfactor_provider.command.settings import SECRET_KEYS, load
from keyfactor_provider.command.sources import Naming
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.terraform.diagnostics import Telling, add_settings_error, add_settings_warning
from keyfactor_provider.terraform.values import has_unknown, is_unknown
from keyfactor_provider.words import Words

if TYPE_CHECKING:
    from keyfactor_provider.operations import Operations

ADDRESS: Final = "terraform.local/keyfactor/keyfactorcommand"
"""Where Terraform looks for it until it is in a public registry."""

ATTRIBUTES: Final[Mapping[str, str]] = {
    "hostname": "hostname",
    "username": "username",
    "password": "password",
    "domain": "domain",
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "tokenUrl": "token_url",
    "scopes": "scopes",
    "audience": "audience",
    "accessToken": "access_token",
    "apiPath": "api_path",
    "caCert": "command_ca_certificate",
    "skipVerify": "skip_tls_verify",
    "timeout": "request_timeout",
    "batchSize": "batch_size",
    "statusEncoding": "status_encoding",
    "profile": "profile",
    "configFile": "config_file",
}
"""Every setting's key and its attribute here, named as in Keyfactor's own provider where that has it."""

_DESCRIPTIONS: Final = {
    "hostname": "Where Keyfactor Command is: host, host:port or https URL. Or `KEYFACTOR_HOSTNAME`.",
    "username": "For Basic. Or `KEYFACTOR_USERNAME`.",
    "password": "For Basic. Or `KEYFACTOR_PASSWORD`.",
    "domain": "Of the user, where the username does not name it. Or `KEYFACTOR_DOMAIN`.",
    "client_id": "For OAuth2 client credentials. Or `KEYFACTOR_AUTH_CLIENT_ID`.",
    "client_secret": "For OAuth2 client credentials. Or `KEYFACTOR_AUTH_CLIENT_SECRET`.",
    "token_url": "The https URL of the token endpoint. Or `KEYFACTOR_AUTH_TOKEN_URL`.",
    "scopes": "For the token request, separated by commas. Or `KEYFACTOR_AUTH_SCOPES`.",
    "audience": "For the token request. Or `KEYFACTOR_AUTH_AUDIENCE`.",
    "access_token": "A ready bearer token. Or `KEYFACTOR_AUTH_ACCESS_TOKEN`.",
    "api_path": "Where the API lies on the host; `KeyfactorAPI` by default. Or `KEYFACTOR_API_PATH`.",
    "command_ca_certificate": "Path or text of PEM certificates, trusted besides the system's. Or `KEYFACTOR_CA_CERT`.",
    "skip_tls_verify": "Do not verify TLS; warns on every run. Or `KEYFACTOR_SKIP_VERIFY`.",
    "request_timeout": "Whole seconds for one request with its retries; 60 by default. Or `KEYFACTOR_CLIENT_TIMEOUT`.",
    "batch_size": "Orchestrators in one call; 500 by default. Or `KEYFACTOR_BATCH_SIZE`.",
    "status_encoding": "`integer` (default), or `string` for servers built to the older contract. "
    "Or `KEYFACTOR_STATUS_ENCODING`.",
    "profile": "Profile of the config file; `default` by default. Or `KEYFACTOR_AUTH_CONFIG_PROFILE`.",
    "config_file": "The file of profiles; `~/.keyfactor/command_config.json` by default. "
    "Or `KEYFACTOR_AUTH_CONFIG_FILE`.",
}
_TYPES: Final = {"skip_tls_verify": Bool(), "request_timeout": Number(), "batch_size": Number()}
_SECRETS: Final = [ATTRIBUTES[key] for key in SECRET_KEYS]

_NAMING: Final = Naming("the provider block", ATTRIBUTES)


def _in_two_resources(members: str, count: int, _owner: str, _name: str) -> str:
    verb = "is" if count == 1 else "are"
    return (
        f"{members} {verb} in another keyfactorcommand_orchestrator_reenrollment of this configuration too; "
        "expected each orchestrator in one"
    )


_WORDS: Final = Words(preview="plan", up="apply", claimed_twice=_in_two_resources)


class CommandProvider:
    """Everything that one plugin process holds.

    Attributes:
        tell: takes what operations say into the answer to the call in which they say it.
        stopping: set when Terraform wants what is under way to end soon.
    """

    def __init__(self) -> None:
        self.tell = Telling()
        self.stopping = threading.Event()
        self._operations: Operations | None = None
        self._unknown: list[str] = []
        self._read: set[str] = set()

    def get_model_prefix(self) -> str:
        """What the names of all resources begin with."""
        return "keyfactorcommand_"

    def full_name(self) -> str:
        """Its source address."""
        return ADDRESS

    def get_provider_schema(self, _diags: Diagnostics) -> Schema:
        """The provider block: everything in it is optional."""
        return Schema(
            attributes=[
                Attribute(
                    name, _TYPES.get(name, String()), _DESCRIPTIONS[name], optional=True, sensitive=name in _SECRETS
                )
                for name in ATTRIBUTES.values()
            ],
            description="Declares which orchestrators of Keyfactor Command must enroll for a new certificate.",
        )

    def validate_config(self, diags: Diagnostics, config: Mapping[str, Any]) -> None:
        """Refuses what is wrong; what is not known yet, or missing, may still come."""
        if has_unknown(config):
            return
        try:
            self._load(config)
        except MissingSettings:
            pass
        except SettingsError as error:
            add_settings_error(diags, error, dict(ATTRIBUTES))

    def configure_provider(self, diags: Diagnostics, config: Mapping[str, Any]) -> None:
        """Takes the settings for this process, and says what is to be said about them once."""
        from keyfactor_provider.command.client import CommandClient
        from keyfactor_provider.operations import Operations

        self._unknown = [name for name, value in config.items() if is_unknown(value)]

        def connect() -> CommandClient:
            if self._unknown:
                raise MissingSettings(
                    "Keyfactor Command can't be asked yet",
                    f"the provider block's {self._unknown[0]} is known only after apply",
                    "Existing orchestrators are not looked at.",
                )
            return CommandClient(self._load(config))

        self._operations = Operations(connect, self.tell, _WORDS)
        try:
            with self.tell.into(diags):
                self._operations.connect()
        except MissingSettings as error:
            add_settings_warning(diags, error, "" if self._unknown else " A plan may go on without; apply will fail.")
        except SettingsError as error:
            add_settings_error(diags, error, dict(ATTRIBUTES))

    @property
    def operations(self) -> "Operations":
        """What this process does to Command; there once the provider is configured."""
        assert self._operations is not None, "Terraform configures a provider before it uses it"
        return self._operations

    @property
    def readable(self) -> bool:
        """Whether the settings are known, so that Command can be read."""
        return not self._unknown

    def note_read(self, name: str) -> None:
        """Remembers that a resource was read in this process."""
        self._read.add(name)

    def was_read(self, name: str) -> bool:
        """Whether it was."""
        return name in self._read

    def close(self) -> None:
        """Closes the connections to Command."""
        if self._operations is not None:
            self._operations.close()

    def get_resources(self) -> list[Any]:
        """Its resource types."""
        from keyfactor_provider.terraform.completion import Completion
        from keyfactor_provider.terraform.reenrollment import Reenrollment

        return [Reenrollment, Completion]

    def get_data_sources(self) -> list[Any]:
        """Its data sources."""
        from keyfactor_provider.terraform.orchestrators import OneOrchestrator, Orchestrators

        return [OneOrchestrator, Orchestrators]

    def get_functions(self) -> list[Any]:
        """None."""
        return []

    def new_resource(self, kind: Any) -> Any:
        """A resource type at work for one call."""
        return kind(self)

    def new_function(self, kind: Any) -> Any:
        """There is none."""
        return kind(self)

    def new_data_source(self, kind: Any) -> Any:
        """A data source at work for one call."""
        return kind(self)

    @staticmethod
    def _load(config: Mapping[str, Any]) -> Any:
        texts = {key: _text(config.get(name)) for key, name in ATTRIBUTES.items()}
        return load(texts.get, os.environ, naming=_NAMING)


def _text(value: Any) -> str | None:
    """A value as the settings take it, which come from texts everywhere else."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if float(value).is_integer() else str(value)
