"""Setting values with the name of their source, and the base URL that they form."""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.errors import SettingsError
from keyfactor_provider.text import safe
from keyfactor_provider.vocabulary import Vocabulary

WRONG: Final = "A setting for Keyfactor Command is wrong"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_EXPECTED: Final = "a host, host:port or URL such as keyfactor.example.com or https://keyfactor.example.com:8443"
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


@dataclass(frozen=True)
class Value:
    """The value of a setting with the name of its source; its text may be a secret.

    Attributes:
        key: its key in the engine's own config; empty if it comes from elsewhere.
    """

    text: str = field(repr=False)
    source: str
    key: str = ""


@dataclass(frozen=True)
class Source:
    """The settings from one source."""

    values: Mapping[str, Value]


def first(sources: Iterable[Source], key: str) -> Value | None:
    """The value in the first source that has one."""
    return next((source.values[key] for source in sources if key in source.values), None)


def text_of(value: Value | None) -> str:
    """The text of a value; empty if there is no value."""
    return value.text if value else ""


def wrong(value: Value, expected: str) -> SettingsError:
    """The error for an invalid value; it repeats the value, so never use it for a secret."""
    return SettingsError(WRONG, f"{value.source} is {safe(value.text)!r}", f"Expected {expected}.", key=value.key)


def as_text(value: Any) -> str | None:
    """A value of an engine's config as a string, like the settings of the other sources; a list or map as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, list, tuple, Mapping)):
        return json.dumps(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def value_from_config(key: str, text: str, source: str, warnings: list[str]) -> Value | None:
    """A setting from the engine's own config, where a list may be a JSON list of strings.

    Raises:
        SettingsError: it is a list or map but must be a string; or see `value_from`.
    """
    value = value_from(key, text, source, warnings, key)
    if value is None or value.text[0] not in "[{":
        return value
    try:
        structure = json.loads(value.text)
    except (ValueError, RecursionError):
        return value
    is_list, may_be_list = isinstance(structure, list), SETTINGS[key].kind == "list"
    if is_list and may_be_list and all(isinstance(item, str) for item in structure):
        return Value(",".join(structure), source, key)
    expected = "a string or a list of strings" if may_be_list else "a string"
    raise SettingsError(WRONG, f"{source} is a {'list' if is_list else 'map'}", f"Expected {expected}.", key=key)


def value_from(key: str, text: str, source: str, warnings: list[str], own_key: str = "") -> Value | None:
    """A setting from any source; None for an empty secret, and for a "port" that Kubernetes sets for a service.

    Line ends, a byte order mark and, except in secrets, blanks around the value are removed: they usually come from a
    file or a shell. For a secret this adds a warning.

    Args:
        own_key: its key in the engine's own config; empty if it comes from elsewhere.

    Raises:
        SettingsError: it is blank or not valid UTF-8.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SettingsError(WRONG, f"{source} is not valid UTF-8", "Set it again, encoded in UTF-8.", key=own_key)
    bare = text.removeprefix("\ufeff")
    if not SETTINGS[key].secret:
        if not (bare := bare.strip()):
            raise SettingsError(WRONG, f"{source} is blank", "Give it a value, or leave it out.", key=own_key)
    elif (bare := bare.rstrip("\r\n")) != text:
        warnings.append(
            f"{source} has a line break or a byte order mark around it, which was removed. "
            "Store the secret without it, for example with printf in place of echo."
        )
    if key == "port" and _SERVICE_LINK.match(bare):
        warnings.append(
            f"{source} is {safe(bare)!r}, which Kubernetes sets for a service called keyfactor, and is ignored. "
            "Give the port with the host, or set enableServiceLinks: false for the pod."
        )
        return None
    return Value(bare, source, own_key) if bare else None


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine."""
    return urlsplit(url).hostname in LOOPBACK


def base_url(host: Value, port: Value | None, api_path: Value | None, vocabulary: Vocabulary) -> str:
    """Scheme, host, port and API path, without a trailing slash.

    Args:
        port: used if the host has none.

    Raises:
        SettingsError: one of them is invalid, or the host has plain http and is not this machine.
    """
    parts = _parts(host)
    path = (text_of(api_path) or SETTINGS["apiPath"].default).strip("/")
    if parts.path.strip("/") not in ("", path):
        variable = f"{vocabulary.setting('apiPath')} or {SETTINGS['apiPath'].environment[0]}"
        raise wrong(host, f"no path in it: set {variable} to {safe(parts.path.strip('/'))!r}")
    if not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*|", path, re.ASCII) or ".." in path:
        raise wrong(api_path or host, "a path such as KeyfactorAPI")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise wrong(host, "https: over plain http, anyone on the network path could read the credentials")
    number = parts.port
    if number is None and port is not None:
        number = _port(port)
    # Certificates name hosts without the final dot of an absolute name; Go removes it for TLS as well.
    name = (parts.hostname or "").removesuffix(".")
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{f':{number}' if number else ''}/{path}".rstrip("/")


def _parts(host: Value) -> SplitResult:
    address = host.text
    if any(mark in address for mark in "@?#"):
        # The value may contain a password, so the error does not repeat it.
        raise SettingsError(
            WRONG,
            f"{host.source} holds more than a host and a port",
            f"Expected {_EXPECTED}; credentials have settings of their own.",
            key=host.key,
        )
    try:
        if _is_ipv6(address):
            address = f"[{address}]"
        parts = urlsplit(address if "://" in address else f"https://{address}")
        usable = parts.scheme in ("http", "https") and parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:
        usable = False
    if not usable or any(space in address for space in " \t\r\n"):
        raise wrong(host, _EXPECTED)
    return parts


def _is_host(name: str) -> bool:
    """Whether a name can be resolved at all.

    Raises:
        ValueError: a label is empty or too long.
    """
    if ":" in name:
        return _is_ipv6(name)
    return _NAME.fullmatch(name.removesuffix(".").encode("idna").decode().lower()) is not None


def _is_ipv6(name: str) -> bool:
    """Whether it is an IPv6 address without a zone, which would have a meaning on one machine only."""
    try:
        return ipaddress.IPv6Address(name).scope_id is None
    except ValueError:
        return False


def _port(port: Value) -> int:
    text = port.text
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise wrong(port, "a port between 1 and 65535")
    return int(text)
