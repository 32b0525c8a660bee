"""The proxy for a URL, by the rules that Go documents for its own clients, and so for Keyfactor's tools.

Source: golang.org/x/net/http/httpproxy, `FromEnvironment` and `Config`. Unlike Go, ALL_PROXY counts as well, an IPv6
address in NO_PROXY may have brackets, and a proxy that can't be used is refused instead of left out.
"""

import ipaddress
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import httpx

from keyfactor_provider.errors import SettingsError

_PORTS: Final = {"http": "80", "https": "443"}
_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_ENTRY: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]+))(?::(.*))?")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The URL of the proxy for requests to a URL; None for a direct connection. It may hold a password: never show it.

    Raises:
        SettingsError: the environment names a proxy that can't be used; its value is not repeated.
    """
    parts = urlsplit(url)
    names = [f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"]
    name = next((name for upper in names for name in (upper, upper.lower()) if environment.get(name)), None)
    host, port = parts.hostname or "", str(parts.port or _PORTS[parts.scheme])
    if name is None or _is_direct(host, port, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return None
    return _usable(name, environment[name].strip())


def _usable(name: str, address: str) -> str:
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
    """Whether a host goes without a proxy; entries that can't be read match nothing."""
    address = _address(host.partition("%")[0])
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return "*" in entries or any(_matches(entry, _ascii(host), address, port) for entry in entries)


def _matches(entry: str, host: str, address: _Address | None, port: str) -> bool:
    prefix, slash, bits = entry.rpartition("/")
    if slash:
        return address is not None and _is_within(address, prefix, bits)
    only = _address(entry)
    wanted_port = ""
    if only is None:
        if not (found := _ENTRY.fullmatch(entry)):
            return False
        name, wanted_port = found[1] or found[2] or "", found[3] or ""
        only = _address(name)
    if wanted_port not in ("", port):
        return False
    if only is not None or address is not None:
        return only == address
    exact = not name.startswith((".", "*."))
    domain = _ascii(name.removeprefix("*.").removeprefix("."))
    return bool(domain) and (host.endswith(f".{domain}") or (exact and host == domain))


def _is_within(address: _Address, prefix: str, bits: str) -> bool:
    base = _address(prefix)
    if base is None or base.version != address.version or not (bits.isascii() and bits.isdigit() and len(bits) < 4):
        return False
    return int(bits) <= base.max_prefixlen and address in ipaddress.ip_network(f"{base}/{int(bits)}", strict=False)


def _address(text: str) -> _Address | None:
    """An IP address, an IPv4 one also where it is written as IPv6."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _ascii(name: str) -> str:
    """A host name as the resolver takes it."""
    try:
        return name.encode("idna").decode().lower()
    except UnicodeError:
        return name
