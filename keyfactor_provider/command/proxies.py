"""The proxy for a URL, chosen as Go clients do, and therefore Keyfactor's tools.

Source: golang.org/x/net/http/httpproxy, `FromEnvironment` and `Config`. Unlike Go, this also reads ALL_PROXY, allows
brackets around an IPv6 address in NO_PROXY, and raises an error for an unusable proxy instead of ignoring it.
"""

import ipaddress
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from keyfactor_provider.errors import SettingsError

_PORTS: Final = {"http": "80", "https": "443"}
_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_ENTRY: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]+))(?::(.*))?")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The URL of the proxy for requests to a URL; None for a direct connection. Never show it: it may have a password.

    Raises:
        SettingsError: the environment names an unusable proxy; the error does not repeat its value.
    """
    parts = urlsplit(url)
    names = [f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"]
    name = next((name for upper in names for name in (upper, upper.lower()) if environment.get(name)), None)
    host, port = parts.hostname or "", str(parts.port or _PORTS[parts.scheme])
    if name is None or _is_direct(host, port, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return None
    return _usable(name, environment[name].strip())


def _usable(name: str, address: str) -> str:
    # Few runs have a proxy, and most of the others never need httpx, which takes 20 to 60 ms to import.
    from keyfactor_provider.command.http import httpx

    address = address if "://" in address else f"http://{address}"
    try:
        proxy = httpx.URL(address)
        usable = proxy.scheme in _SCHEMES and proxy.port != 0 and re.fullmatch(r"[^\s%]+", proxy.host) is not None
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise _refusal(
            name,
            "it is not the URL of an http, https or SOCKS proxy",
            "Set it to one such as http://proxy.example.com:3128, with special characters of a password "
            "percent-encoded, or add the host to NO_PROXY.",
        )
    if address.lower().startswith("socks") and find_spec("socksio") is None:
        raise _refusal(
            name,
            "it is a SOCKS proxy, for which the package socksio is missing",
            "Install it beside this package, set the variable to an http proxy, or add the host to NO_PROXY.",
        )
    return address


def _refusal(name: str, came_back: str, next_step: str) -> SettingsError:
    return SettingsError("The proxy that the environment names can't be used", f"{name}: {came_back}", next_step)


def _is_direct(host: str, port: str, no_proxy: str) -> bool:
    """Whether a host is reached without a proxy; invalid entries of NO_PROXY match nothing."""
    address = _address(host.partition("%")[0])
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return "*" in entries or any(_matches(entry, _ascii(host), address, port) for entry in entries)


def _matches(entry: str, host: str, address: _Address | None, port: str) -> bool:
    prefix, slash, bits = entry.rpartition("/")
    if slash:
        return address is not None and _is_within(address, prefix, bits)
    entry_address = _address(entry)
    entry_port = ""
    if entry_address is None:
        if not (match := _ENTRY.fullmatch(entry)):
            return False
        name, entry_port = match[1] or match[2] or "", match[3] or ""
        entry_address = _address(name)
    if entry_port not in ("", port):
        return False
    if entry_address is not None or address is not None:
        return entry_address == address
    exact = not name.startswith((".", "*."))
    domain = _ascii(name.removeprefix("*.").removeprefix("."))
    return bool(domain) and (host.endswith(f".{domain}") or (exact and host == domain))


def _is_within(address: _Address, prefix: str, bits: str) -> bool:
    base = _address(prefix)
    if base is None or base.version != address.version or not (bits.isascii() and bits.isdigit() and len(bits) < 4):
        return False
    return int(bits) <= base.max_prefixlen and address in ipaddress.ip_network(f"{base}/{int(bits)}", strict=False)


def _address(text: str) -> _Address | None:
    """The IP address that a text is, if any; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _ascii(name: str) -> str:
    """A host name in the form that the resolver uses."""
    try:
        return name.encode("idna").decode().lower()
    except UnicodeError:
        return name
