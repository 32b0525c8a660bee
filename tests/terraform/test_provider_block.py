"""The provider block over the plugin's protocol, without Terraform."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, GHOST, MANY, UNKNOWN, Plugin, PluginError, Resource, plugin


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"hostname": "http://keyfactor.example.com"}, "hostname", "over plain http"),
        ({"hostname": "a b"}, "hostname", "The provider block, hostname is 'a b'. Expected a host"),
        ({"request_timeout": 0}, "request_timeout", "request_timeout is '0'. Expected a whole number"),
        ({"request_timeout": "1.1"}, "request_timeout", "request_timeout is '1.1'. Expected a whole number"),
        ({"batch_size": "1" + "0" * 400}, "batch_size", "batch_size is '1E+400'"),
        ({"batch_size": 20_000}, "batch_size", "batch_size is '20000'"),
        ({"status_encoding": "number"}, "status_encoding", "status_encoding is 'number'"),
        ({"command_ca_certificate": "/nowhere/ca.pem"}, "command_ca_certificate", "/nowhere/ca.pem"),
        ({"profile": "lab"}, "profile", "There is no such file"),
        ({"config_file": "/nowhere.json"}, "config_file", "There is no such file"),
        ({"username": "a", "access_token": "b"}, "access_token", "username and the provider block, access_token"),
        ({"client_id": "a", "client_secret": "b", "token_url": "http://x"}, "token_url", "not the https URL"),
        ({"username": "a@b", "domain": "c"}, "username", "names the domain 'b'"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_path_of_its_attribute(
    reader: Plugin, config: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(PluginError) as caught:
        reader.configure(**config)
    assert [diagnostic.path for diagnostic in reader.said] == [path]
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "Set hostname or KEYFACTOR_HOSTNAME"),
        ({"hostname": "127.0.0.1"}, "or the same in the provider block"),
        ({"hostname": "127.0.0.1", "username": "me"}, "Set KEYFACTOR_PASSWORD, or password in the provider block."),
        ({"hostname": UNKNOWN}, "hostname is known only after apply"),
    ],
)
def test_a_missing_setting_is_a_warning_and_the_plan_continues(config: dict[str, Any], says: str) -> None:
    with plugin({}, configured=False) as started:
        said = started.configure(**config)
        assert [diagnostic.severity for diagnostic in said] == ["warning"]
        assert says in str(said[0])
        assert "keyfactor:" not in str(said[0])
        desired = {"orchestrator_ids": [GHOST], "status": "Requested"}
        plan = started.plan(FLEET, None, desired)
        assert plan.said == []
        with pytest.raises(PluginError, match="nothing is recorded") as caught:
            started.apply(plan)
        assert caught.value.state is None  # type: ignore[attr-defined]


def test_an_invalid_proxy_is_refused_without_a_path(shared: Command) -> None:
    environment = {**shared.environment(), "KEYFACTOR_HOSTNAME": "command.example.com", "HTTPS_PROXY": "ftp://proxy"}
    with plugin(environment, configured=False) as started:
        with pytest.raises(PluginError, match="The proxy that the environment names can't be used"):
            started.configure()
        assert [diagnostic.path for diagnostic in started.said] == [""]


def test_a_state_is_unchanged_while_the_provider_block_is_unknown(command: Command, started: Plugin) -> None:
    fleet = Resource()
    fleet.up(started, orchestrator_ids=command.ids()[:2], status="Requested")
    with plugin({}, configured=False) as blind:
        blind.configure(hostname=UNKNOWN)
        before = fleet.state
        fleet.refresh(blind)
        assert fleet.state == before


def test_the_provider_block_overrides_the_environment(shared: Command) -> None:
    environment = {**shared.environment(), "KEYFACTOR_HOSTNAME": "keyfactor.invalid", "KEYFACTOR_PASSWORD": "wrong"}
    with plugin(environment, configured=False) as started:
        started.configure(hostname=shared.url, username=shared.said["username"], password=shared.said["password"])
        assert len(started.data(MANY)["ids"]) == 6


def test_an_unverified_certificate_warns_in_every_run(reader: Plugin) -> None:
    (said,) = reader.configure(skip_tls_verify=True)
    assert said.severity == "warning"
    assert "skip_tls_verify" in str(said)
    assert "command_ca_certificate" in str(said)


def test_secrets_are_marked_and_everything_in_the_provider_block_is_optional(reader: Plugin) -> None:
    attributes = {attribute.name: attribute for attribute in reader.schema.provider.block.attributes}
    assert {name for name, each in attributes.items() if each.sensitive} == {
        "password",
        "client_secret",
        "access_token",
    }
    assert all(attribute.optional and attribute.description for attribute in attributes.values())


def test_destructions_are_planned_too(reader: Plugin) -> None:
    """Otherwise a destruction would not know the claims of the plan."""
    assert reader.schema.server_capabilities.plan_destroy
