"""TLS and proxies: which certificates a client trusts, its errors, and which connections use a proxy."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, SettingsError, Unreachable
from keyfactor_provider.messages import Message
from keyfactor_standins.command.process import Command, running
from tests.support.clients import Clock
from tests.support.plain import Plain
from tests.support.servers import closed_port, listening


@pytest.fixture(scope="module")
def secure() -> Iterator[Command]:
    with running("--orchestrators", "3", "--tls") as command:
        yield command


def client_of(environment: dict[str, str]) -> CommandClient:
    clock = Clock()
    return CommandClient(load(lambda _: None, environment, Path("/nonexistent")), clock=clock, sleep=clock.sleep)


def without_ca(command: Command, **more: str) -> dict[str, str]:
    return {key: value for key, value in command.environment().items() if key != "KEYFACTOR_CA_CERT"} | more


@pytest.mark.parametrize("inline", [True, False])
def test_a_private_ca_is_trusted(secure: Command, inline: bool) -> None:
    environment = secure.environment()
    if inline:
        environment["KEYFACTOR_CA_CERT"] = Path(environment["KEYFACTOR_CA_CERT"]).read_text()
    client = client_of(environment)
    assert len(client.agents_page(1, 5).agents) == 3
    client.close()


def other_ca() -> str:
    """A CA that has not signed any certificate in these tests."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody else's CA")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_a_private_ca_is_added_to_the_systems(secure: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", secure.said["ca_cert"])
    client = client_of(without_ca(secure, KEYFACTOR_CA_CERT=other_ca()))
    assert client.agents_page(1, 5).agents
    client.close()


def test_the_private_ca_counts_for_the_token_endpoint_as_well(secure: Command) -> None:
    said = secure.said
    environment = {
        "KEYFACTOR_HOSTNAME": said["url"],
        "KEYFACTOR_CA_CERT": said["ca_cert"],
        "KEYFACTOR_AUTH_CLIENT_ID": said["client_id"],
        "KEYFACTOR_AUTH_CLIENT_SECRET": said["client_secret"],
        "KEYFACTOR_AUTH_TOKEN_URL": said["token_url"],
    }
    client = client_of(environment)
    assert client.agents_page(1, 5).agents
    client.close()
    del environment["KEYFACTOR_CA_CERT"]
    client = client_of(environment)
    with pytest.raises(BadAnswer, match=r"Getting a token .*its certificate does not verify"):
        client.agents_page(1, 5)
    client.close()


def test_a_certificate_that_does_not_verify_is_refused_at_once_with_what_to_set(secure: Command) -> None:
    client = client_of(without_ca(secure))
    with pytest.raises(BadAnswer, match=r"its certificate does not verify \(self-signed certificate") as raised:
        client.agents_page(1, 5)
    assert "Set keyfactor:caCert or KEYFACTOR_CA_CERT" in str(raised.value)
    assert not raised.value.transient
    assert client.clock.slept == []  # type: ignore[attr-defined]
    client.close()


def test_a_certificate_for_another_host_is_refused(secure: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as proxy:
        proxy.tunnel_to = ("127.0.0.1", int(secure.url.rsplit(":", 1)[1]))
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        client = client_of(secure.environment() | {"KEYFACTOR_HOSTNAME": "command.example.com"})
        with pytest.raises(BadAnswer, match=r"does not verify \(Hostname mismatch.*or correct the host name"):
            client.agents_page(1, 5)
        client.close()


def test_skipping_the_verification_warns_once_in_every_run(secure: Command) -> None:
    for _run in range(2):
        said = said_by_a_run(secure)
        assert [message.severity for message in said if "keyfactor:skipVerify" in message.text()] == ["warning"]
        assert "preflight-skipped" not in [message.kind for message in said]


def said_by_a_run(secure: Command) -> list[Message]:
    """The messages of a preview of two fleets with skipVerify."""
    said: list[Message] = []
    plain = Plain(lambda: client_of(without_ca(secure, KEYFACTOR_SKIP_VERIFY="true")), said.append)
    raw = {"status": "Requested", "orchestrator_ids": secure.ids()}
    for name in ("edge", "core"):
        plain.check({**raw, "fleet": name}, {}, preview=True)
    plain.operations.close()
    return said


def test_a_server_that_speaks_no_tls_is_unreachable(secure: Command) -> None:
    with listening() as plain:
        client = client_of(secure.environment() | {"KEYFACTOR_HOSTNAME": f"https://{plain.host}"})
        with pytest.raises(Unreachable, match=r"no connection to https://127.0.0.1:\d+"):
            client.agents_page(1, 5)
        client.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_and_sees_no_credentials(
    secure: Command, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with listening() as proxy:
        proxy.tunnel_to = ("127.0.0.1", int(secure.url.rsplit(":", 1)[1]))
        monkeypatch.setenv(variable, f"http://user:canary-proxy@{proxy.host}")
        # The stand-in's certificate is valid for this machine only.
        environment = without_ca(secure, KEYFACTOR_HOSTNAME="command.example.com:444", KEYFACTOR_SKIP_VERIFY="1")
        client = client_of(environment)
        assert len(client.agents_page(1, 5).agents) == 3
        client.close()
    assert [line.split("\n")[0] for line in proxy.seen] == ["CONNECT command.example.com:444"]
    assert "\nAuthorization" not in proxy.seen[0]


def test_a_host_in_no_proxy_and_this_machine_are_reached_without_it(
    secure: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy, running("--orchestrators", "1") as plain:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.host}")
        for command in (secure, plain):
            client = client_of(command.environment())
            assert client.agents_page(1, 5).agents
            client.close()
    assert proxy.seen == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((407, "text/html", b"<html>who are you</html>"), "ProxyError: 407"),
        ((502, "text/html", b"<html>no route</html>"), "ProxyError: 502"),
    ],
)
def test_a_proxy_that_gives_no_tunnel_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str, bytes], says: str
) -> None:
    with listening() as proxy:
        proxy.answer = answer
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        client = client_of(
            {"KEYFACTOR_HOSTNAME": "command.example.com", "KEYFACTOR_USERNAME": "u", "KEYFACTOR_PASSWORD": "p"}
        )
        with pytest.raises(Unreachable, match=rf"no connection to https://command.example.com.*{says}") as raised:
            client.agents_page(1, 5)
        assert "any proxy" in str(raised.value)
        client.close()


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    client = client_of(
        {"KEYFACTOR_HOSTNAME": "command.example.com", "KEYFACTOR_USERNAME": "u", "KEYFACTOR_PASSWORD": "p"}
    )
    with pytest.raises(Unreachable, match="Check the host, the network and any proxy"):
        client.agents_page(1, 5)
    client.close()


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "ftp://canary:pw@proxy", "http://canary:port"])
def test_a_proxy_that_cannot_be_used_fails_the_preview_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    environment = {"KEYFACTOR_HOSTNAME": "command.example.com", "KEYFACTOR_USERNAME": "u", "KEYFACTOR_PASSWORD": "p"}
    with pytest.raises(SettingsError, match="ALL_PROXY") as raised:
        client_of(environment)
    assert "canary" not in str(raised.value)

    def connect() -> Any:
        return client_of(environment)

    raw = {"fleet": "edge", "status": "Requested", "orchestrator_ids": ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]}
    problems = Plain(connect, lambda _message: None).check(raw, {}, preview=True).problems
    assert [problem.property for problem in problems] == ["keyfactor"]
