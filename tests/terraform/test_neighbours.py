"""Claims between the plugin processes of several provider configurations (aliases) of one Terraform."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keyfactor_provider.terraform.neighbours import Neighbours
from keyfactor_standins.command.process import Command
from tests.support.plugin import FLEET, GHOST, PluginError, Resource, plugin

OWN, PARENT = os.getpid(), os.getppid()
"""IDs of two running processes."""
FAMILY = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "neighbours"


def ended() -> int:
    """The ID of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize("order", ["both start first", "one claims before the other starts"])
def test_a_process_sees_the_claims_of_the_other(folder: Path, order: str) -> None:
    one = Neighbours(folder, FAMILY, OWN)
    if order == "both start first":
        other = Neighbours(folder, FAMILY, PARENT)
        assert one.claim("server:443", ["a", "b"]) == frozenset()
    else:
        assert one.claim("server:443", ["a", "b"]) == frozenset()
        other = Neighbours(folder, FAMILY, PARENT)
    one.leave()
    assert other.claimed("server:443") == {"a", "b"}
    assert other.claim("server:443", ["b", "c"]) == {"b"}


def test_a_process_can_claim_a_member_twice(folder: Path) -> None:
    one = Neighbours(folder, FAMILY, OWN)
    for _ in range(2):
        assert one.claim("server:443", ["a"]) == frozenset()
    assert one.claimed("server:443") == frozenset()


@pytest.mark.parametrize(("server", "family"), [("other:443", FAMILY), ("server:443", FAMILY + 1)])
def test_claims_on_another_server_or_under_another_terraform_do_not_count(
    folder: Path, server: str, family: int
) -> None:
    one, other = Neighbours(folder, FAMILY, OWN), Neighbours(folder, family, PARENT)
    one.claim("server:443", ["a"])
    assert other.claim(server, ["a"]) == frozenset()


def test_the_file_of_a_killed_process_is_removed_and_does_not_count(folder: Path) -> None:
    gone = Neighbours(folder, FAMILY, ended())
    gone.claim("server:443", ["a"])
    one = Neighbours(folder, FAMILY, OWN)
    assert one.claim("server:443", ["a"]) == frozenset()
    assert [file.name for file in folder.iterdir()] == [f"{FAMILY}-{OWN}"]
    one.leave()
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_can_access_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        Neighbours(folder, FAMILY, OWN)


def test_without_a_folder_the_plugin_serves_and_logs_what_it_cant_detect(command: Command, tmp_path: Path) -> None:
    (tmp_path / f"keyfactorcommand-{os.getuid()}").touch()
    with plugin({**command.environment(), "TMPDIR": str(tmp_path)}) as started:
        Resource().up(started, orchestrator_ids=command.ids()[:1], status="Requested")
    assert [line for line in started.log if "aliases" in line]


def test_one_orchestrator_in_fleets_of_two_aliases_is_refused_by_the_plan(command: Command, tmp_path: Path) -> None:
    ids, environment = command.ids()[:3], {**command.environment(), "TMPDIR": str(tmp_path)}
    with plugin(environment) as one, plugin(environment) as other:
        one.plan(FLEET, None, {"orchestrator_ids": ids[:2], "status": "Requested"})
        with pytest.raises(PluginError, match=f"{ids[1]}.*alias"):
            other.plan(FLEET, None, {"orchestrator_ids": [f"{{{ids[1].upper()}}}", ids[2]], "status": "Requested"})
        assert other.said[0].path == "orchestrator_ids"
        other.plan(FLEET, None, {"orchestrator_ids": [GHOST], "status": "Requested"})


def test_a_member_that_moves_to_a_fleet_of_another_alias_keeps_its_flag(command: Command, tmp_path: Path) -> None:
    ids, environment = command.ids()[:3], {**command.environment(), "TMPDIR": str(tmp_path)}
    old, new, gone = Resource(), Resource(), Resource()
    with plugin(environment) as started:
        old.up(started, orchestrator_ids=ids[:2], status="Requested")
        gone.up(started, orchestrator_ids=ids[2:], status="Requested")
    command.forget()
    with plugin(environment) as one, plugin(environment) as other:
        new.up(other, orchestrator_ids=ids[1:], status="Requested")
        old.up(one, orchestrator_ids=ids[:1], status="Requested")
        gone.destroy(one)
    assert command.posts() == []
    assert set(new.phases().values()) == {"pending"}
