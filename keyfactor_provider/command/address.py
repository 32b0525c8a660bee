"""Where Command's API lies: a host, host:port or URL, and the API's path."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from keyfactor_provider.command.sources import WRONG, Value, wrong
from keyfactor_provider.errors import SettingsError
from keyfactor_provider.vocabulary import Vocabulary

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_EXPECTED: Final = "a host, host:port or URL such as keyfactor.example.com or https://keyfactor.example.com:8443"
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine."""
    return urlsplit(url).hostname in LOOPBACK


def base_url(host: Value, port: Value | None, api_path: Value | None, vocabulary: Vocabulary) -> str:
    """Scheme, host, port and API path, without a trailing slash.

    Args:
        port: counts where the host has none of its own.

    Raises:
        SettingsError: one of them can't be meant, or it is plain http to another machine.
    """
    parts = _parts(host)
    path = (api_path.text.strip() if api_path else "KeyfactorAPI").strip("/")
    if parts.path.strip("/") not in ("", path):
        variable = f"{vocabulary.setting('apiPath')} or KEYFACTOR_API_PATH"
        raise wrong(host, f"no path in it: set {variable} to {parts.path.strip('/')!r}")
    if not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*|", path, re.ASCII) or ".." in path:
        raise wrong(api_path or host, "a path such as KeyfactorAPI")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise wrong(host, "https: plain http would send the credentials readable to everyone on the way")
    number = parts.port
    if number is None and port is not None:
        number = _port(port)
    name = parts.hostname or ""
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{f':{number}' if number else ''}/{path}".rstrip("/")


def _parts(host: Value) -> SplitResult:
    address = host.text.strip()
    if any(mark in address for mark in "@?#"):
        # What stands there may be a password: the value is not repeated.
        raise SettingsError(
            WRONG,
            f"{host.source} holds more than a host and a port",
            f"Expected {_EXPECTED}; credentials have settings of their own.",
            key=host.key,
        )
    try:
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
        ipaddress.IPv6Address(name)
        return True
    return _NAME.fullmatch(name.encode("idna").decode().lower()) is not None


def _port(port: Value) -> int:
    text = port.text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise wrong(port, "a port between 1 and 65535")
    return int(text)
