"""The table of all settings: the settings, the provider block and the tables of the docs are generated from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "list", "number", "flag"]


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its name under `keyfactor:` in a stack's config.
        description: what it is for; one or more clauses without a full stop.
        environment: its environment variables, in order of precedence; the names that Keyfactor's own tools use.
        profile: its keys in a profile of Keyfactor's profile file.
        attribute: its name in Terraform's provider block; empty if no engine's config has it.
        kind: the type of its value; a list is a string separated by commas or spaces.
        secret: whether its value must never be shown.
        default: the value if no source sets one; empty if there is none.
    """

    key: str
    description: str
    environment: tuple[str, ...]
    profile: tuple[str, ...] = ()
    attribute: str = ""
    kind: Kind = "text"
    secret: bool = False
    default: str = ""


_ALL: Final = (
    Setting(
        "hostname",
        "Where Command is: a host, host:port or https URL; http on this machine only",
        ("KEYFACTOR_HOSTNAME",),
        ("host",),
        "hostname",
    ),
    Setting(
        "port",
        "The port, where the host has none",
        ("KEYFACTOR_PORT",),
        # keyfactor-auth-client-go reads `port`; the JSON schema beside it says `auth_port`.
        ("port", "auth_port"),
        kind="number",
        default="443",
    ),
    Setting(
        "username",
        r"For Basic authentication: `user`, `DOMAIN\user` or `user@domain`",
        ("KEYFACTOR_USERNAME",),
        ("username",),
        "username",
    ),
    Setting(
        "password",
        "For Basic authentication",
        ("KEYFACTOR_PASSWORD",),
        ("password",),
        "password",
        secret=True,
    ),
    Setting(
        "domain",
        "The user's domain, where the username does not name it",
        ("KEYFACTOR_DOMAIN",),
        ("domain",),
        "domain",
    ),
    Setting(
        "clientId",
        "For OAuth2 client credentials",
        ("KEYFACTOR_AUTH_CLIENT_ID",),
        ("client_id",),
        "client_id",
    ),
    Setting(
        "clientSecret",
        "For OAuth2 client credentials",
        ("KEYFACTOR_AUTH_CLIENT_SECRET",),
        ("client_secret",),
        "client_secret",
        secret=True,
    ),
    Setting(
        "tokenUrl",
        "The https URL of the OAuth2 token endpoint",
        ("KEYFACTOR_AUTH_TOKEN_URL",),
        ("token_url",),
        "token_url",
    ),
    Setting(
        "scopes",
        "For the token request, separated by commas or spaces",
        ("KEYFACTOR_AUTH_SCOPES",),
        ("scopes",),
        "scopes",
        "list",
    ),
    Setting("audience", "For the token request", ("KEYFACTOR_AUTH_AUDIENCE",), ("audience",), "audience"),
    Setting(
        "accessToken",
        "A ready bearer token",
        ("KEYFACTOR_AUTH_ACCESS_TOKEN", "KEYFACTOR_ACCESS_TOKEN"),
        ("access_token",),
        "access_token",
        secret=True,
    ),
    Setting(
        "apiPath",
        "The path of the API on the host",
        ("KEYFACTOR_API_PATH",),
        ("api_path",),
        "api_path",
        default="KeyfactorAPI",
    ),
    Setting(
        "caCert",
        "Path or text of PEM certificates, trusted in addition to the system's",
        ("KEYFACTOR_CA_CERT",),
        ("ca_cert_path",),
        "command_ca_certificate",
    ),
    Setting(
        "skipVerify",
        "Do not verify TLS certificates; warns on every run",
        ("KEYFACTOR_SKIP_VERIFY",),
        ("skip_tls_verify",),
        "skip_tls_verify",
        "flag",
        default="false",
    ),
    Setting(
        "timeout",
        "Whole seconds for one request with its retries",
        ("KEYFACTOR_CLIENT_TIMEOUT", "KEYFACTOR_TIMEOUT"),
        (),
        "request_timeout",
        "number",
        default="60",
    ),
    Setting(
        "batchSize",
        "Orchestrators in one request",
        ("KEYFACTOR_BATCH_SIZE",),
        (),
        "batch_size",
        "number",
        default="500",
    ),
    Setting(
        "statusEncoding",
        "How a status is sent: `auto`, `integer`, `string` or `digits`",
        ("KEYFACTOR_STATUS_ENCODING",),
        (),
        "status_encoding",
        default="auto",
    ),
    Setting(
        "profile",
        "The profile in the profile file",
        ("KEYFACTOR_AUTH_CONFIG_PROFILE",),
        (),
        "profile",
        default="default",
    ),
    Setting(
        "configFile",
        "The profile file, JSON or YAML",
        ("KEYFACTOR_AUTH_CONFIG_FILE",),
        (),
        "config_file",
        default="~/.keyfactor/command_config.json",
    ),
)

SETTINGS: Final[Mapping[str, Setting]] = {setting.key: setting for setting in _ALL}

CONFIG_KEYS: Final = tuple(setting.key for setting in SETTINGS.values() if setting.attribute)
SECRET_KEYS: Final = tuple(setting.key for setting in SETTINGS.values() if setting.secret)
