"""The settings for one Command server; each value keeps its source for messages.

The engine's own config comes first, then the environment (with the names that Keyfactor's own tools use), then a
profile in `~/.keyfactor/command_config.json`, which is read only if neither of the others sets a host, or if one of
them names a profile or profile file.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Final, Literal, cast, get_args

from keyfactor_provider.command.credentials import Credentials, counting, find_credentials
from keyfactor_provider.command.files import read_text, warn_if_others_can_write
from keyfactor_provider.command.profile import default_file, read_profile
from keyfactor_provider.command.proxies import proxy_for
from keyfactor_provider.command.settings_table import CONFIG_KEYS, SETTINGS
from keyfactor_provider.command.sources import (
    Source,
    Value,
    base_url,
    first,
    text_of,
    value_from,
    value_from_config,
    wrong,
)
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.text import safe
from keyfactor_provider.vocabulary import Vocabulary

StatusEncoding = Literal["auto", "integer", "string", "digits"]

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----", re.ASCII)
_NOT_BASE64: Final = re.compile(r"\\[nrt]|\\|\s")
"""Indentation and line ends, also as escapes, in a certificate that comes from a variable."""

_MOST_CA_BYTES: Final = 4 * 1024**2


@dataclass(frozen=True)
class Settings:
    """Everything needed to talk to one Command server.

    Attributes:
        base_url: scheme, host, port and API path, without a trailing slash.
        ca_pem: certificates of a private CA, trusted in addition to the system's.
        timeout: seconds for one request with its retries.
        batch_size: members in one POST.
        status_encoding: how a status is sent; `auto` detects what the server accepts.
        host_source: the source of the host, for messages.
        remarks: warnings about how the settings were given.
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
    remarks: tuple[str, ...] = ()
    vocabulary: Vocabulary = field(default_factory=Vocabulary, repr=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about these settings, to be shown once in every run."""
        if not self.skip_verify:
            return self.remarks
        return (
            *self.remarks,
            f"The certificate of {self.base_url} is not verified ({self.vocabulary.setting('skipVerify')}): "
            f"anyone on the network path can read the credentials. Set {self.vocabulary.setting('caCert')} instead.",
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
        config: returns the value of a key in the engine's own config, or None.
        environment: the process's environment.
        home: the home directory with the default profile file; None for the user's, if there is one.
        vocabulary: how messages name the engine's config; None for a Pulumi stack's.

    Raises:
        MissingSettings: no host, no credentials, or only part of the credentials.
        SettingsError: a value is invalid, two contradict each other, or the environment names a proxy that can't be
            used.
    """
    vocabulary = vocabulary or Vocabulary()
    warnings: list[str] = []
    sources = _sources(config, environment, home, vocabulary, warnings)
    host = first(sources, "hostname")
    if host is None:
        raise MissingSettings(
            "No Keyfactor Command hostname configured",
            f"there is none in {vocabulary.config}, the environment or a profile",
            f"Set {vocabulary.setting('hostname')} or KEYFACTOR_HOSTNAME, or a profile in "
            f"{SETTINGS['configFile'].default}. {counting(vocabulary)}",
        )
    settings = Settings(
        base_url=base_url(host, first(_with_own_port(sources, host), "port"), first(sources, "apiPath"), vocabulary),
        credentials=find_credentials(sources, vocabulary),
        ca_pem=_ca(first(sources, "caCert"), warnings),
        skip_verify=_flag(first(sources, "skipVerify")),
        timeout=_number(first(sources, "timeout"), "seconds", SETTINGS["timeout"].default, most=3600),
        batch_size=_number(first(sources, "batchSize"), "orchestrators", SETTINGS["batchSize"].default, most=10_000),
        status_encoding=_encoding(first(sources, "statusEncoding")),
        host_source=host.source,
        remarks=tuple(warnings),
        vocabulary=vocabulary,
    )
    for url in filter(None, (settings.base_url, settings.credentials.token_url)):
        proxy_for(url, environment)
    return settings


def _sources(
    config: Callable[[str], str | None],
    environment: Mapping[str, str],
    home: Path | None,
    vocabulary: Vocabulary,
    warnings: list[str],
) -> list[Source]:
    own: dict[str, Value] = {}
    for key in CONFIG_KEYS:
        source = f"{vocabulary.config}, {vocabulary.setting(key)}"
        if (text := config(key)) and (value := value_from_config(key, text, source, warnings)):
            own[key] = value
    env: dict[str, Value] = {}
    for key, setting in SETTINGS.items():
        for name in setting.environment:
            if (text := environment.get(name)) and (value := value_from(key, text, name, warnings)):
                env[key] = value
                break
    sources = [Source(own), Source(env)]
    named = {key: value for key in ("profile", "configFile") if (value := first(sources, key))}
    if named or not first(sources, "hostname"):
        sources.append(_profile(named, home, warnings))
    return sources


def _profile(named: Mapping[str, Value], home: Path | None, warnings: list[str]) -> Source:
    file, profile = named.get("configFile"), named.get("profile")
    if file:
        try:
            path = Path(file.text).expanduser()
        except RuntimeError:
            # `~name` of an unknown user, or a user without a home directory.
            raise wrong(file, "the path of a profile file") from None
    elif folder := _home(home):
        path = default_file(folder)
    elif profile:
        raise wrong(profile, "no profile: this user has no home directory; set configFile as well")
    else:
        return Source({})
    name = text_of(profile) or SETTINGS["profile"].default
    try:
        settings = read_profile(path, name, required=bool(named), warnings=warnings)
    except SettingsError as error:
        error.key = next((value.key for value in named.values() if value.key), "")
        raise
    source = f"profile {safe(name)!r} of {safe(str(path))}"
    values = {key: value_from(key, text, f"{source}, {theirs}", warnings) for key, (text, theirs) in settings.items()}
    return Source({key: value for key, value in values.items() if value})


def _home(home: Path | None) -> Path | None:
    """The home directory; None if there is none, as for the user of a container."""
    try:
        home = home or Path.home()
        return home if home.is_dir() else None
    except (RuntimeError, OSError):
        return None


def _with_own_port(sources: list[Source], host: Value) -> list[Source]:
    """The sources whose port applies to this host: a profile's port applies to its own host only."""
    return [*sources[:2], *(source for source in sources[2:] if host in source.values.values())]


def _ca(value: Value | None, warnings: list[str]) -> str:
    if value is None:
        return ""
    text = value.text
    if "-----BEGIN" not in text:
        try:
            path = Path(text).expanduser()
            # Comments in a bundle may have any encoding.
            text = read_text(path, _MOST_CA_BYTES, errors="replace")
            warn_if_others_can_write(path, warnings)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such user"
            raise _unusable_ca(value, f"{value.source} is {safe(text)!r}: {reason}") from None
    certificates = [_NOT_BASE64.sub("", body) for body in _CERTIFICATE.findall(text)]
    if not certificates:
        raise _unusable_ca(value, f"{value.source} holds no certificate")
    pem = "".join(
        "\n".join(("-----BEGIN CERTIFICATE-----", *wrap(body, 64), "-----END CERTIFICATE-----", ""))
        for body in certificates
    )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
        raise _unusable_ca(value, f"{value.source} holds no usable certificate ({reason})") from None
    return pem


def _unusable_ca(value: Value, came_back: str) -> SettingsError:
    return SettingsError(
        "The private CA for Keyfactor Command can't be read",
        came_back,
        "Expected the path of a PEM file with certificates, or its text.",
        key=value.key,
    )


def _flag(value: Value | None) -> bool:
    if value is None:
        return False
    answers = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.text.lower() not in answers:
        raise wrong(value, "true or false")
    return answers[value.text.lower()]


def _number(value: Value | None, unit: str, default: str, *, most: int) -> int:
    text = value.text if value else default
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most:
        return int(text)
    assert value is not None, "defaults are right"
    raise wrong(value, f"a whole number of {unit} from 1 to {most}, such as {default}")


def _encoding(value: Value | None) -> StatusEncoding:
    text = value.text.lower() if value else SETTINGS["statusEncoding"].default
    if text in get_args(StatusEncoding):
        return cast(StatusEncoding, text)
    assert value is not None, "the default is right"
    raise wrong(value, "auto, integer, string or digits")
