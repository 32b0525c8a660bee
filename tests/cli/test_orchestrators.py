"""`orchestrators` against the Command stand-in."""

import json
from collections.abc import Iterator

import pytest

from keyfactor_standins.command.process import Command, running
from tests.cli.conftest import Cli


@pytest.fixture(scope="module")
def _standin() -> Iterator[Command]:
    with running("--orchestrators", "14") as command:
        command.world(change={command.ids()[3]: {"thumbprint": None}})
        yield command


@pytest.fixture
def command(_standin: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A Command with fourteen orchestrators, with its settings in the environment."""
    _standin.faults(faults=[], page_cap=0)
    _standin.forget()
    for name, value in _standin.environment().items():
        monkeypatch.setenv(name, value)
    return _standin


def test_ids_are_a_list_of_every_page(cli: Cli, command: Command) -> None:
    command.faults(page_cap=4)
    ran = cli("orchestrators", "--ids")
    assert ran.code == 0
    assert json.loads(ran.out) == sorted(command.ids())


def test_the_table_has_every_orchestrator(cli: Cli, command: Command) -> None:
    ran = cli("orchestrators")
    assert ran.code == 0
    assert all(one["agent_id"] in ran.out and one["client_machine"] in ran.out for one in command.agents())


def test_json_has_every_field(cli: Cli, command: Command) -> None:
    found = json.loads(cli("orchestrators", "--json").out)
    assert {one["id"] for one in found} == set(command.ids())
    assert {"machine", "identity", "version", "last_seen", "thumbprint", "last_error_message"} <= found[0].keys()


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--machine", "EDGE-*"], lambda agent: agent["client_machine"].startswith("edge-")),
        (["--machine", "edge-*", "--machine", "core-*"], lambda _: True),
        (["--platform", ".net"], lambda agent: agent["agent_platform"] == 1),
        (["--exclude", "core-*"], lambda agent: not agent["client_machine"].startswith("core-")),
        (["--with-certificate"], lambda agent: bool(agent["thumbprint"])),
        (["--without-certificate"], lambda agent: not agent["thumbprint"]),
        (["--status", "Approved", "--seen-within", "365d"], lambda agent: bool(agent["last_seen"])),
    ],
)
def test_the_filters_are_those_of_the_look_up(cli: Cli, command: Command, options: list[str], chosen: object) -> None:
    assert callable(chosen)
    expected = [agent["agent_id"] for agent in command.agents() if chosen(agent)]
    assert json.loads(cli("orchestrators", "--ids", *options).out) == sorted(expected)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--at-most", "3"], 1, "14"),
        (["--machine", "none-*", "--at-least", "1"], 1, "none-*"),
        (["--platform", "Amiga"], 1, "Amiga"),
        (["--seen-within", "soon"], 2, "soon"),
        (["--seen-within", "0d"], 2, "0d"),
        (["--at-least", "-1"], 2, "-1"),
    ],
)
def test_wrong_counts_and_filters_fail(cli: Cli, command: Command, options: list[str], code: int, says: str) -> None:
    ran = cli("orchestrators", *options)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert command.posts() == []


def test_an_exclusion_without_effect_is_a_warning(cli: Cli, command: Command) -> None:
    ran = cli("orchestrators", "--ids", "--exclude", "nobody-*")
    assert ran.code == 0
    assert len(json.loads(ran.out)) == len(command.ids())
    assert "nobody-*" in ran.err


def test_an_error_about_missing_settings_names_the_variables(cli: Cli) -> None:
    ran = cli("orchestrators")
    assert ran.code == 1
    assert "KEYFACTOR_HOSTNAME" in ran.err
    assert "keyfactor:" not in ran.err


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"on": "GET", "act": "status", "status": 503}, 6), ({"on": "GET", "act": "status", "status": 401}, 1)],
)
def test_an_outage_and_a_rejected_login_have_different_exit_codes(
    cli: Cli, command: Command, monkeypatch: pytest.MonkeyPatch, fault: dict[str, object], code: int
) -> None:
    monkeypatch.setenv("KEYFACTOR_CLIENT_TIMEOUT", "1")
    command.faults(faults=[fault])
    ran = cli("orchestrators")
    assert (ran.code, ran.out) == (code, "")
    assert command.url in ran.err
