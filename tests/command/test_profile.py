"""The profile file shared with Keyfactor's own tools: what is read, and what is an error."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.command.files import others_can_write
from keyfactor_provider.command.profile import read_profile
from keyfactor_provider.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "command_config.json"


def read(file: Path, profile: Any) -> dict[str, tuple[str, str]]:
    file.write_text(json.dumps({"servers": {"plant": profile}}))
    return named(file)


def named(file: Path, name: str = "plant", *, required: bool = True) -> dict[str, tuple[str, str]]:
    return read_profile(file, name, required=required, warnings=[])


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
        ({"auth_provider": {"type": "azid"}, "password": "canary"}, "auth_provider"),
        ({"kerberos_realm": "EXAMPLE.COM", "password": "canary"}, "kerberos_realm"),
        ({"password": ["canary"]}, "password is a list"),
        ({"port": 443.5}, "port is a float"),
        ({"scopes": ["a", 1]}, "scopes is a list"),
        ({"audience": ["canary"]}, "audience is a list"),
        ("canary", "not a JSON file of profiles"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_without_its_secrets(file: Path, profile: Any, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(file, profile)
    assert says in str(raised.value)
    assert "'plant'" in str(raised.value)
    assert str(file) in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"servers: {}",
        b"[]",
        b'"servers"',
        b"{}",
        b'{"servers": []}',
        b'{"servers": {"default": [["host", "x"]]}}',
        b"\xff\xfe",
        b'{"a":' * 5000,
        b'{"servers": {"default": {"port": ' + b"9" * 5000 + b"}}}",
        b'{"servers": {"default": {"password": "canary\x01"}}}',
    ],
)
def test_a_default_file_of_another_kind_is_an_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="not a JSON file of profiles") as raised:
        named(file, "default", required=False)
    assert "canary" not in f"{raised.value} {raised.value!r}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"])
@pytest.mark.parametrize("ending", [".json", ".yaml"])
def test_a_file_may_be_of_any_encoding_that_windows_writes(file: Path, encoding: str, ending: str) -> None:
    text = json.dumps({"servers": {"plant": {"host": "bücher.example.com"}}}, ensure_ascii=False)
    content = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-bom" else text.encode(encoding)
    file = file.with_suffix(ending)
    file.write_bytes(content)
    assert named(file) == {"hostname": ("bücher.example.com", "host")}


def test_a_file_of_no_encoding_is_refused(file: Path) -> None:
    file.write_bytes(b'{"servers": {"plant": {"host": "b\xfccher"}}}')
    with pytest.raises(SettingsError, match="UTF-8"):
        named(file)


def test_the_case_and_the_underscores_of_a_key_do_not_matter(file: Path) -> None:
    file.write_text('{"Servers": {"plant": {"Host": "h", "clientId": "c", "TOKEN_URL": "t", "ApiPath": "p"}}}')
    assert {key: text for key, (text, _) in named(file).items()} == {
        "hostname": "h",
        "clientId": "c",
        "tokenUrl": "t",
        "apiPath": "p",
    }


YAML = """\
shared: &shared
  host: command.example.com
  skip_tls_verify: true
servers:
  plant:
    <<: *shared
    port: 8443
    username: no
    password: 0123
    domain: ~
    client_id: 1e3
    client_secret: "quoted: #canary"
    access_token: 2026-01-01
    scopes: [a, b]
    audience:
"""


def test_a_yaml_file_gives_its_values_as_they_are_written(file: Path) -> None:
    file = file.with_suffix(".yaml")
    file.write_text(YAML)
    assert {key: text for key, (text, _) in named(file).items()} == {
        "hostname": "command.example.com",
        "skipVerify": "true",
        "port": "8443",
        "username": "no",
        "password": "0123",
        "clientId": "1e3",
        "clientSecret": "quoted: #canary",
        "accessToken": "2026-01-01",
        "scopes": "a b",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "servers",
        "- servers",
        "servers: [plant]",
        "servers:\n  plant:\n    password: *canary",
        "servers:\n  plant:\n    password: @canary",
        "servers:\n  plant:\n    password: a: canary",
        "servers:\n  plant:\n    password: !!python/name:os.canary\n",
        "servers:\n  plant:\n    password: !canary x\n",
        "servers:\n  plant:\n  \tpassword: canary",
        "servers:\n  plant:\n    password: canary\x01",
        "[" * 5000,
        "? [a]\n: b",
    ],
)
def test_a_file_that_is_no_yaml_of_profiles_is_refused_without_its_secrets(file: Path, text: str) -> None:
    file = file.with_suffix(".yml")
    file.write_text(text)
    with pytest.raises(SettingsError, match="not a YAML file of profiles") as raised:
        named(file)
    assert str(file) in str(raised.value)
    assert "canary" not in f"{raised.value} {raised.value!r}"


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o644, False), (0o640, False), (0o602, True), (0o666, True)]
)
def test_a_file_that_others_can_change_is_warned_about(file: Path, mode: int, warned: bool) -> None:
    read(file, {})
    file.chmod(mode)
    warnings: list[str] = []
    read_profile(file, "plant", required=True, warnings=warnings)
    assert [str(file) in warning for warning in warnings] == ([True] if warned else [])


@pytest.mark.parametrize("private", [True, False])
def test_a_group_may_change_a_file_where_it_is_the_owners_own(
    file: Path, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    read(file, {})
    file.chmod(0o660)
    status = list(file.stat())
    status[4:6] = [1000, 1000 if private else 100]
    monkeypatch.setattr(Path, "stat", lambda _self: os.stat_result(status))
    assert others_can_write(file) is not private


def test_a_profile_that_is_not_there_matters_only_when_it_was_named(file: Path) -> None:
    assert named(file, required=False) == {}
    with pytest.raises(SettingsError, match="no such file"):
        named(file)
    file.write_text(json.dumps({"servers": {"east": {}, "west": {}}}))
    assert named(file, required=False) == {}
    with pytest.raises(SettingsError, match=r"no such profile \(it has: east, west\)"):
        named(file)
    file.write_text(json.dumps({"servers": {}}))
    with pytest.raises(SettingsError, match=r"it has: none"):
        named(file)


@pytest.mark.parametrize("place", ["", "a\0b"])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(SettingsError, match="Make it readable, or name another"):
        named(tmp_path / place, "default", required=False)
