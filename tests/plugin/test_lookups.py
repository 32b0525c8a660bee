"""The functions of the package, through the plugin's protocol."""

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from keyfactor_standins.command.process import Command
from tests.support.commands import fresh
from tests.support.pluginhost import Plugin, PluginError, is_secret, plugin, raw, secret, struct


def test_one_orchestrator_by_its_guid(reader: Plugin, shared: Command) -> None:
    agent = shared.agents()[0]
    found = reader.invoke("getOrchestrator", identifier=agent["agent_id"].upper())
    assert (found["id"], found["machine"], found["flag"]) == (agent["agent_id"], agent["client_machine"], "None")


def test_one_orchestrator_by_its_machine(reader: Plugin, shared: Command) -> None:
    agent = shared.agents()[0]
    assert reader.invoke("getOrchestrator", identifier=agent["client_machine"])["id"] == agent["agent_id"]


@pytest.mark.parametrize("identifier", ["nowhere.example", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"])
def test_a_missing_orchestrator_is_refused(reader: Plugin, identifier: str) -> None:
    with pytest.raises(PluginError, match=identifier):
        reader.invoke("getOrchestrator", identifier=identifier)


def test_several_with_the_same_machine_name_are_refused_and_named() -> None:
    with fresh(2) as command:
        command.world(change={one: {"client_machine": "twin"} for one in command.ids()})
        with plugin(command.environment()) as host, pytest.raises(PluginError) as refused:
            host.invoke("getOrchestrator", identifier="twin")
        assert all(one in str(refused.value) for one in command.ids())


def test_all_orchestrators_that_match(reader: Plugin, shared: Command) -> None:
    found = reader.invoke("getOrchestrators", machine=["edge-*"], exclude=["edge-001*"], atLeast=1)
    expected = [
        agent["agent_id"]
        for agent in shared.agents()
        if agent["client_machine"].startswith("edge-") and not agent["client_machine"].startswith("edge-001")
    ]
    assert (found["ids"], [one["id"] for one in found["orchestrators"]]) == (expected, expected)
    assert found["unstable"] == []


def test_orchestrators_without_a_certificate_can_be_left_out(reader: Plugin, shared: Command) -> None:
    assert reader.invoke("getOrchestrators", withCertificate=True)["ids"] == shared.ids()
    assert reader.invoke("getOrchestrators", withCertificate=False)["ids"] == []


def test_unstable_filters_are_reported(reader: Plugin) -> None:
    assert reader.invoke("getOrchestrators", seenWithinHours=48, status=["Approved"])["unstable"] == [
        "status",
        "seenWithinHours",
    ]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"machines": ["x"]}, "machines"),
        ({"machine": [["x"]]}, "machine"),
        ({"seenWithinHours": 0}, "seenWithinHours"),
        ({"atLeast": 1.5}, "atLeast"),
        ({"withCertificate": "yes"}, "withCertificate"),
        ({"platform": ["Amiga"]}, "platform"),
    ],
)
def test_a_wrong_filter_is_named(reader: Plugin, given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(PluginError) as refused:
        reader.invoke("getOrchestrators", **given)
    assert str(refused.value).startswith(f"{wrong}: ")


def test_too_few_are_refused_with_both_numbers(reader: Plugin) -> None:
    with pytest.raises(PluginError) as refused:
        reader.invoke("getOrchestrators", atLeast=7)
    assert {"6", "7"} <= set(str(refused.value).replace(",", " ").split())


def test_the_result_of_a_secret_argument_is_secret(reader: Plugin, shared: Command) -> None:
    request = provider_pb2.InvokeRequest(
        tok="keyfactor:index:getOrchestrator", args=struct({"identifier": secret(shared.ids()[0])})
    )
    found = raw(getattr(reader.ask("Invoke", request), "return"))
    assert found
    assert all(is_secret(value) for value in found.values())


def test_an_unknown_function_is_refused(reader: Plugin) -> None:
    with pytest.raises(PluginError, match="no function") as refused:
        reader.invoke("getEverything")
    assert refused.value.code == "UNIMPLEMENTED"


def test_without_settings_a_look_up_fails(shared: Command) -> None:
    with plugin({}) as host, pytest.raises(PluginError, match="KEYFACTOR_HOSTNAME"):
        host.invoke("getOrchestrators")
    assert shared.posts() == []
