"""Where Command is and who asks: one order of sources, and every value knows where it came from.

The stack's config, then the environment (the names that Keyfactor's own tools use), then a profile of
`~/.keyfactor/command_config.json`, which is read only when neither of the others names a host, or when
it is named. The authentication method is that of the first source that names any credential.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from keyfactor_provider.command.profile import read_profile
from keyfactor_provider.errors import MissingSettings, SettingsError

StatusEncoding = Literal["integer", "string"]
Method = Literal["basic", "oauth", "token"]

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
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_METHOD_KEYS: Final[Mapping[Method, tuple[str, ...]]] = {
    "basic": ("username", "password", "domain"),
    "oauth": ("clientId", "clientSecret", "tokenUrl", "scopes", "audience"),
    "token": ("accessToken",),
}
_NAMES_METHOD: Final[Mapping[Method, tuple[str, ...]]] = {
    "basic": ("username", "password"),
    "oauth": ("clientId", "clientSecret"),
    "token": ("accessToken",),
}
_NEEDED: Final[Mapping[Method, tuple[str, ...]]] = {
    "basic": ("username", "password"),
    "oauth": ("clientId", "clientSecret", "tokenUrl"),
    "token": ("accessToken",),
}


@dataclass(frozen=True)
class Value:
    """One setting as found, with the words that name its source."""

    text: str = field(repr=False)
    source: str


@dataclass(frozen=True)
class Source:
    """One place that settings come from."""

    values: Mapping[str, Value]

    def methods(self) -> list[Method]:
        """The authentication methods that it names."""
        return [method for method, keys in _NAMES_METHOD.items() if any(key in self.values for key in keys)]


@dataclass(frozen=True)
class Credentials:
    """Who asks, by one of the three methods; what the method does not use is empty."""

    method: Method
    username: str = ""
    password: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_url: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""
    access_token: str = field(default="", repr=False)
    source: str = ""

    def describe(self) -> str:
        """The identity as messages name it; never a secret."""
        who = {
            "basic": f"user {self.username}",
            "oauth": f"OAuth2 client {self.client_id}",
            "token": "the access token",
        }[self.method]
        return f"{who} (from {self.source})"


@dataclass(frozen=True)
class Settings:
    """Everything needed to talk to one Command server.

    Attributes:
        base_url: scheme, host, port and API path, without a trailing slash.
        ca_pem: certificates of a private CA, trusted besides the system's.
        timeout: seconds for one request with its retries.
        batch_size: members in one POST.
        host_source: where the host came from, for messages.
    """

    base_url: str
    credentials: Credentials
    ca_pem: str = ""
    skip_verify: bool = False
    timeout: float = 60.0
    batch_size: int = 500
    status_encoding: StatusEncoding = "integer"
    host_source: str = ""


def load(
    config: Callable[[str], str | None],
    environment: Mapping[str, str],
    home: Path,
    *,
    config_name: str = "the stack's config",
) -> Settings:
    """The settings from all sources.

    Args:
        config: gives the value of a key under `keyfactor:` in the stack's config, or None.
        environment: the process's environment.
        home: where the default profile file lies below.
        config_name: what messages call the first source.

    Raises:
        MissingSettings: no host or no credentials in any source, or a part of the method is missing.
        SettingsError: a value is wrong, or two contradict each other.
    """
    stack = Source(
        {key: Value(text, f"{config_name}, keyfactor:{key}") for key in CONFIG_KEYS if (text := config(key))}
    )
    env = Source(
        {
            key: Value(environment[name], name)
            for key, names in ENVIRONMENT.items()
            for name in reversed(names)
            if environment.get(name)
        }
    )
    sources = [stack, env]
    named = {key: found for key in ("profile", "configFile") if (found := _first(sources, key))}
    if named or not _first(sources, "hostname"):
        sources.append(_profile(named, home))
    host = _first(sources, "hostname")
    if host is None:
        raise MissingSettings(
            "Keyfactor Command can't be found",
            "no source names its host",
            "Set keyfactor:hostname or KEYFACTOR_HOSTNAME, or a profile in ~/.keyfactor/command_config.json.",
        )
    skip_verify = _flag(_first(sources, "skipVerify"))
    return Settings(
        base_url=_base_url(host, _first(sources, "port"), _first(sources, "apiPath")),
        credentials=_credentials(sources),
        ca_pem=_ca(_first(sources, "caCert")),
        skip_verify=skip_verify,
        timeout=_number(_first(sources, "timeout"), "seconds", 60, most=3600),
        batch_size=_number(_first(sources, "batchSize"), "members", 500, most=10_000),
        status_encoding=_encoding(_first(sources, "statusEncoding")),
        host_source=host.source,
    )


def _first(sources: list[Source], key: str) -> Value | None:
    return next((source.values[key] for source in sources if key in source.values), None)


def _text(value: Value | None) -> str:
    return value.text if value else ""


def _wrong(value: Value, expected: str, *, what: str = "A setting for Keyfactor Command is wrong") -> SettingsError:
    return SettingsError(what, f"{value.source} is {value.text!r}", f"Expected {expected}.")


def _profile(named: Mapping[str, Value], home: Path) -> Source:
    file = named.get("configFile")
    path = Path(file.text).expanduser() if file else home / ".keyfactor" / "command_config.json"
    profile = named.get("profile")
    name = profile.text if profile else "default"
    found = read_profile(path, name, required=bool(named))
    return Source({key: Value(text, f"profile {name!r} of {path}, {theirs}") for key, (text, theirs) in found.items()})


def _base_url(host: Value, port: Value | None, api_path: Value | None) -> str:
    expected = "a host, host:port or URL such as keyfactor.example.com or https://keyfactor.example.com:8443"
    address = host.text.strip()
    if any(mark in address for mark in "@?#"):
        raise SettingsError(
            "A setting for Keyfactor Command is wrong",
            f"{host.source} holds more than a host and a port",
            f"Expected {expected}; credentials have settings of their own.",
        )
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        name, own_port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(host, expected) from error
    path = (api_path.text if api_path else "KeyfactorAPI").strip("/")
    if parts.scheme not in ("http", "https") or not name or any(space in address for space in " \t\r\n"):
        raise _wrong(host, expected)
    if parts.path.strip("/") not in ("", path):
        raise _wrong(host, f"no path in it: set keyfactor:apiPath or KEYFACTOR_API_PATH to {parts.path.strip('/')!r}")
    if any(character in path for character in "?#\\ ") or ".." in path:
        raise _wrong(api_path or host, "a path such as KeyfactorAPI")
    if parts.scheme == "http" and name not in LOOPBACK:
        raise _wrong(host, "https: plain http would send the credentials readable to everyone on the way")
    if own_port is None and port is not None:
        if not port.text.isascii() or not port.text.isdigit() or not 0 < int(port.text) < 65536:
            raise _wrong(port, "a port between 1 and 65535")
        own_port = int(port.text)
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{f':{own_port}' if own_port else ''}/{path}".rstrip("/")


def _credentials(sources: list[Source]) -> Credentials:
    for source in sources:
        methods = source.methods()
        if len(methods) > 1:
            named = [
                value.source
                for key, value in source.values.items()
                if any(key in keys for keys in _NAMES_METHOD.values())
            ]
            raise SettingsError(
                "The way to sign in to Keyfactor Command is ambiguous",
                f"one source names two methods: {' and '.join(named)}",
                "Leave one of Basic (username, password), OAuth2 (clientId, clientSecret, tokenUrl) "
                "or accessToken there.",
            )
        if methods:
            return _of_method(methods[0], sources[sources.index(source) :])
    raise MissingSettings(
        "Nobody can sign in to Keyfactor Command",
        "no source names credentials",
        "Set KEYFACTOR_USERNAME and KEYFACTOR_PASSWORD, or KEYFACTOR_AUTH_CLIENT_ID, _CLIENT_SECRET and "
        "_TOKEN_URL, or KEYFACTOR_AUTH_ACCESS_TOKEN; or the same under keyfactor: in the stack's config.",
    )


def _of_method(method: Method, sources: list[Source]) -> Credentials:
    parts = {key: value for key in _METHOD_KEYS[method] if (value := _first(sources, key))}
    for key in _NEEDED[method]:
        if key not in parts:
            have = " and ".join(value.source for value in parts.values())
            raise MissingSettings(
                "Nobody can sign in to Keyfactor Command",
                f"{have} {'is' if len(parts) == 1 else 'are'} set, but there is no {key}",
                f"Set {ENVIRONMENT[key][0]}, or keyfactor:{key} in the stack's config.",
            )
    named = next(parts[key] for key in _NAMES_METHOD[method] if key in parts)
    token_url = parts.get("tokenUrl")
    if token_url:
        _check_token_url(token_url)
    if not all(character.isascii() and character.isprintable() for character in _text(parts.get("accessToken"))):
        raise SettingsError(
            "A setting for Keyfactor Command is wrong",
            f"{parts['accessToken'].source} holds a line break or another character that no token has",
            "Set it again, without what does not belong to it.",
        )
    return Credentials(
        method=method,
        username=_account(parts["username"], parts.get("domain")) if method == "basic" else "",
        password=_text(parts.get("password")),
        client_id=_text(parts.get("clientId")),
        client_secret=_text(parts.get("clientSecret")),
        token_url=_text(token_url),
        scopes=tuple(scope for scope in _text(parts.get("scopes")).replace(",", " ").split() if scope),
        audience=_text(parts.get("audience")),
        access_token=_text(parts.get("accessToken")),
        source=named.source,
    )


def _check_token_url(value: Value) -> None:
    try:
        parts = urlsplit(value.text)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if secure and parts.hostname and not parts.username:
            return
    except ValueError:
        pass
    raise SettingsError(
        "A setting for Keyfactor Command is wrong",
        f"{value.source} is not the https URL of a token endpoint",
        "Expected one such as https://login.example.com/oauth2/token; the client secret goes there.",
    )


def _account(username: Value, domain: Value | None) -> str:
    """`DOMAIN\\user`, as Keyfactor's own clients send it (keyfactor-auth-client-go, auth_basic.go)."""
    name, own = username.text, ""
    if ":" in name:
        raise SettingsError(
            "A setting for Keyfactor Command is wrong",
            f"{username.source} has a colon in it",
            "Expected one of user, DOMAIN\\user or user@domain; the password has a setting of its own.",
        )
    if name.count("\\") + name.count("@") > 1:
        raise _wrong(username, "one of user, DOMAIN\\user or user@domain")
    if "\\" in name:
        own, name = name.split("\\")
    elif "@" in name:
        name, own = name.split("@")
    if own and domain and own.lower() != domain.text.lower():
        raise SettingsError(
            "The account for Keyfactor Command is ambiguous",
            f"{username.source} names the domain {own!r} and {domain.source} is {domain.text!r}",
            "Give the domain in one place.",
        )
    if not name:
        raise _wrong(username, "one of user, DOMAIN\\user or user@domain")
    realm = own or _text(domain)
    return f"{realm}\\{name}" if realm else name


def _ca(value: Value | None) -> str:
    if value is None:
        return ""
    text = value.text
    if "-----BEGIN" not in text:
        try:
            text = Path(text).expanduser().read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise SettingsError(
                "The private CA for Keyfactor Command can't be read",
                f"{value.source} is {value.text!r}: {reason}",
                "Expected the path of a PEM file, or its text.",
            ) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SettingsError(
            "The private CA for Keyfactor Command can't be read",
            f"{value.source} holds no certificate",
            "Expected the path of a PEM file with certificates, or its text.",
        )
    return text


def _flag(value: Value | None) -> bool:
    if value is None:
        return False
    answers = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.text.strip().lower() not in answers:
        raise _wrong(value, "true or false")
    return answers[value.text.strip().lower()]


def _number(value: Value | None, unit: str, default: int, *, most: int) -> int:
    if value is None:
        return default
    text = value.text.strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise _wrong(value, f"a whole number of {unit} from 1 to {most}, such as {default}")
    return int(text)


def _encoding(value: Value | None) -> StatusEncoding:
    if value is None or value.text == "integer":
        return "integer"
    if value.text == "string":
        return "string"
    raise _wrong(value, "integer (as the vendor's page says) or string (as older servers want)")
