"""Where settings come from: the order of sources, and every value that is refused, by the name of its source."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.settings import ENVIRONMENT, Settings, load
from keyfactor_provider.errors import MissingSettings, SettingsError

HOST = {"KEYFACTOR_HOSTNAME": "command.example.com"}
BASIC = {"KEYFACTOR_USERNAME": "svc", "KEYFACTOR_PASSWORD": "canary-password"}
OAUTH = {
    "KEYFACTOR_AUTH_CLIENT_ID": "client",
    "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-secret",
    "KEYFACTOR_AUTH_TOKEN_URL": "https://login.example.com/token",
}
TOKEN = {"KEYFACTOR_AUTH_ACCESS_TOKEN": "canary-token"}
CANARIES = ("canary-password", "canary-secret", "canary-token")

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def loaded(
    environment: Mapping[str, str],
    config: Mapping[str, str] | None = None,
    profiles: Mapping[str, Any] | None = None,
    home: Path | None = None,
) -> Settings:
    if profiles is not None:
        assert home is not None
        (home / ".keyfactor").mkdir(exist_ok=True)
        (home / ".keyfactor" / "command_config.json").write_text(json.dumps({"servers": profiles}))
    return load((config or {}).get, environment, home or Path("/nonexistent"))


CONFIG_VALUES = {
    "hostname": "config.example.com",
    "username": "config-user",
    "password": "config-password",
    "domain": "CONFIG",
    "apiPath": "ConfigAPI",
    "caCert": CERTIFICATE.replace("MIIB", "CONF"),
    "skipVerify": "true",
    "timeout": "11",
    "batchSize": "12",
    "statusEncoding": "string",
}
ENVIRONMENT_VALUES = {
    "KEYFACTOR_HOSTNAME": "env.example.com",
    "KEYFACTOR_USERNAME": "env-user",
    "KEYFACTOR_PASSWORD": "env-password",
    "KEYFACTOR_DOMAIN": "ENV",
    "KEYFACTOR_API_PATH": "EnvAPI",
    "KEYFACTOR_CA_CERT": CERTIFICATE.replace("MIIB", "ENVV"),
    "KEYFACTOR_SKIP_VERIFY": "false",
    "KEYFACTOR_CLIENT_TIMEOUT": "21",
    "KEYFACTOR_BATCH_SIZE": "22",
    "KEYFACTOR_STATUS_ENCODING": "integer",
}
PROFILE_VALUES = {
    "host": "profile.example.com",
    "username": "profile-user",
    "password": "profile-password",
    "domain": "PROFILE",
    "api_path": "ProfileAPI",
    "skip_tls_verify": True,
}


def test_the_stacks_config_comes_before_the_environment() -> None:
    settings = loaded(ENVIRONMENT_VALUES, CONFIG_VALUES)
    assert settings.base_url == "https://config.example.com/ConfigAPI"
    assert settings.credentials.username == "CONFIG\\config-user"
    assert settings.credentials.password == "config-password"
    assert "CONF" in settings.ca_pem
    assert (settings.skip_verify, settings.timeout, settings.batch_size) == (True, 11, 12)
    assert settings.status_encoding == "string"
    assert settings.host_source == "the stack's config, keyfactor:hostname"


def test_the_environment_comes_before_a_named_profile(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT_VALUES, "KEYFACTOR_AUTH_CONFIG_PROFILE": "plant"}
    settings = loaded(environment, profiles={"plant": PROFILE_VALUES}, home=tmp_path)
    assert settings.base_url == "https://env.example.com/EnvAPI"
    assert settings.credentials.username == "ENV\\env-user"
    assert (settings.skip_verify, settings.timeout, settings.batch_size) == (False, 21, 22)
    assert settings.host_source == "KEYFACTOR_HOSTNAME"


def test_a_profile_gives_everything_where_nothing_else_does(tmp_path: Path) -> None:
    settings = loaded({}, profiles={"default": PROFILE_VALUES}, home=tmp_path)
    assert settings.base_url == "https://profile.example.com/ProfileAPI"
    assert settings.credentials.username == "PROFILE\\profile-user"
    assert settings.skip_verify
    assert (settings.timeout, settings.batch_size, settings.status_encoding) == (60, 500, "integer")
    assert "profile 'default'" in settings.host_source
    assert settings.host_source.endswith("command_config.json, host")


@pytest.mark.parametrize(
    ("config", "environment", "read"),
    [
        ({}, {}, True),
        ({}, HOST, False),
        ({"hostname": "command.example.com"}, {}, False),
        ({}, {**HOST, "KEYFACTOR_AUTH_CONFIG_PROFILE": "default"}, True),
        ({"profile": "default"}, HOST, True),
        ({"configFile": "{file}"}, HOST, True),
        ({}, {**HOST, "KEYFACTOR_AUTH_CONFIG_FILE": "{file}"}, True),
    ],
)
def test_a_profile_is_read_when_nobody_else_names_a_host_or_when_it_is_named(
    tmp_path: Path, config: dict[str, str], environment: dict[str, str], read: bool
) -> None:
    file = tmp_path / ".keyfactor" / "command_config.json"
    config = {key: value.format(file=file) for key, value in config.items()}
    environment = {key: value.format(file=file) for key, value in environment.items()} | BASIC
    settings = loaded(environment, config, profiles={"default": {**PROFILE_VALUES, "domain": "THERE"}}, home=tmp_path)
    assert settings.credentials.username == ("THERE\\svc" if read else "svc")


def test_every_setting_but_the_port_has_a_config_key_and_each_has_its_variable(tmp_path: Path) -> None:
    for key, names in ENVIRONMENT.items():
        assert names, key
        assert all(name.startswith("KEYFACTOR_") for name in names)
    # The newer name of two wins.
    both = {**HOST, **BASIC, "KEYFACTOR_TIMEOUT": "5", "KEYFACTOR_CLIENT_TIMEOUT": "6"}
    assert loaded(both, home=tmp_path).timeout == 6
    del both["KEYFACTOR_CLIENT_TIMEOUT"]
    assert loaded(both, home=tmp_path).timeout == 5


@pytest.mark.parametrize(
    ("config", "environment", "method", "who", "source"),
    [
        ({}, BASIC, "basic", "svc", "KEYFACTOR_USERNAME"),
        ({}, OAUTH, "oauth", "client", "KEYFACTOR_AUTH_CLIENT_ID"),
        ({}, TOKEN, "token", "", "KEYFACTOR_AUTH_ACCESS_TOKEN"),
        ({}, {"KEYFACTOR_ACCESS_TOKEN": "old-name"}, "token", "", "KEYFACTOR_ACCESS_TOKEN"),
        # The first source that names any credential decides; what others name besides is ignored.
        ({"clientId": "stack"}, {**BASIC, **OAUTH}, "oauth", "stack", "the stack's config, keyfactor:clientId"),
        ({"password": "p"}, {**BASIC, **OAUTH}, "basic", "svc", "KEYFACTOR_USERNAME"),
        ({"accessToken": "t"}, {**BASIC, **OAUTH}, "token", "", "the stack's config, keyfactor:accessToken"),
        # A token URL, scopes or a domain alone name no method.
        ({"tokenUrl": "https://login.example.com/t", "domain": "D"}, BASIC, "basic", "D\\svc", "KEYFACTOR_USERNAME"),
    ],
)
def test_the_method_is_that_of_the_first_source_that_names_a_credential(
    config: dict[str, str], environment: dict[str, str], method: str, who: str, source: str
) -> None:
    credentials = loaded({**HOST, **environment}, config).credentials
    assert (credentials.method, credentials.username or credentials.client_id) == (method, who)
    assert credentials.source == source


def test_where_to_sign_in_may_stand_in_an_earlier_source_than_the_credentials() -> None:
    config = {"tokenUrl": "https://stack.example.com/t", "scopes": "a", "audience": "kf"}
    made = loaded({**HOST, **OAUTH}, config).credentials
    assert (made.token_url, made.scopes, made.audience) == ("https://stack.example.com/t", ("a",), "kf")


def test_the_methods_missing_parts_come_from_later_sources(tmp_path: Path) -> None:
    environment = {"KEYFACTOR_AUTH_CLIENT_SECRET": "from-env", "KEYFACTOR_AUTH_CONFIG_PROFILE": "plant", **HOST}
    profile = {"client_id": "ignored", "client_secret": "ignored", "token_url": "https://there.example.com/t"}
    settings = loaded(environment, {"clientId": "from-stack"}, profiles={"plant": profile}, home=tmp_path)
    made = settings.credentials
    assert (made.client_id, made.client_secret, made.token_url) == (
        "from-stack",
        "from-env",
        "https://there.example.com/t",
    )


@pytest.mark.parametrize("scopes", ["a,b c", "a, b,c", " a  b c "])
def test_scopes_are_separated_by_commas_or_spaces(scopes: str) -> None:
    assert loaded({**HOST, **OAUTH, "KEYFACTOR_AUTH_SCOPES": scopes}).credentials.scopes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (BASIC, ["can't be found", "KEYFACTOR_HOSTNAME", "keyfactor:hostname"]),
        (HOST, ["Nobody can sign in", "KEYFACTOR_USERNAME", "KEYFACTOR_AUTH_CLIENT_ID"]),
        ({**HOST, "KEYFACTOR_USERNAME": "svc"}, ["no password", "KEYFACTOR_PASSWORD", "keyfactor:password"]),
        ({**HOST, "KEYFACTOR_PASSWORD": "canary-password"}, ["no username", "KEYFACTOR_PASSWORD is set"]),
        ({**HOST, "KEYFACTOR_AUTH_CLIENT_ID": "c"}, ["no clientSecret", "KEYFACTOR_AUTH_CLIENT_SECRET"]),
        (
            {**HOST, "KEYFACTOR_AUTH_CLIENT_ID": "c", "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-secret"},
            ["no tokenUrl", "are set", "KEYFACTOR_AUTH_TOKEN_URL"],
        ),
    ],
)
def test_what_is_missing_is_named_with_where_to_put_it(environment: dict[str, str], says: list[str]) -> None:
    with pytest.raises(MissingSettings) as raised:
        loaded(environment)
    assert all(part in str(raised.value) for part in says)
    assert not any(canary in str(raised.value) for canary in CANARIES)


@pytest.mark.parametrize("pair", [(BASIC, OAUTH), (BASIC, TOKEN), (OAUTH, TOKEN)])
def test_two_methods_in_one_source_are_refused_by_the_names_of_both(pair: tuple[dict[str, str], ...]) -> None:
    with pytest.raises(SettingsError, match="two methods") as raised:
        loaded({**HOST, **pair[0], **pair[1]})
    assert next(iter(pair[0])) in str(raised.value)
    assert next(iter(pair[1])) in str(raised.value)
    assert not any(canary in str(raised.value) + repr(raised.value) for canary in CANARIES)


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("command.example.com", "https://command.example.com/KeyfactorAPI"),
        (" command.example.com ", "https://command.example.com/KeyfactorAPI"),
        ("command.example.com:8443", "https://command.example.com:8443/KeyfactorAPI"),
        ("https://command.example.com", "https://command.example.com/KeyfactorAPI"),
        ("HTTPS://Command.Example.com:8443/", "https://command.example.com:8443/KeyfactorAPI"),
        ("https://command.example.com/KeyfactorAPI/", "https://command.example.com/KeyfactorAPI"),
        ("10.0.0.7", "https://10.0.0.7/KeyfactorAPI"),
        ("[2001:db8::7]:8443", "https://[2001:db8::7]:8443/KeyfactorAPI"),
        ("bücher.example.com", "https://bücher.example.com/KeyfactorAPI"),
        ("command_1.example.com.", "https://command_1.example.com./KeyfactorAPI"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/KeyfactorAPI"),
        ("http://localhost", "http://localhost/KeyfactorAPI"),
        ("http://[::1]:5000", "http://[::1]:5000/KeyfactorAPI"),
    ],
)
def test_a_host_may_be_written_in_many_ways(given: str, base_url: str) -> None:
    assert loaded({"KEYFACTOR_HOSTNAME": given, **BASIC}).base_url == base_url


@pytest.mark.parametrize(
    ("hostname", "says"),
    [
        ("http://command.example.com", "plain http"),
        ("http://127.0.0.1.example.com", "plain http"),
        ("ftp://command.example.com", "Expected a host"),
        ("https://", "Expected a host"),
        ("command.example.com:0", "Expected a host"),
        ("command.example.com:99999", "Expected a host"),
        ("command.example.com:port", "Expected a host"),
        ("2001:db8::7", "Expected a host"),
        ("[2001:db8::xyz]", "Expected a host"),
        ("command..example.com", "Expected a host"),
        (f"{'a' * 64}.example.com", "Expected a host"),
        ("command.example.com\\evil", "Expected a host"),
        ("comm and.example.com", "Expected a host"),
        ("command.example.com/Other", "set keyfactor:apiPath or KEYFACTOR_API_PATH to 'Other'"),
        ("svc:canary-password@command.example.com", "credentials have settings of their own"),
        ("https://command.example.com?token=canary-token", "credentials have settings of their own"),
    ],
)
def test_a_host_that_cannot_be_meant_is_refused_by_the_name_of_its_source(hostname: str, says: str) -> None:
    with pytest.raises(SettingsError, match="KEYFACTOR_HOSTNAME") as raised:
        loaded({"KEYFACTOR_HOSTNAME": hostname, **BASIC})
    assert says in str(raised.value)
    assert not any(canary in str(raised.value) for canary in CANARIES)


@pytest.mark.parametrize(
    ("config", "environment", "profile", "port"),
    [
        ({}, {**HOST, "KEYFACTOR_PORT": "8443"}, {}, ":8443"),
        ({}, {"KEYFACTOR_HOSTNAME": "command.example.com:9443", "KEYFACTOR_PORT": "8443"}, {}, ":9443"),
        ({}, {"KEYFACTOR_HOSTNAME": "https://command.example.com:9443", "KEYFACTOR_PORT": "8443"}, {}, ":9443"),
        ({"hostname": "command.example.com"}, {"KEYFACTOR_PORT": "8443"}, {}, ":8443"),
        ({}, {}, {"host": "command.example.com", "port": 7443}, ":7443"),
        ({}, {}, {"host": "command.example.com", "auth_port": 7443}, ":7443"),
        # The port of a profile is that of its own host.
        ({"profile": "default"}, HOST, {"host": "other.example.com", "port": 7443}, ""),
    ],
)
def test_a_port_counts_where_the_host_names_none(
    tmp_path: Path, config: dict[str, str], environment: dict[str, str], profile: dict[str, Any], port: str
) -> None:
    settings = loaded({**environment, **BASIC}, config, profiles={"default": profile}, home=tmp_path)
    assert settings.base_url == f"https://command.example.com{port}/KeyfactorAPI"


@pytest.mark.parametrize("api_path", ["/KeyfactorAPI/", "Proxy/KeyfactorAPI", "keyfactor-api_2.0"])
def test_the_apis_path_may_have_slashes_around_it(api_path: str) -> None:
    settings = loaded({**HOST, **BASIC, "KEYFACTOR_API_PATH": api_path})
    assert settings.base_url == f"https://command.example.com/{api_path.strip('/')}"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KEYFACTOR_PORT", "https", "a port between 1 and 65535"),
        ("KEYFACTOR_PORT", "0", "a port between 1 and 65535"),
        ("KEYFACTOR_PORT", "65536", "a port between 1 and 65535"),
        ("KEYFACTOR_PORT", "9" * 5000, "a port between 1 and 65535"),
        ("KEYFACTOR_API_PATH", "../secret", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_API_PATH", "api?x=1", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_API_PATH", "a b", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_CLIENT_TIMEOUT", "60s", "a whole number of seconds from 1 to 3600, such as 60"),
        ("KEYFACTOR_TIMEOUT", "-1", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "0", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "3601", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "٦٠", "a whole number of seconds"),
        ("KEYFACTOR_BATCH_SIZE", "1e3", "a whole number of members"),
        ("KEYFACTOR_BATCH_SIZE", "9" * 5000, "a whole number of members"),
        ("KEYFACTOR_SKIP_VERIFY", "maybe", "true or false"),
        ("KEYFACTOR_STATUS_ENCODING", "text", "integer (as the vendor's page says) or string"),
        ("KEYFACTOR_USERNAME", "A\\b\\c", "one of user"),
        ("KEYFACTOR_USERNAME", "A\\b@c", "one of user"),
        ("KEYFACTOR_USERNAME", "DOMAIN\\", "one of user"),
        ("KEYFACTOR_CA_CERT", "/nowhere/ca.pem", "the path of a PEM file, or its text"),
        ("KEYFACTOR_CA_CERT", "~nobody-of-that-name/ca.pem", "the path of a PEM file, or its text"),
        ("KEYFACTOR_CA_CERT", "a\0b", "the path of a PEM file, or its text"),
        ("KEYFACTOR_AUTH_CONFIG_FILE", "~nobody-of-that-name/x.json", "the path of a profile file"),
    ],
)
def test_a_wrong_value_is_refused_with_its_source_and_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded({**HOST, **BASIC, name: value})
    assert f"{name} is {value!r}" in str(raised.value)
    assert f"Expected {expected}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "verified_off"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("no", False)],
)
def test_skip_verify_is_a_truth_value(text: str, verified_off: bool) -> None:
    assert loaded({**HOST, **BASIC, "KEYFACTOR_SKIP_VERIFY": text}).skip_verify is verified_off


@pytest.mark.parametrize(
    ("username", "domain", "account"),
    [
        ("svc", "", "svc"),
        ("svc", "PLANT", "PLANT\\svc"),
        ("PLANT\\svc", "", "PLANT\\svc"),
        ("svc@plant.example", "", "plant.example\\svc"),
        ("PLANT\\svc", "plant", "PLANT\\svc"),
        (" svc ", " PLANT ", "PLANT\\svc"),
    ],
)
def test_an_account_goes_out_as_domain_and_user(username: str, domain: str, account: str) -> None:
    environment = {**HOST, **BASIC, "KEYFACTOR_USERNAME": username, "KEYFACTOR_DOMAIN": domain}
    assert loaded(environment).credentials.username == account


def test_an_account_with_two_domains_is_refused_with_both() -> None:
    with pytest.raises(SettingsError, match=r"'PLANT' and KEYFACTOR_DOMAIN is 'OTHER'"):
        loaded({**HOST, **BASIC, "KEYFACTOR_USERNAME": "PLANT\\svc", "KEYFACTOR_DOMAIN": "OTHER"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEYFACTOR_USERNAME", "svc:canary-password"),
        ("KEYFACTOR_AUTH_ACCESS_TOKEN", "Bearer canary-token"),
        ("KEYFACTOR_AUTH_ACCESS_TOKEN", "canary-token\nsecond line"),
        ("KEYFACTOR_AUTH_ACCESS_TOKEN", "canary-tokén"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "https://client:canary-secret@login.example.com/token"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "http://login.example.com/token"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "login.example.com/token"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "https://login.example.com /token"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "https://login.example.com:port/token"),
        ("KEYFACTOR_CA_CERT", "-----BEGIN PRIVATE KEY-----\ncanary-secret\n-----END PRIVATE KEY-----"),
    ],
)
def test_a_value_that_may_hold_a_secret_is_refused_without_being_repeated(name: str, value: str) -> None:
    method = next(each for each in (BASIC, OAUTH, TOKEN) if name in each or each is TOKEN)
    with pytest.raises(SettingsError, match=name) as raised:
        loaded({**HOST, **method, name: value})
    assert "Expected" in str(raised.value)
    assert not any(canary in str(raised.value) + repr(raised.value) for canary in CANARIES)


def test_an_access_token_loses_the_end_of_the_line_it_was_read_from() -> None:
    assert loaded({**HOST, "KEYFACTOR_AUTH_ACCESS_TOKEN": "canary-token\n"}).credentials.access_token == "canary-token"


@pytest.mark.parametrize("inline", [True, False])
def test_a_private_ca_is_a_path_or_a_text_and_may_have_comments_in_any_language(tmp_path: Path, inline: bool) -> None:
    bundle = f"# Főtanúsítvány\n{CERTIFICATE}# second\n{CERTIFICATE}"
    (tmp_path / "ca.pem").write_text(bundle, encoding="utf-8")
    given = bundle if inline else str(tmp_path / "ca.pem")
    assert loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": given}).ca_pem.count("BEGIN CERTIFICATE") == 2


def test_a_private_ca_that_is_no_certificate_is_refused_when_the_client_is_made() -> None:
    settings = loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": CERTIFICATE})
    with pytest.raises(SettingsError, match=r"no usable certificate .* Expected a PEM file or its text"):
        CommandClient(settings)


def test_a_user_without_a_home_needs_none_where_the_environment_has_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert load(lambda _: None, {**HOST, **BASIC}).base_url.startswith("https://command.example.com")
    with pytest.raises(MissingSettings):
        load(lambda _: None, BASIC)
    with pytest.raises(SettingsError, match=r"KEYFACTOR_AUTH_CONFIG_PROFILE.*home directory"):
        load(lambda _: None, {**HOST, **BASIC, "KEYFACTOR_AUTH_CONFIG_PROFILE": "plant"})


@pytest.mark.parametrize("method", [BASIC, OAUTH, TOKEN])
def test_settings_show_no_secret_however_they_are_printed(method: dict[str, str]) -> None:
    settings = loaded({**HOST, **method})
    shown = f"{settings!r} {settings} {settings.credentials!r} {settings.credentials} {settings.credentials.describe()}"
    assert not any(canary in shown for canary in CANARIES)
    assert next(iter(method)) in shown
