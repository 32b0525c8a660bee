"""The data sources over the plugin's protocol."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, GHOST, MANY, ONE, Plugin, PluginError


def test_an_orchestrator_is_found_by_guid_in_any_spelling_and_by_machine(reader: Plugin, shared: Command) -> None:
    reader.configure()
    agent = shared.agents()[0]
    for identifier in (f"{{{agent['agent_id'].upper()}}}", agent["client_machine"].upper()):
        found = reader.data(ONE, agent_identifier=identifier)
        assert found["id"] == found["agent_id"] == agent["agent_id"]
        assert found["client_machine"] == agent["client_machine"]
        assert found["auth_certificate_reenrollment"] == "None"
        assert found["thumbprint"] == agent["thumbprint"]
        assert found["capabilities"] == agent["capabilities"]
        assert found["legacy_thumbprint"] is None
        assert found["last_error_message"] is None


@pytest.mark.parametrize("identifier", [GHOST, "nowhere.example"])
def test_an_orchestrator_that_is_not_there_is_an_error(reader: Plugin, identifier: str) -> None:
    reader.configure()
    with pytest.raises(PluginError, match=identifier):
        reader.data(ONE, agent_identifier=identifier)


def test_of_several_orchestrators_of_one_machine_none_is_guessed(command: Command, started: Plugin) -> None:
    ids = command.ids()[:2]
    command.world(change={each: {"client_machine": "twin"} for each in ids})
    with pytest.raises(PluginError, match="2 orchestrators") as caught:
        started.data(ONE, agent_identifier="twin")
    assert all(each in str(caught.value) for each in ids)


@pytest.mark.parametrize(
    ("filters", "machines"),
    [
        ({}, 6),
        ({"machine": ["EDGE-*"]}, 3),
        ({"platform": ["Native"], "exclude": ["edge-001*"]}, 2),
        ({"capability": ["logs"]}, 3),
        ({"identity": ["*svc-core"]}, 3),
        ({"status": ["Approved"], "seen_within_hours": 1}, 6),
        ({"status": ["New"]}, 0),
        ({"with_certificate": True}, 6),
        ({"with_certificate": False}, 0),
        ({"at_least": 6, "at_most": 6}, 6),
    ],
)
def test_orchestrators_are_found_by_filters(
    reader: Plugin, shared: Command, filters: dict[str, Any], machines: int
) -> None:
    reader.configure()
    found = reader.data(MANY, **filters)
    assert len(found["ids"]) == machines
    assert [each["agent_id"] for each in found["orchestrators"]] == found["ids"] == sorted(found["ids"])
    assert set(found["ids"]) <= set(shared.ids())


def test_a_bound_that_is_broken_refuses_the_look_up(reader: Plugin) -> None:
    reader.configure()
    with pytest.raises(PluginError, match="6 found, at_least 7 expected"):
        reader.data(MANY, at_least=7)


def test_an_exclusion_that_matches_nothing_is_told(reader: Plugin) -> None:
    reader.configure()
    reader.data(MANY, exclude=["nobody*"])
    assert [each.severity for each in reader.said] == ["warning"]


def test_all_that_one_process_reads_costs_one_reading_of_the_list(command: Command, started: Plugin) -> None:
    ids = command.ids()
    command.forget()
    started.data(MANY)
    started.data(MANY, machine=["edge-*"])
    started.data(ONE, agent_identifier=ids[0])
    for members in (ids[:6], ids[6:]):
        started.plan(FLEET, None, {"orchestrator_ids": members, "status": "Requested"})
    assert [entry["path"] for entry in command.journal()] == ["/Agents"]
