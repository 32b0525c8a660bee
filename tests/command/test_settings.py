"""Settings: the precedence of sources, and the error for every invalid value, which names its source."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keyfactor_provider.command.settings import Settings, load
from keyfactor_provider.command.settings_table import CONFIG_KEYS, SECRET_KEYS, SETTINGS
from keyfactor_provider.errors import MissingSettings, SettingsError
from keyfactor_provider.vocabulary import Vocabulary
from keyfactor_standins.command.authority import Authority
from keyfactor_standins.command.world import World

HOST = {"KEYFACTOR_HOSTNAME": "command.example.com"}
BASIC = {"KEYFACTOR_USERNAME": "svc", "KEYFACTOR_PASSWORD": "canary-password"}
OAUTH = {
    "KEYFACTOR_AUTH_CLIENT_ID": "client",
    "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-secret",
    "KEYFACTOR_AUTH_TOKEN_URL": "https://login.example.com/token",
}
TOKEN = {"KEYFACTOR_AUTH_ACCESS_TOKEN": "canary-token"}
CANARIES = ("canary-password", "canary-secret", "canary-token")


def certificate() -> str:
    """A new certificate of a private CA."""
    return Authority(World()).pem


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
    "caCert": certificate(),
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
    "KEYFACTOR_CA_CERT": certificate(),
    "KEYFACTOR_SKIP_VERIFY": "false",
    "KEYFACTOR_CLIENT_TIMEOUT": "21",
    "KEYFACTOR_BATCH_SIZE": "22",
    "KEYFACTOR_STATUS_ENCODING": "digits",
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
    assert settings.ca_pem == CONFIG_VALUES["caCert"]
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
    assert (settings.timeout, settings.batch_size, settings.status_encoding) == (60, 500, "auto")
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
def test_a_profile_is_read_when_no_other_source_has_a_host_or_when_it_is_named(
    tmp_path: Path, config: dict[str, str], environment: dict[str, str], read: bool
) -> None:
    file = tmp_path / ".keyfactor" / "command_config.json"
    config = {key: value.format(file=file) for key, value in config.items()}
    environment = {key: value.format(file=file) for key, value in environment.items()} | BASIC
    settings = loaded(environment, config, profiles={"default": {**PROFILE_VALUES, "domain": "THERE"}}, home=tmp_path)
    assert settings.credentials.username == ("THERE\\svc" if read else "svc")


def test_every_setting_but_the_port_has_a_config_key_and_each_has_its_variable() -> None:
    assert set(SETTINGS) - set(CONFIG_KEYS) == {"port"}
    assert SECRET_KEYS == ("password", "clientSecret", "accessToken")
    names = [name for setting in SETTINGS.values() for name in setting.environment]
    assert len(names) == len(set(names))
    assert all(setting.environment for setting in SETTINGS.values())
    assert all(name.startswith("KEYFACTOR_") for name in names)


def test_the_newer_of_two_variables_counts(tmp_path: Path) -> None:
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
        # The first source with any credentials decides the method; those of other sources are ignored.
        ({"clientId": "stack"}, {**BASIC, **OAUTH}, "oauth", "stack", "the stack's config, keyfactor:clientId"),
        ({"password": "p"}, {**BASIC, **OAUTH}, "basic", "svc", "KEYFACTOR_USERNAME"),
        ({"accessToken": "t"}, {**BASIC, **OAUTH}, "token", "", "the stack's config, keyfactor:accessToken"),
        # A token URL, scopes or a domain alone do not decide the method.
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
        (BASIC, ["hostname", "KEYFACTOR_HOSTNAME", "keyfactor:hostname", "`pulumi` process"]),
        (HOST, ["credentials", "KEYFACTOR_USERNAME", "KEYFACTOR_AUTH_CLIENT_ID", "`pulumi` process"]),
        (
            {**HOST, "KEYFACTOR_USERNAME": "svc"},
            ["KEYFACTOR_USERNAME", "KEYFACTOR_PASSWORD", "keyfactor:password", "`pulumi` process"],
        ),
        ({**HOST, "KEYFACTOR_PASSWORD": "canary-password"}, ["keyfactor:username", "KEYFACTOR_PASSWORD is set"]),
        ({**HOST, "KEYFACTOR_AUTH_CLIENT_ID": "c"}, ["keyfactor:clientSecret", "KEYFACTOR_AUTH_CLIENT_SECRET"]),
        (
            {**HOST, "KEYFACTOR_AUTH_CLIENT_ID": "c", "KEYFACTOR_AUTH_CLIENT_SECRET": "canary-secret"},
            ["keyfactor:tokenUrl", "are set", "KEYFACTOR_AUTH_TOKEN_URL"],
        ),
    ],
)
def test_what_is_missing_is_named_with_where_to_put_it(environment: dict[str, str], says: list[str]) -> None:
    with pytest.raises(MissingSettings) as raised:
        loaded(environment)
    assert all(part in str(raised.value) for part in says)
    assert not any(canary in str(raised.value) for canary in CANARIES)


def test_what_is_missing_is_named_in_the_words_of_the_engine() -> None:
    words = Vocabulary("terraform plan", "terraform apply", "the provider block", {"hostname": "hostname"})
    with pytest.raises(MissingSettings) as raised:
        load(lambda _: None, {}, Path("/nonexistent"), vocabulary=words)
    assert "the provider block" in str(raised.value)
    assert "`terraform` process" in str(raised.value)
    assert "pulumi" not in str(raised.value)


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
        ("command_1.example.com.", "https://command_1.example.com/KeyfactorAPI"),
        ("COMMAND.example.com.:8443\n", "https://command.example.com:8443/KeyfactorAPI"),
        ("\ufeffcommand.example.com\r\n", "https://command.example.com/KeyfactorAPI"),
        ("2001:db8::7", "https://[2001:db8::7]/KeyfactorAPI"),
        ("2001:DB8:0::7", "https://[2001:db8:0::7]/KeyfactorAPI"),
        ("::1", "https://[::1]/KeyfactorAPI"),
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
        ("fe80::1%eth0", "Expected a host"),
        ("[fe80::1%eth0]:8443", "Expected a host"),
        ("https://::1", "Expected a host"),
        ("https://2001:db8::7/", "Expected a host"),
        ("command.example.com..", "Expected a host"),
        (".", "Expected a host"),
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
        ({"hostname": "command.example.com"}, {"KEYFACTOR_PORT": "8443\n"}, {}, ":8443"),
        ({}, {}, {"host": "command.example.com", "port": 7443}, ":7443"),
        ({}, {"KEYFACTOR_PORT": "tcp://10.0.0.7:443"}, {"host": "command.example.com", "port": 7443}, ":7443"),
        ({}, {}, {"host": "command.example.com", "auth_port": 7443}, ":7443"),
        # A profile's port applies only to its own host.
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
        ("KEYFACTOR_PORT", "9" * 190, "a port between 1 and 65535"),
        ("KEYFACTOR_API_PATH", "../secret", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_API_PATH", "api?x=1", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_API_PATH", "a b", "a path such as KeyfactorAPI"),
        ("KEYFACTOR_CLIENT_TIMEOUT", "60s", "a whole number of seconds from 1 to 3600, such as 60"),
        ("KEYFACTOR_PORT", "http://10.0.0.7:443", "a port between 1 and 65535"),
        ("KEYFACTOR_TIMEOUT", "-1", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "0", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "3601", "a whole number of seconds"),
        ("KEYFACTOR_TIMEOUT", "٦٠", "a whole number of seconds"),
        ("KEYFACTOR_BATCH_SIZE", "1e3", "a whole number of orchestrators"),
        ("KEYFACTOR_BATCH_SIZE", "9" * 190, "a whole number of orchestrators"),
        ("KEYFACTOR_SKIP_VERIFY", "maybe", "true or false"),
        ("KEYFACTOR_STATUS_ENCODING", "text", "auto, integer, string or digits"),
        ("KEYFACTOR_USERNAME", "A\\b\\c", "one of user"),
        ("KEYFACTOR_USERNAME", "A\\b@c", "one of user"),
        ("KEYFACTOR_USERNAME", "DOMAIN\\", "one of user"),
        ("KEYFACTOR_DOMAIN", "\\", "a domain alone"),
        ("KEYFACTOR_DOMAIN", "CORP\\svc", "a domain alone"),
        ("KEYFACTOR_DOMAIN", "svc@corp.example.com", "a domain alone"),
        ("KEYFACTOR_DOMAIN", "a:b", "a domain alone"),
        ("KEYFACTOR_DOMAIN", "ldap://corp", "a domain alone"),
        ("KEYFACTOR_CA_CERT", "/nowhere/ca.pem", "the path of a PEM file with certificates, or its text"),
        ("KEYFACTOR_CA_CERT", "~nobody-of-that-name/ca.pem", "the path of a PEM file with certificates, or its text"),
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
    [
        ("true", True),
        ("1", True),
        ("YES", True),
        ("false", False),
        ("0", False),
        ("no", False),
    ],
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
        ("svc\r\n", "PLANT\n", "PLANT\\svc"),
        ("svc", "PLANT\\", "PLANT\\svc"),
        ("svc", "@plant.example", "plant.example\\svc"),
        (".\\svc", "", ".\\svc"),
        # The NetBIOS name and the DNS name of one domain: the one in the username is sent.
        ("CORP\\svc", "corp.example.com", "CORP\\svc"),
        ("corp\\svc", "AD.CORP.EXAMPLE.COM.", "corp\\svc"),
        ("svc@corp.example.com", "CORP\\", "corp.example.com\\svc"),
        ("MANUFACTURINGGM\\svc", "manufacturinggmbh.example.com", "MANUFACTURINGGM\\svc"),
    ],
)
def test_an_account_goes_out_as_domain_and_user(username: str, domain: str, account: str) -> None:
    environment = {**HOST, **BASIC, "KEYFACTOR_USERNAME": username, "KEYFACTOR_DOMAIN": domain}
    assert loaded(environment).credentials.username == account


@pytest.mark.parametrize(
    ("username", "named", "domain"),
    [
        ("PLANT\\svc", "PLANT", "OTHER"),
        ("PLANT\\svc", "PLANT", "corp.example.com"),
        ("COM\\svc", "COM", "corp.example.com"),
        ("svc@corp.example.com", "corp.example.com", "ad.corp.example.com"),
    ],
)
def test_an_account_with_two_domains_is_refused_with_both(username: str, named: str, domain: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded({**HOST, **BASIC, "KEYFACTOR_USERNAME": username, "KEYFACTOR_DOMAIN": domain})
    assert f"KEYFACTOR_USERNAME names the domain {named!r}" in str(raised.value)
    assert f"KEYFACTOR_DOMAIN is {domain!r}" in str(raised.value)


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


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "{}\n\n", "\ufeff{}", "\ufeff{}\r\n"])
@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (BASIC, "KEYFACTOR_PASSWORD"),
        (OAUTH, "KEYFACTOR_AUTH_CLIENT_SECRET"),
        (TOKEN, "KEYFACTOR_AUTH_ACCESS_TOKEN"),
    ],
)
def test_a_secret_loses_the_end_of_the_line_it_was_read_from_with_a_warning(
    environment: dict[str, str], name: str, around: str
) -> None:
    settings = loaded({**HOST, **environment, name: around.format(environment[name])})
    made = settings.credentials
    assert environment[name] in (made.password, made.client_secret, made.access_token)
    (warning,) = settings.warnings
    assert name in warning
    assert environment[name] not in warning


def test_the_stacks_secret_loses_its_line_end_with_a_warning_too() -> None:
    settings = loaded({**HOST, "KEYFACTOR_USERNAME": "svc"}, {"password": "canary-password\n"})
    assert settings.credentials.password == "canary-password"
    assert [("keyfactor:password" in warning) for warning in settings.warnings] == [True]


@pytest.mark.parametrize("password", [" blanks inside and around ", "tab\t", "a\nb", '["no JSON', "{x}"])
def test_everything_else_in_a_password_is_kept(password: str) -> None:
    settings = loaded({**HOST, "KEYFACTOR_USERNAME": "svc"}, {"password": password})
    assert (settings.credentials.password, settings.warnings) == (password, ())


def test_a_secret_of_nothing_but_a_line_end_is_missing() -> None:
    with pytest.raises(MissingSettings, match="KEYFACTOR_PASSWORD"):
        loaded({**HOST, **BASIC, "KEYFACTOR_PASSWORD": "\n"})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("KEYFACTOR_AUTH_CLIENT_ID", "client_id"),
        ("KEYFACTOR_AUTH_TOKEN_URL", "token_url"),
        ("KEYFACTOR_AUTH_AUDIENCE", "audience"),
    ],
)
def test_a_setting_that_is_no_secret_loses_what_stands_around_it_silently(name: str, field: str) -> None:
    environment = {**HOST, **OAUTH, "KEYFACTOR_AUTH_AUDIENCE": "kf"}
    settings = loaded({**environment, name: f"\ufeff {environment[name]} \r\n"})
    assert (getattr(settings.credentials, field), settings.warnings) == (environment[name], ())


@pytest.mark.parametrize("name", ["KEYFACTOR_PASSWORD", "KEYFACTOR_USERNAME", "KEYFACTOR_HOSTNAME"])
def test_bytes_that_are_no_utf8_are_refused_without_being_repeated(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not valid UTF-8") as raised:
        loaded({**HOST, **BASIC, name: "canary-p\udce4ss"})
    assert "canary" not in f"{raised.value} {raised.value!r}"


@pytest.mark.parametrize("key", [key for key in CONFIG_KEYS if key != "scopes"])
@pytest.mark.parametrize(("value", "kind"), [('["canary-x"]', "list"), ('{"canary-x": 1}', "map"), ("[]", "list")])
def test_structured_config_is_refused_by_its_key_where_a_text_is_expected(key: str, value: str, kind: str) -> None:
    with pytest.raises(SettingsError, match=f"keyfactor:{key} is a {kind}") as raised:
        loaded({**HOST, **BASIC}, {key: value})
    assert raised.value.key == key
    assert "canary" not in str(raised.value)


def test_scopes_may_be_a_list() -> None:
    made = loaded({**HOST, **OAUTH}, {"scopes": '["a", "b"]'}).credentials
    assert made.scopes == ("a", "b")
    for wrong in ('["a", 1]', '[["a"]]', '{"a": "b"}'):
        with pytest.raises(SettingsError, match="keyfactor:scopes"):
            loaded({**HOST, **OAUTH}, {"scopes": wrong})


@pytest.mark.parametrize("link", ["tcp://10.0.0.7:443", "TCP://10.0.0.7:443", "udp://[fd00::7]:443"])
def test_the_link_of_a_kubernetes_service_is_no_port(link: str) -> None:
    settings = loaded({**HOST, **BASIC, "KEYFACTOR_PORT": link})
    assert settings.base_url == "https://command.example.com/KeyfactorAPI"
    (warning,) = settings.warnings
    assert "KEYFACTOR_PORT" in warning
    assert link in warning


@pytest.mark.parametrize("name", ["KEYFACTOR_HOSTNAME", "KEYFACTOR_DOMAIN", "KEYFACTOR_SKIP_VERIFY", "KEYFACTOR_PORT"])
@pytest.mark.parametrize("text", [" ", "\n", "\ufeff"])
def test_a_blank_value_is_refused_by_name_and_an_empty_one_is_none(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        loaded({**HOST, **BASIC, name: text})
    assert loaded({**HOST, **BASIC, "KEYFACTOR_DOMAIN": ""}).credentials.username == "svc"


@pytest.mark.parametrize("encoding", ["auto", "integer", "string", "digits", "Auto"])
def test_a_status_goes_out_in_one_of_four_encodings(encoding: str) -> None:
    assert loaded({**HOST, **BASIC}, {"statusEncoding": encoding}).status_encoding == encoding.lower()


PEM = certificate()
BUNDLE = f"# Főtanúsítvány\n{PEM}# second\n{PEM}"


@pytest.mark.parametrize(
    "given",
    [
        BUNDLE,
        BUNDLE.replace("\n", "\r\n"),
        BUNDLE.replace("\n", "\\n"),
        BUNDLE.replace("\n", "\\r\\n"),
        BUNDLE.replace("\n", "\n    "),
        BUNDLE.replace("\n", "\n\t"),
        BUNDLE.replace("\n", " "),
        f'"{BUNDLE}"',
        f"\ufeff{BUNDLE}",
    ],
)
def test_a_private_cas_text_may_be_indented_or_on_one_line(given: str) -> None:
    assert loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": given}).ca_pem == PEM * 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso8859-2"])
def test_a_private_ca_is_a_file_with_comments_in_any_language(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "ca.pem").write_text(BUNDLE, encoding=encoding)
    settings = loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": f"{tmp_path / 'ca.pem'}\n"})
    assert (settings.ca_pem, settings.warnings) == (PEM * 2, ())


@pytest.mark.parametrize("mode", [0o606, 0o666])
def test_a_private_ca_that_others_can_change_is_warned_about(tmp_path: Path, mode: int) -> None:
    (tmp_path / "ca.pem").write_text(PEM)
    (tmp_path / "ca.pem").chmod(mode)
    (warning,) = loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": str(tmp_path / "ca.pem")}).warnings
    assert str(tmp_path / "ca.pem") in warning


@pytest.fixture(params=["pipe", "endless", "folder", "large"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path that is not a regular file, such as a pipe on which a read would block."""
    path: Path = tmp_path / "special"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "endless":
        path.symlink_to("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(64 * 1024**2)
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["KEYFACTOR_CA_CERT", "KEYFACTOR_AUTH_CONFIG_FILE"])
def test_what_is_no_file_or_too_large_is_refused_by_its_name(no_file: Path, name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded({**HOST, **BASIC, name: str(no_file)})
    assert str(no_file) in str(raised.value)


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="KEYFACTOR_CA_CERT"):
        loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": "a\0b"})


@pytest.mark.parametrize("body", ["MIIB", "QUJD", "canary", "@"])
def test_a_private_ca_that_is_no_certificate_is_refused_by_its_source(body: str) -> None:
    pem = f"{PEM}-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    with pytest.raises(SettingsError, match=r"KEYFACTOR_CA_CERT.* no usable certificate"):
        loaded({**HOST, **BASIC, "KEYFACTOR_CA_CERT": pem})


@pytest.mark.parametrize(
    ("method", "destination"), [(BASIC, "command.example.com"), (OAUTH, "login.example.com")], ids=["Command", "tokens"]
)
def test_a_proxy_that_cannot_be_used_is_refused_with_the_settings(method: Mapping[str, str], destination: str) -> None:
    direct = ",".join({"command.example.com", "login.example.com"} - {destination})
    with pytest.raises(SettingsError, match="HTTPS_PROXY"):
        loaded({**HOST, **method, "HTTPS_PROXY": "ftp://proxy.example.com", "NO_PROXY": direct})


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


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent", "{file}", ""])
def test_a_home_that_is_no_directory_has_no_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", home.format(file=tmp_path / "file"))
    with pytest.raises(MissingSettings, match="KEYFACTOR_HOSTNAME"):
        load(lambda _: None, BASIC)
    assert load(lambda _: None, {**HOST, **BASIC}).warnings == ()


@pytest.mark.parametrize("name", ["command_config.yaml", "command_config.yml"])
def test_a_profile_of_yaml_is_found_where_there_is_no_json(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".keyfactor"
    folder.mkdir()
    (folder / name).write_text("servers:\n  default:\n    host: yaml.example.com\n")
    settings = loaded(BASIC, home=tmp_path)
    assert settings.base_url == "https://yaml.example.com/KeyfactorAPI"
    assert name in settings.host_source
    assert loaded(BASIC, profiles={"default": {"host": "json.example.com"}}, home=tmp_path).base_url.startswith(
        "https://json.example.com"
    )


def test_a_profiles_secret_loses_its_line_end_with_a_warning(tmp_path: Path) -> None:
    profile = {"host": "command.example.com", "username": "svc", "password": "canary-password\n"}
    settings = loaded({}, profiles={"default": profile}, home=tmp_path)
    assert settings.credentials.password == "canary-password"
    (warning,) = settings.warnings
    assert "command_config.json, password" in warning


def test_every_warning_is_told_and_the_one_about_tls_last() -> None:
    settings = loaded({**HOST, **BASIC, "KEYFACTOR_PASSWORD": "p\n", "KEYFACTOR_SKIP_VERIFY": "true"})
    assert len(settings.warnings) == 2
    assert "keyfactor:skipVerify" in settings.warnings[1]


@pytest.mark.parametrize("method", [BASIC, OAUTH, TOKEN])
def test_settings_show_no_secret_however_they_are_printed(method: dict[str, str]) -> None:
    settings = loaded({**HOST, **method})
    shown = f"{settings!r} {settings} {settings.credentials!r} {settings.credentials} {settings.credentials.describe()}"
    assert not any(canary in shown for canary in CANARIES)
    assert next(iter(method)) in shown
