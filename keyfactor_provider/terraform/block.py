"""The provider block: its attributes, and the settings that they and the environment make."""

import os
from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Bool, Number, String

from keyfactor_provider.command.settings import SECRET_KEYS, Settings, load
from keyfactor_provider.command.sources import as_text
from keyfactor_provider.vocabulary import Vocabulary

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

VOCABULARY: Final = Vocabulary("terraform plan", "terraform apply", "the provider block", ATTRIBUTES)

SCHEMA: Final = Schema(
    attributes=[
        Attribute(name, _TYPES.get(name, String()), _DESCRIPTIONS[name], optional=True, sensitive=name in _SECRETS)
        for name in ATTRIBUTES.values()
    ],
    description="Declares which orchestrators of Keyfactor Command must enroll for a new certificate.",
)


def settings(config: Mapping[str, Any]) -> Settings:
    """The settings, of which what the block names comes first.

    Raises:
        SettingsError: they are wrong or missing.
    """
    texts = {key: as_text(config.get(name)) for key, name in ATTRIBUTES.items()}
    return load(texts.get, os.environ, vocabulary=VOCABULARY)
