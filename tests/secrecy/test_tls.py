"""TLS is verified unless that is explicitly turned off."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import load
from keyfactor_provider.errors import BadAnswer, SettingsError
from keyfactor_standins.command.process import Command, running

MEANT = {"true": True, "True": True, "TRUE": True, "1": True, "yes": True, " true ": True}
NOT_MEANT = dict.fromkeys(["", "false", "False", "0", "no"], False)
REFUSED = ["y", "t", "on", "off", "n", "2", "-1", "none", "null", "verify", "true;", " "]


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    with running("--orchestrators", "2", "--tls") as command:
        yield command


@pytest.mark.parametrize(("text", "skips"), [*MEANT.items(), *NOT_MEANT.items()])
@pytest.mark.parametrize("source", ["config", "environment"])
def test_only_a_plain_yes_switches_verification_off(source: str, text: str, skips: bool) -> None:
    config = {"hostname": "keyfactor.example.com", "accessToken": "t"}
    environment = {}
    if source == "config":
        config["skipVerify"] = text
    else:
        environment["KEYFACTOR_SKIP_VERIFY"] = text
    assert load(config.get, environment, Path("/nowhere")).skip_verify is skips


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused_by_name(text: str) -> None:
    environment = {
        "KEYFACTOR_HOSTNAME": "keyfactor.example.com",
        "KEYFACTOR_AUTH_ACCESS_TOKEN": "t",
        "KEYFACTOR_SKIP_VERIFY": text,
    }
    with pytest.raises(SettingsError, match="KEYFACTOR_SKIP_VERIFY is"):
        load(lambda _: None, environment, Path("/nowhere"))


def test_a_no_in_the_config_overrules_a_yes_in_the_environment() -> None:
    config = {"hostname": "keyfactor.example.com", "accessToken": "t", "skipVerify": "false"}
    assert not load(config.get, {"KEYFACTOR_SKIP_VERIFY": "true"}, Path("/nowhere")).skip_verify


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"KEYFACTOR_SKIP_VERIFY": ""},
        {"SSL_CERT_FILE": os.devnull},
        {"SSL_CERT_FILE": ""},
        {"SSL_CERT_DIR": "/nowhere"},
        {"REQUESTS_CA_BUNDLE": ""},
        {"CURL_CA_BUNDLE": ""},
        {"PYTHONHTTPSVERIFY": "0"},
        {"NODE_TLS_REJECT_UNAUTHORIZED": "0"},
        {"GIT_SSL_NO_VERIFY": "true"},
        {"KEYFACTOR_SKIP_TLS_VERIFY": "true"},
    ],
    ids=str,
)
def test_nothing_else_in_the_environment_switches_it_off(
    command: Command, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = {name: value for name, value in command.environment().items() if name != "KEYFACTOR_CA_CERT"}
    client = CommandClient(load(lambda _: None, given | environment, Path("/nowhere")))
    with pytest.raises(BadAnswer, match="its certificate does not verify"):
        client.agents_page(1, 10)
    client.close()


def test_a_token_endpoint_is_verified_too(command: Command) -> None:
    given = {
        "KEYFACTOR_HOSTNAME": "127.0.0.1:1",
        "KEYFACTOR_AUTH_CLIENT_ID": command.said["client_id"],
        "KEYFACTOR_AUTH_CLIENT_SECRET": command.said["client_secret"],
        "KEYFACTOR_AUTH_TOKEN_URL": command.said["token_url"],
        "KEYFACTOR_CLIENT_TIMEOUT": "1",
    }
    client = CommandClient(load(lambda _: None, given, Path("/nowhere")))
    with pytest.raises(Exception, match=r"Getting a token.*(?i:certificate)"):
        client.agents_page(1, 10)
    client.close()
