"""The data sources over the plugin's protocol."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, GHOST, MANY, ONE, Plugin, PluginError


def test_an_orchestrator_is_found_by_guid_in_any_spelling_and_by_machine(reader: Plugin, shared: Command) -> None:
    reader.configure()
    agent = shared.agents()[0]
    for identifier in (f"{{{agent['agent_id'].upper()}}}", agent["client_machine"].upper()):
        state = reader.data(ONE, agent_identifier=identifier)
        assert state["id"] == state["agent_id"] == agent["agent_id"]
        assert state["client_machine"] == agent["client_machine"]
        assert state["auth_certificate_reenrollment"] == "None"
        assert state["thumbprint"] == agent["thumbprint"]
        assert state["capabilities"] == agent["capabilities"]
        assert state["legacy_thumbprint"] is None
        assert state["last_error_message"] is None


@pytest.mark.parametrize("identifier", [GHOST, "nowhere.example"])
def test_an_orchestrator_that_is_not_there_is_an_error(reader: Plugin, identifier: str) -> None:
    reader.configure()
    with pytest.raises(PluginError, match=identifier):
        reader.data(ONE, agent_identifier=identifier)


def test_several_orchestrators_of_one_machine_are_an_error_that_names_them(command: Command, started: Plugin) -> None:
    ids = command.ids()[:2]
    command.world(change={member: {"client_machine": "twin"} for member in ids})
    with pytest.raises(PluginError, match="2 orchestrators") as caught:
        started.data(ONE, agent_identifier="twin")
    assert all(member in str(caught.value) for member in ids)


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
    state = reader.data(MANY, **filters)
    assert len(state["ids"]) == machines
    assert [orchestrator["agent_id"] for orchestrator in state["orchestrators"]] == state["ids"] == sorted(state["ids"])
    assert set(state["ids"]) <= set(shared.ids())


def test_a_look_up_out_of_bounds_is_refused(reader: Plugin) -> None:
    reader.configure()
    with pytest.raises(PluginError, match="6 found, at_least 7 expected"):
        reader.data(MANY, at_least=7)


def test_an_exclusion_that_matches_nothing_is_a_warning(reader: Plugin) -> None:
    reader.configure()
    reader.data(MANY, exclude=["nobody*"])
    assert [diagnostic.severity for diagnostic in reader.said] == ["warning"]


def test_one_process_reads_the_list_only_once(command: Command, started: Plugin) -> None:
    ids = command.ids()
    command.forget()
    started.data(MANY)
    started.data(MANY, machine=["edge-*"])
    started.data(ONE, agent_identifier=ids[0])
    for members in (ids[:6], ids[6:]):
        started.plan(FLEET, None, {"orchestrator_ids": members, "status": "Requested"})
    assert [entry["path"] for entry in command.journal()] == ["/Agents"]
