"""Who asks: the authentication method is that of the first source that names any credential."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from keyfactor_provider.command.address import LOOPBACK
from keyfactor_provider.command.sources import WRONG, Source, Value, first, text_of, wrong
from keyfactor_provider.errors import MissingSettings, SettingsError
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


def find_credentials(
    sources: Sequence[Source], variables: Mapping[str, Sequence[str]], vocabulary: Vocabulary
) -> Credentials:
    """The credentials; parts that the deciding source lacks come from the others.

    Those before it name no credential, but may say where and as what one signs in: tokenUrl, domain, scopes.

    Args:
        variables: the environment variables of each setting, for messages.
        vocabulary: how messages name the first source.

    Raises:
        MissingSettings: no source names any, or a part of the method is in none.
        SettingsError: a source names two methods, or a part is wrong.
    """
    for source in sources:
        methods = [method for method, keys in _NAMES_METHOD.items() if any(key in source.values for key in keys)]
        if len(methods) > 1:
            keys = [key for method in methods for key in _NAMES_METHOD[method] if key in source.values]
            named = [source.values[key] for key in keys]
            raise SettingsError(
                "The way to sign in to Keyfactor Command is ambiguous",
                f"one source names two methods: {' and '.join(value.source for value in named)}",
                "Leave one of Basic (username, password), "
                f"OAuth2 ({', '.join(map(vocabulary.setting, _NEEDED['oauth']))}) "
                f"or {vocabulary.setting('accessToken')} there.",
                key=named[-1].key,
            )
        if methods:
            return _of_method(methods[0], sources, variables, vocabulary)
    raise MissingSettings(
        "Nobody can sign in to Keyfactor Command",
        "no source names credentials",
        "Set KEYFACTOR_USERNAME and KEYFACTOR_PASSWORD, or KEYFACTOR_AUTH_CLIENT_ID, _CLIENT_SECRET and "
        f"_TOKEN_URL, or KEYFACTOR_AUTH_ACCESS_TOKEN; or the same in {vocabulary.config}.",
    )


def _of_method(
    method: Method, sources: Sequence[Source], variables: Mapping[str, Sequence[str]], vocabulary: Vocabulary
) -> Credentials:
    parts = {key: value for key in _METHOD_KEYS[method] if (value := first(sources, key))}
    for key in _NEEDED[method]:
        if key not in parts:
            have = " and ".join(value.source for value in parts.values())
            raise MissingSettings(
                "Nobody can sign in to Keyfactor Command",
                f"{have} {'is' if len(parts) == 1 else 'are'} set, but there is no {vocabulary.setting(key)}",
                f"Set {variables[key][0]}, or {vocabulary.setting(key)} in {vocabulary.config}.",
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
    text = value.text.strip()
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
    # A secret read from a file often brings the end of its line along.
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
    name, own = username.text.strip(), ""
    if ":" in name:
        # Basic ends the name at a colon. What follows may be a password: the value is not repeated.
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
    realm = text_of(domain).strip()
    if own and realm and own.lower() != realm.lower():
        raise SettingsError(
            "The account for Keyfactor Command is ambiguous",
            f"{username.source} names the domain {own!r} and {domain.source if domain else ''} is {realm!r}",
            "Give the domain in one place.",
            key=username.key,
        )
    if not name:
        raise wrong(username, "one of user, DOMAIN\\user or user@domain")
    return f"{own or realm}\\{name}" if own or realm else name
