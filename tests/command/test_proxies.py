"""The proxy for a URL. Every row was checked against Go's httpproxy package; comments mark the exceptions."""

import importlib.util
from typing import Any

import pytest

from keyfactor_provider.command import proxies
from keyfactor_provider.command.proxies import proxy_for
from keyfactor_provider.errors import SettingsError

PROXY = "http://proxy.example.net:3128"
COMMAND = "https://command.example.com/KeyfactorAPI"


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        (COMMAND, "", False),
        (COMMAND, "localhost,fd00:10:96::/112", False),
        # This machine.
        ("https://localhost:8443/x", "", True),
        ("http://127.0.0.1:5000/x", "", True),
        ("https://127.8.9.10/x", "", True),
        ("https://[::1]:8443/x", "", True),
        ("https://[::ffff:127.0.0.1]/x", "", True),
        ("https://command.localhost/x", "", False),
        # Everything.
        (COMMAND, "*", True),
        ("https://10.0.0.7/x", " * ,other.example.com", True),
        (COMMAND, "*.*", False),
        # Domains.
        (COMMAND, "example.com", True),
        (COMMAND, "EXAMPLE.com", True),
        ("https://COMMAND.Example.COM/x", "example.com", True),
        (COMMAND, "command.example.com", True),
        (COMMAND, ".example.com", True),
        (COMMAND, "*.example.com", True),
        ("https://a.b.example.com/x", "*.example.com", True),
        ("https://example.com/x", "example.com", True),
        ("https://example.com/x", ".example.com", False),
        ("https://example.com/x", "*.example.com", False),
        ("https://notexample.com/x", "example.com", False),
        ("https://command/x", "command", True),
        (COMMAND, "*example.com", False),
        (COMMAND, "http://example.com", False),
        ("https://bücher.example.com/x", "xn--bcher-kva.example.com", True),
        ("https://xn--bcher-kva.example.com/x", ".example.com,bücher.example.com", True),
        # Ports.
        (COMMAND, "example.com:443", True),
        (COMMAND, "example.com:8443", False),
        ("https://command.example.com:8443/x", "*.example.com:8443", True),
        ("http://command.example.com/x", ".example.com:80", True),
        (COMMAND, ":443", False),
        # IPv4.
        ("https://10.0.0.7/x", "10.0.0.7", True),
        ("https://10.0.0.7/x", "10.0.0.7:443", True),
        ("https://10.0.0.7/x", "10.0.0.7:80", False),
        ("https://10.0.0.7/x", "10.0.0.0/8", True),
        ("https://10.0.0.7/x", "10.0.0.99/8", True),
        ("https://11.0.0.7/x", "10.0.0.0/8", False),
        ("https://[::ffff:10.0.0.7]/x", "10.0.0.0/8", True),
        ("https://10.0.0.7/x", "0.7", False),
        (COMMAND, "0.0.0.0/0", False),
        # IPv6.
        ("https://[fd00:10:96::7]/x", "fd00:10:96::/112", True),
        ("https://[fd00:10:97::7]/x", "fd00:10:96::/112", False),
        ("https://[fd00:10:96::7]/x", "fd00:10:96::7", True),
        ("https://[fd00:10:96::7]/x", "FD00:10:96:0::7", True),
        ("https://[fd00:10:96::7]:8443/x", "[fd00:10:96::7]:8443", True),
        ("https://[fd00:10:96::7]/x", "[fd00:10:96::7]:8443", False),
        ("https://10.0.0.7/x", "::/0", False),
        # Unlike Go, which ignores brackets without a port.
        ("https://[fd00:10:96::7]/x", "[fd00:10:96::7]", True),
        # Invalid entries are skipped; the others apply.
        (COMMAND, "[::,10.0.0.0/33,a:b:c,/8,10.0.0.0/255.0.0.0,fe80::/129,,.,*.", False),
        (COMMAND, "[::,10.0.0.0/33,a:b:c,/8,10.0.0.0/255.0.0.0,fe80::/129,,.,*.,example.com", True),
    ],
)
def test_a_host_goes_direct_where_no_proxy_matches_it(url: str, no_proxy: str, direct: bool) -> None:
    environment = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for(url, environment) == (None if direct else PROXY)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://a"}, "http://a"),
        ({"https_proxy": "http://a"}, "http://a"),
        ({"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, "http://a"),
        ({"HTTPS_PROXY": "", "https_proxy": "http://b"}, "http://b"),
        ({"HTTP_PROXY": "http://a"}, None),
        # Unlike Go, which does not read ALL_PROXY.
        ({"ALL_PROXY": "http://a"}, "http://a"),
        ({"all_proxy": "http://a"}, "http://a"),
        ({"ALL_PROXY": "http://a", "https_proxy": "http://b"}, "http://b"),
        ({"HTTPS_PROXY": "proxy.example.net:3128"}, PROXY),
        ({"HTTPS_PROXY": "proxy.example.net"}, "http://proxy.example.net"),
        ({"HTTPS_PROXY": f" {PROXY}\n"}, PROXY),
        ({"HTTPS_PROXY": "https://u:p%40ss@proxy.example.net"}, "https://u:p%40ss@proxy.example.net"),
        # Unlike Go, which ignores such a proxy.
        ({"HTTPS_PROXY": "http://u:p@ss@proxy.example.net"}, "http://u:p@ss@proxy.example.net"),
        ({"HTTPS_PROXY": "http://a", "no_proxy": "example.com"}, None),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": "example.net", "no_proxy": "example.com"}, "http://a"),
    ],
)
def test_the_proxy_comes_from_the_variable_that_go_reads(environment: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(COMMAND, environment) == proxy


@pytest.mark.parametrize(
    "address",
    [
        "ftp://canary:pw@proxy.example.net",
        "http://canary:port",
        "http://user:canary#x@proxy.example.net",
        "http://user:canary?x@proxy.example.net",
        "http://",
        "http://[canary]",
        "http://proxy.example.net:0/canary",
        "canary proxy",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable_alone(name: str, address: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        proxy_for(COMMAND, {name: address})
    assert "canary" not in f"{raised.value} {raised.value!r}"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    address = f"{scheme}://canary:pw@127.0.0.1:1080"
    monkeypatch.setattr(proxies, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"ALL_PROXY.*socksio") as raised:
        proxy_for(COMMAND, {"ALL_PROXY": address})
    assert "canary" not in str(raised.value)

    def installed(_name: str) -> Any:
        return importlib.util.find_spec("httpx")

    monkeypatch.setattr(proxies, "find_spec", installed)
    assert proxy_for(COMMAND, {"ALL_PROXY": address}) == address


def test_a_proxy_that_cannot_be_used_matters_only_where_one_is_needed() -> None:
    assert proxy_for(COMMAND, {"HTTPS_PROXY": "http://", "NO_PROXY": "example.com"}) is None
    assert proxy_for("https://localhost/x", {"HTTPS_PROXY": "http://"}) is None
