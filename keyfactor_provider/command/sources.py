"""A setting as it was found, the words that name where, and the address that such settings make."""

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
    """One setting as found, with the words that name its source; its text may be a secret.

    Attributes:
        key: its key, where it comes from the engine's own config.
    """

    text: str = field(repr=False)
    source: str
    key: str = ""


@dataclass(frozen=True)
class Source:
    """One place that settings come from."""

    values: Mapping[str, Value]


def first(sources: Iterable[Source], key: str) -> Value | None:
    """The setting of the first source that has it."""
    return next((source.values[key] for source in sources if key in source.values), None)


def text_of(value: Value | None) -> str:
    """Its text; empty where there is none."""
    return value.text if value else ""


def wrong(value: Value, expected: str) -> SettingsError:
    """The error for an invalid value; it repeats the value, so never use it for a secret."""
    return SettingsError(WRONG, f"{value.source} is {safe(value.text)!r}", f"Expected {expected}.", key=value.key)


def as_text(value: Any) -> str | None:
    """A value of an engine's config as a text, which settings are everywhere else; a list or map as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, list, tuple, Mapping)):
        return json.dumps(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def value_from_config(key: str, text: str, source: str, warnings: list[str]) -> Value | None:
    """A setting of the engine's own config, where a list of texts may stand for a list.

    Raises:
        SettingsError: it is structured where a text is expected, or it is no text at all.
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
    expected = "a text, or a list of texts" if may_be_list else "a text"
    raise SettingsError(WRONG, f"{source} is a {'list' if is_list else 'map'}", f"Expected {expected}.", key=key)


def value_from(key: str, text: str, source: str, warnings: list[str], own_key: str = "") -> Value | None:
    """A setting as a source gives it; None where a secret has nothing left, and for a port that is none.

    The end of a line, a byte order mark and (but for secrets) blanks around it come from the file or the shell that it
    went through, and are taken off; for a secret with a warning, since it is a change to what was given.

    Args:
        own_key: its key, where it comes from the engine's own config.

    Raises:
        SettingsError: it is blank, or no text at all.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SettingsError(WRONG, f"{source} is not valid UTF-8", "Set it again, encoded in UTF-8.", key=own_key)
    bare = text.removeprefix("\ufeff")
    if not SETTINGS[key].secret:
        if not (bare := bare.strip()):
            raise SettingsError(WRONG, f"{source} is blank", "Give it a value, or leave it out.", key=own_key)
    elif (bare := bare.rstrip("\r\n")) != text:
        warnings.append(
            f"{source} has a line break or a byte order mark around it, which is left out. "
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
    """Whether a URL stays on this machine."""
    return urlsplit(url).hostname in LOOPBACK


def base_url(host: Value, port: Value | None, api_path: Value | None, vocabulary: Vocabulary) -> str:
    """Scheme, host, port and API path, without a trailing slash.

    Args:
        port: counts where the host has none of its own.

    Raises:
        SettingsError: one of them is invalid, or it is plain http to another machine.
    """
    parts = _parts(host)
    path = (text_of(api_path) or SETTINGS["apiPath"].default).strip("/")
    if parts.path.strip("/") not in ("", path):
        variable = f"{vocabulary.setting('apiPath')} or {SETTINGS['apiPath'].environment[0]}"
        raise wrong(host, f"no path in it: set {variable} to {safe(parts.path.strip('/'))!r}")
    if not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*|", path, re.ASCII) or ".." in path:
        raise wrong(api_path or host, "a path such as KeyfactorAPI")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise wrong(host, "https: plain http would send the credentials readable to everyone on the way")
    number = parts.port
    if number is None and port is not None:
        number = _port(port)
    # A certificate never names a host with the dot that ends an absolute name (as Go, which leaves it out for TLS).
    name = (parts.hostname or "").removesuffix(".")
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{f':{number}' if number else ''}/{path}".rstrip("/")


def _parts(host: Value) -> SplitResult:
    address = host.text
    if any(mark in address for mark in "@?#"):
        # What stands there may be a password: the value is not repeated.
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
    """Whether it can be looked up at all; the resolver raises where a label is empty or too long.

    Raises:
        ValueError: no.
    """
    if ":" in name:
        return _is_ipv6(name)
    return _NAME.fullmatch(name.removesuffix(".").encode("idna").decode().lower()) is not None


def _is_ipv6(name: str) -> bool:
    """Whether it is an IPv6 address; one with a zone means something on one machine only, and is none here."""
    try:
        return ipaddress.IPv6Address(name).scope_id is None
    except ValueError:
        return False


def _port(port: Value) -> int:
    text = port.text
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise wrong(port, "a port between 1 and 65535")
    return int(text)
