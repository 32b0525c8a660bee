"""Where Command is and who asks: one order of sources, and every value knows where it came from.

The engine's own config, then the environment (the names that Keyfactor's own tools use), then a profile of
`~/.keyfactor/command_config.json`, which is read only when neither of the others names a host, or when
it is named.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from keyfactor_provider.command.address import base_url
from keyfactor_provider.command.credentials import Credentials, find_credentials
from keyfactor_provider.command.profile import read_profile
from keyfactor_provider.command.sources import Source, Value, first, wrong
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.vocabulary import Vocabulary

StatusEncoding = Literal["auto", "integer", "string", "digits"]

ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "hostname": ("KEYFACTOR_HOSTNAME",),
    "port": ("KEYFACTOR_PORT",),
    "username": ("KEYFACTOR_USERNAME",),
    "password": ("KEYFACTOR_PASSWORD",),
    "domain": ("KEYFACTOR_DOMAIN",),
    "clientId": ("KEYFACTOR_AUTH_CLIENT_ID",),
    "clientSecret": ("KEYFACTOR_AUTH_CLIENT_SECRET",),
    "tokenUrl": ("KEYFACTOR_AUTH_TOKEN_URL",),
    "scopes": ("KEYFACTOR_AUTH_SCOPES",),
    "audience": ("KEYFACTOR_AUTH_AUDIENCE",),
    "accessToken": ("KEYFACTOR_AUTH_ACCESS_TOKEN", "KEYFACTOR_ACCESS_TOKEN"),
    "apiPath": ("KEYFACTOR_API_PATH",),
    "caCert": ("KEYFACTOR_CA_CERT",),
    "skipVerify": ("KEYFACTOR_SKIP_VERIFY",),
    "timeout": ("KEYFACTOR_CLIENT_TIMEOUT", "KEYFACTOR_TIMEOUT"),
    "batchSize": ("KEYFACTOR_BATCH_SIZE",),
    "statusEncoding": ("KEYFACTOR_STATUS_ENCODING",),
    "profile": ("KEYFACTOR_AUTH_CONFIG_PROFILE",),
    "configFile": ("KEYFACTOR_AUTH_CONFIG_FILE",),
}
"""Every setting by its key under `keyfactor:`, with the variables that stand for it, newest name first."""

CONFIG_KEYS: Final = tuple(key for key in ENVIRONMENT if key != "port")
SECRET_KEYS: Final = ("password", "clientSecret", "accessToken")

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """Everything needed to talk to one Command server.

    Attributes:
        base_url: scheme, host, port and API path, without a trailing slash.
        ca_pem: certificates of a private CA, trusted besides the system's.
        timeout: seconds for one request with its retries.
        batch_size: members in one POST.
        host_source: where the host came from, for messages.
        vocabulary: how messages name the engine's own config.
    """

    base_url: str
    credentials: Credentials
    ca_pem: str = field(default="", repr=False)
    skip_verify: bool = False
    timeout: float = 60.0
    batch_size: int = 500
    status_encoding: StatusEncoding = "auto"
    host_source: str = ""
    vocabulary: Vocabulary = field(default_factory=Vocabulary, repr=False)

    @property
    def warning(self) -> str:
        """What a user has to know of these settings on every run; empty when nothing."""
        if not self.skip_verify:
            return ""
        return (
            f"The certificate of {self.base_url} is not verified ({self.vocabulary.setting('skipVerify')}): "
            f"anyone on the way can read the credentials. Set {self.vocabulary.setting('caCert')} instead."
        )


def load(
    config: Callable[[str], str | None],
    environment: Mapping[str, str],
    home: Path | None = None,
    *,
    vocabulary: Vocabulary | None = None,
) -> Settings:
    """The settings from all sources.

    Args:
        config: gives the value of a key in the engine's own config, or None.
        environment: the process's environment.
        home: where the default profile file lies below; looked up when it is needed, since a container's
            user may have none.
        vocabulary: how messages name that config; as a stack's when it is None.

    Raises:
        MissingSettings: no host or no credentials in any source, or a part of the method is missing.
        SettingsError: a value is wrong, or two contradict each other.
    """
    vocabulary = vocabulary or Vocabulary()
    sources = _sources(config, environment, home, vocabulary)
    host = first(sources, "hostname")
    if host is None:
        raise MissingSettings(
            "Keyfactor Command can't be found",
            "no source names its host",
            f"Set {vocabulary.setting('hostname')} or KEYFACTOR_HOSTNAME, or a profile in "
            "~/.keyfactor/command_config.json.",
        )
    return Settings(
        base_url=base_url(host, first(_with_own_port(sources, host), "port"), first(sources, "apiPath"), vocabulary),
        credentials=find_credentials(sources, ENVIRONMENT, vocabulary),
        ca_pem=_ca(first(sources, "caCert")),
        skip_verify=_flag(first(sources, "skipVerify")),
        timeout=_number(first(sources, "timeout"), "seconds", 60, most=3600),
        batch_size=_number(first(sources, "batchSize"), "members", 500, most=10_000),
        status_encoding=_encoding(first(sources, "statusEncoding")),
        host_source=host.source,
        vocabulary=vocabulary,
    )


def _sources(
    config: Callable[[str], str | None], environment: Mapping[str, str], home: Path | None, vocabulary: Vocabulary
) -> list[Source]:
    own = Source(
        {
            key: Value(text, f"{vocabulary.config}, {vocabulary.setting(key)}", key)
            for key in CONFIG_KEYS
            if (text := config(key))
        }
    )
    env = Source(
        {
            key: Value(environment[name], name)
            for key, names in ENVIRONMENT.items()
            for name in reversed(names)
            if environment.get(name)
        }
    )
    named = {key: found for key in ("profile", "configFile") if (found := first([own, env], key))}
    if named or not first([own, env], "hostname"):
        return [own, env, _profile(named, home)]
    return [own, env]


def _profile(named: Mapping[str, Value], home: Path | None) -> Source:
    file, profile = named.get("configFile"), named.get("profile")
    try:
        path = Path(file.text).expanduser() if file else (home or Path.home()) / ".keyfactor" / "command_config.json"
    except RuntimeError:
        # There is no such user, or none at all.
        if file:
            raise wrong(file, "the path of a profile file") from None
        if profile:
            raise wrong(profile, "no profile: this user has no home directory; set configFile as well") from None
        return Source({})
    name = profile.text if profile else "default"
    try:
        found = read_profile(path, name, required=bool(named))
    except SettingsError as error:
        error.key = next((value.key for value in named.values() if value.key), "")
        raise
    return Source({key: Value(text, f"profile {name!r} of {path}, {theirs}") for key, (text, theirs) in found.items()})


def _with_own_port(sources: list[Source], host: Value) -> list[Source]:
    """The sources whose port is meant for this host: a profile's port goes with its own host alone."""
    return [*sources[:2], *(source for source in sources[2:] if host in source.values.values())]


def _ca(value: Value | None) -> str:
    if value is None:
        return ""
    text = value.text
    if "-----BEGIN" not in text:
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no file can be called that"
            raise SettingsError(
                "The private CA for Keyfactor Command can't be read",
                f"{value.source} is {value.text!r}: {reason}",
                "Expected the path of a PEM file, or its text.",
                key=value.key,
            ) from None
    # A bundle's comments may be in any language, which OpenSSL would stumble over.
    found = _CERTIFICATE.findall(text)
    if not found:
        raise SettingsError(
            "The private CA for Keyfactor Command can't be read",
            f"{value.source} holds no certificate",
            "Expected the path of a PEM file with certificates, or its text.",
            key=value.key,
        )
    return "\n".join(found) + "\n"


def _flag(value: Value | None) -> bool:
    if value is None:
        return False
    answers = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.text.strip().lower() not in answers:
        raise wrong(value, "true or false")
    return answers[value.text.strip().lower()]


def _number(value: Value | None, unit: str, default: int, *, most: int) -> int:
    if value is None:
        return default
    text = value.text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise wrong(value, f"a whole number of {unit} from 1 to {most}, such as {default}")
    return int(text)


def _encoding(value: Value | None) -> StatusEncoding:
    if value is None:
        return "auto"
    for encoding in get_args(StatusEncoding):
        if value.text == encoding:
            return encoding  # type: ignore[no-any-return]
    raise wrong(value, "auto, integer (as the vendor's page says), string (a name) or digits")
