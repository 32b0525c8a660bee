"""No name of an orchestrator or a server can forge a line, a colour or a CI command in the output."""

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tf.utils import Diagnostics

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import LookupRefused
from keyfactor_provider.terraform.calls import Call
from keyfactor_provider.terraform.logs import Hclog
from keyfactor_provider.terraform.orchestrators import OneOrchestrator, Orchestrators
from keyfactor_provider.text import safe
from keyfactor_standins.command.process import Command, running
from keyfactor_standins.engine.display import differences, lines, shown
from tests.support.clients import Lab

FORGED = "\x1b[2J\x1b]0;title\x07[bold]x\r\n::error::y\u2028##vso[task.complete]\u202e\x9b31m\u200b" + "z" * 300
ONE, TWO = (f"3f2504e0-4f89-11d3-9a0c-00000000000{number}" for number in (1, 2))


def is_harmless(line: str) -> bool:
    return line.isprintable() and "##vso[" not in line and not line.lstrip().startswith("::")


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    with running("--orchestrators", "0") as command:
        named = {"client_machine": FORGED, "username": FORGED, "version": f"1.0{FORGED}", "last_error_message": FORGED}
        command.world(add=[{"agent_id": each, **named, "last_seen": FORGED} for each in (ONE, TWO)])
        yield command


@pytest.mark.parametrize("status", ["Requested", "Required"])
def test_a_preview_names_orchestrators_safely(command: Command, status: str) -> None:
    lab = Lab(command)
    raw = {"fleet": "edge", "orchestrator_ids": [ONE, TWO], "status": status}
    assert lab.operations.check(raw, {}, preview=True).desired is not None
    lab.client.close()
    warnings = [message.text() for message in lab.said if message.severity == "warning"]
    assert len(warnings) == 3
    assert all(is_harmless(text) and ONE in text and TWO in text for text in warnings)


def test_what_is_recorded_of_an_orchestrator_is_safe(command: Command) -> None:
    lab = Lab(command)
    fleet = lab.fleet()
    fleet.up([ONE, TWO])
    lab.client.close()
    assert sorted(member["machine"] for member in fleet.state["members"].values()) == [safe(FORGED)] * 2
    assert all(is_harmless(line) for line in json.dumps(fleet.state, ensure_ascii=False, indent=1).split("\n"))


def of_agents(*agents: Agent) -> Any:
    lookups = SimpleNamespace(everyone=lambda: agents, agent=lambda _: None)
    return SimpleNamespace(operations=SimpleNamespace(lookups=lookups))


def test_a_look_up_of_one_that_finds_two_names_them_safely() -> None:
    source = OneOrchestrator(of_agents(Agent(ONE, FORGED), Agent(TWO, FORGED)))
    with pytest.raises(LookupRefused) as caught:
        source.read(Call(Diagnostics()), {"agent_identifier": FORGED})
    assert is_harmless(str(caught.value))
    assert ONE in str(caught.value)


def test_the_values_of_a_data_source_stay_as_command_gives_them_and_its_warnings_are_safe() -> None:
    call = Call(Diagnostics())
    attributes = Orchestrators.get_schema().attributes
    config: dict[str, Any] = dict.fromkeys(attribute.name for attribute in attributes if attribute.optional)
    state = Orchestrators(of_agents(Agent(ONE, FORGED))).read(call, config | {"exclude": [FORGED[::-1]]})
    assert state["orchestrators"][0]["client_machine"] == FORGED
    told = call.diagnostics.to_pb()
    assert len(told) == 1
    assert all(is_harmless(each.summary) and is_harmless(each.detail) for each in told)


def test_terraforms_log_has_safe_lines_and_keeps_the_shape_of_a_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Hclog())
    logger = logging.Logger("forged", logging.DEBUG)
    logger.addHandler(handler)
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("said %s", FORGED)
    line = json.loads(stream.getvalue())
    assert is_harmless(line["@message"])
    assert all(is_harmless(each) for each in line["traceback"].splitlines())
    assert line["traceback"].splitlines()[1].startswith('  File "')


def test_the_stand_in_engine_shows_values_and_messages_safely() -> None:
    assert is_harmless(shown({FORGED: [FORGED]}))
    assert all(is_harmless(line) for line in differences({"a": FORGED, FORGED: "b"}, {"a": {FORGED: FORGED}}, 4))
    assert all("##vso[" not in line and line.isprintable() for line in lines(FORGED).splitlines())
    assert lines("one\n\ttwo\n") == "one\n        two"
    assert shown("é 漢字 👍") == '"é 漢字 👍"'
