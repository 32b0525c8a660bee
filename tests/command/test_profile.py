"""The profile file that Keyfactor's own tools share: what is read from it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.command.profile import read_profile
from keyfactor_provider.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "command_config.json"


def read(file: Path, profile: Any, *, required: bool = True) -> dict[str, tuple[str, str]]:
    file.write_text(json.dumps({"servers": {"plant": profile}}))
    return read_profile(file, "plant", required=required)


@pytest.mark.parametrize(
    ("theirs", "value", "ours", "text"),
    [
        ("host", "command.example.com", "hostname", "command.example.com"),
        ("port", 8443, "port", "8443"),
        ("auth_port", 8443, "port", "8443"),
        ("username", "svc", "username", "svc"),
        ("password", "canary", "password", "canary"),
        ("domain", "PLANT", "domain", "PLANT"),
        ("client_id", "client", "clientId", "client"),
        ("client_secret", "canary", "clientSecret", "canary"),
        ("token_url", "https://login.example.com/t", "tokenUrl", "https://login.example.com/t"),
        ("scopes", ["a", "b"], "scopes", "a b"),
        ("scopes", "a,b", "scopes", "a,b"),
        ("audience", "kf", "audience", "kf"),
        ("access_token", "canary", "accessToken", "canary"),
        ("api_path", "KeyfactorAPI", "apiPath", "KeyfactorAPI"),
        ("ca_cert_path", "/etc/ca.pem", "caCert", "/etc/ca.pem"),
        ("skip_tls_verify", True, "skipVerify", "true"),
        ("skip_tls_verify", False, "skipVerify", "false"),
    ],
)
def test_every_key_of_keyfactors_own_has_its_setting(file: Path, theirs: str, value: Any, ours: str, text: str) -> None:
    assert read(file, {theirs: value}) == {ours: (text, theirs)}


def test_what_is_empty_computed_or_unknown_is_left_out(file: Path) -> None:
    empty: dict[str, Any] = {
        "host": "",
        "scopes": [],
        "auth_provider": {},
        "kerberos_realm": None,
        "auth_type": "basic",
        "new": {"a": 1},
    }
    assert read(file, empty) == {}


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"auth_provider": {"type": "azid"}, "password": "canary"}, "auth_provider, a way to sign in"),
        ({"kerberos_realm": "EXAMPLE.COM", "password": "canary"}, "kerberos_realm, a way to sign in"),
        ({"password": ["canary"]}, "password is a list"),
        ({"port": 443.5}, "port is a float"),
        ({"scopes": ["a", 1]}, "scopes is a list"),
        ("canary", "not a JSON file of profiles"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_without_its_secrets(file: Path, profile: Any, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(file, profile)
    assert says in str(raised.value)
    assert f"Profile 'plant' of {file} can't be used" in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"servers: {}", b"[]", b'{"servers": []}', b"\xff\xfe", b'{"a":' * 5000])
def test_a_file_of_another_kind_is_refused_although_nobody_named_it(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="not a JSON file of profiles"):
        read_profile(file, "default", required=False)


def test_a_profile_that_is_not_there_matters_only_when_it_was_named(file: Path) -> None:
    assert read_profile(file, "plant", required=False) == {}
    with pytest.raises(SettingsError, match="no such file"):
        read_profile(file, "plant", required=True)
    file.write_text(json.dumps({"servers": {"east": {}, "west": {}}}))
    assert read_profile(file, "plant", required=False) == {}
    with pytest.raises(SettingsError, match=r"no such profile \(it has: east, west\)"):
        read_profile(file, "plant", required=True)
    file.write_text(json.dumps({"servers": {}}))
    with pytest.raises(SettingsError, match=r"it has: none"):
        read_profile(file, "plant", required=True)


@pytest.mark.parametrize("place", ["", "a\0b"])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(SettingsError, match="Make it readable, or name another"):
        read_profile(tmp_path / place, "default", required=False)
