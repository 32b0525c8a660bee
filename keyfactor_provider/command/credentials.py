"""The credentials: the first source that has any decides the authentication method."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.command.sources import LOOPBACK, WRONG, Source, Value, first, text_of, wrong
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.text import safe
from keyfactor_provider.vocabulary import Vocabulary

Method = Literal["basic", "oauth", "token"]

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
class Credentials:
    """The credentials for one of the three methods; fields that the method does not use are empty."""

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


def find_credentials(sources: Sequence[Source], vocabulary: Vocabulary) -> Credentials:
    """The credentials, with the method of the first source that has any.

    The other parts may come from any source, so one of higher precedence may set tokenUrl, domain or scopes, say.

    Args:
        vocabulary: how messages name the first source.

    Raises:
        MissingSettings: no source has credentials, or a part that the method needs.
        SettingsError: a source has credentials for two methods, or a part is invalid.
    """
    for source in sources:
        methods = [method for method, keys in _NAMES_METHOD.items() if any(key in source.values for key in keys)]
        if len(methods) > 1:
            keys = [key for method in methods for key in _NAMES_METHOD[method] if key in source.values]
            named = [source.values[key] for key in keys]
            raise SettingsError(
                "The credentials for Keyfactor Command are ambiguous",
                f"one source names two methods: {' and '.join(value.source for value in named)}",
                "Leave one of Basic (username, password), "
                f"OAuth2 ({', '.join(map(vocabulary.setting, _NEEDED['oauth']))}) "
                f"or {vocabulary.setting('accessToken')} there.",
                key=named[-1].key,
            )
        if methods:
            return _of_method(methods[0], sources, vocabulary)
    raise MissingSettings(
        "No Keyfactor Command credentials configured",
        f"there are none in {vocabulary.config}, the environment or a profile",
        "Set KEYFACTOR_USERNAME and KEYFACTOR_PASSWORD, or KEYFACTOR_AUTH_CLIENT_ID, _CLIENT_SECRET and "
        f"_TOKEN_URL, or KEYFACTOR_AUTH_ACCESS_TOKEN; or the same in {vocabulary.config}. {counting(vocabulary)}",
    )


def counting(vocabulary: Vocabulary) -> str:
    """Where variables have to be set, as a sentence: an engine's plugins do not see the environment of the program."""
    engine = vocabulary.up.partition(" ")[0]
    return f"Environment variables must be set for the `{engine}` process itself."


def _of_method(method: Method, sources: Sequence[Source], vocabulary: Vocabulary) -> Credentials:
    parts = {key: value for key in _METHOD_KEYS[method] if (value := first(sources, key))}
    for key in _NEEDED[method]:
        if key not in parts:
            have = " and ".join(value.source for value in parts.values())
            raise MissingSettings(
                "Keyfactor Command credentials are incomplete",
                f"{have} {'is' if len(parts) == 1 else 'are'} set, but {vocabulary.setting(key)} is not",
                f"Set {SETTINGS[key].environment[0]}, or {vocabulary.setting(key)} in {vocabulary.config}. "
                f"{counting(vocabulary)}",
            )
    named = next(parts[key] for key in _NAMES_METHOD[method] if key in parts)
    return Credentials(
        method=method,
        username=_account(parts["username"], parts.get("domain")) if method == "basic" else "",
        password=text_of(parts.get("password")),
        client_id=text_of(parts.get("clientId")),
        client_secret=text_of(parts.get("clientSecret")),
        token_url=_token_url(parts["tokenUrl"]) if method == "oauth" else "",
        scopes=tuple(text_of(parts.get("scopes")).replace(",", " ").split()),
        audience=text_of(parts.get("audience")),
        access_token=_access_token(parts["accessToken"]) if method == "token" else "",
        source=named.source,
    )


def _token_url(value: Value) -> str:
    text = value.text
    try:
        parts = urlsplit(text)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        plain = re.fullmatch(r"[\x21-\x7e]+", text) is not None and parts.port != 0
        if secure and plain and parts.hostname and not parts.username:
            return text
    except ValueError:
        pass
    raise SettingsError(
        WRONG,
        f"{value.source} is not the https URL of a token endpoint",
        "Expected one such as https://login.example.com/oauth2/token; the client secret goes there.",
        key=value.key,
    )


def _access_token(value: Value) -> str:
    text = value.text.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise SettingsError(
            WRONG,
            f"{value.source} holds a space or a character that no access token has",
            "Expected the token alone, without the word Bearer.",
            key=value.key,
        )
    return text


def _account(username: Value, domain: Value | None) -> str:
    """`DOMAIN\\user`, as Keyfactor's own clients send it (keyfactor-auth-client-go, auth_basic.go)."""
    name, own = username.text, ""
    if ":" in name:
        # In Basic authentication a colon ends the name. The rest may be a password, so the error does not repeat it.
        raise SettingsError(
            WRONG,
            f"{username.source} holds a colon",
            "Expected one of user, DOMAIN\\user or user@domain.",
            key=username.key,
        )
    if name.count("\\") + name.count("@") > 1:
        raise wrong(username, "one of user, DOMAIN\\user or user@domain")
    if "\\" in name:
        own, name = name.split("\\")
    elif "@" in name:
        name, own = name.split("@")
    if not name:
        raise wrong(username, "one of user, DOMAIN\\user or user@domain")
    realm = _realm(domain) if domain else ""
    if own and domain and not _same_domain(own, realm):
        raise SettingsError(
            "The account for Keyfactor Command is ambiguous",
            f"{username.source} names the domain {safe(own)!r} and {domain.source} is {safe(realm)!r}",
            "Give the domain in one place.",
            key=username.key,
        )
    return f"{own or realm}\\{name}" if own or realm else name


def _realm(domain: Value) -> str:
    """A domain without the separator in `CORP\\` or `@corp.example.com`."""
    realm = domain.text.removesuffix("\\").removeprefix("@")
    if not realm or re.search(r"[\\@:/\s]", realm):
        raise wrong(domain, "a domain alone, such as CORP or corp.example.com")
    return realm


def _same_domain(domain: str, other: str) -> bool:
    """Whether both may name the same Windows domain, one by its NetBIOS name and the other by its DNS name.

    By default the NetBIOS name is a label of the DNS name, cut to 15 characters.
    """
    domain, other = domain.lower().rstrip("."), other.lower().rstrip(".")
    if domain == other:
        return True
    short, long = sorted((domain, other), key=lambda name: "." in name)
    return "." not in short and short in (label[:15] for label in long.split(".")[:-1])
