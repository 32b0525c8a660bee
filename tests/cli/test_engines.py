"""On the real engines, a run requests what its summary announced."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.cli.conftest import Cli
from tests.support.commands import fresh
from tests.support.modules import FIRST_FOUND, Module
from tests.support.stacks import Stack

pytestmark = pytest.mark.engine

ENGINES = [
    pytest.param(
        "pulumi", marks=pytest.mark.skipif(shutil.which("pulumi") is None, reason="no pulumi CLI on the PATH")
    ),
    pytest.param(
        "terraform", marks=pytest.mark.skipif(FIRST_FOUND is None, reason="neither terraform nor tofu on the PATH")
    ),
]


class Project:
    """A project of either engine: declared, planned, run and exported."""

    def __init__(self, engine: str, folder: Path, command: Command) -> None:
        self._of: Any = Stack("pulumi", folder, command) if engine == "pulumi" else None
        self._module = Module(FIRST_FOUND or "", folder, command) if engine == "terraform" else None

    def declare(self, *fleets: dict[str, Any]) -> None:
        (self._module or self._of).fleets(*fleets)

    def plan(self) -> bytes:
        if self._module is None:
            return _document(self._of.run("preview", "--json").text)
        self._module.run("plan", "-out", "saved.plan")
        return _document(self._module.run("show", "-json", "saved.plan").text)

    def run(self) -> dict[str, set[str]]:
        """Runs the project; the GUIDs for which flags were requested and cleared."""
        ran = self._module.run("apply") if self._module else self._of.run("up")
        posted: dict[str, set[str]] = {"requested": set(), "cleared": set()}
        for status, ids in ran.posts:
            posted["cleared" if status in (0, "None", "0") else "requested"].update(ids)
        return posted

    def export(self) -> bytes:
        if self._module is None:
            return json.dumps(self._of.export()).encode()
        return _document(self._module.run("show", "-json").text)


def _document(text: str) -> bytes:
    return text[text.index("{") :].encode()


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(8) as command:
        yield command


@pytest.fixture
def announced(cli: Cli) -> Callable[[bytes], dict[str, set[str]]]:
    """The GUIDs that a summary announces."""

    def read(plan: bytes) -> dict[str, set[str]]:
        ran = cli("summary", "-", "--json", stdin=plan)
        assert ran.code == 0, ran.err
        groups = {"requested": ("first", "retried", "drifted", "status_changed"), "cleared": ("cleared", "removed")}
        fleets = json.loads(ran.out)["fleets"]
        return {
            name: {one["id"] for fleet in fleets for group in wanted for one in fleet["orchestrators"].get(group, ())}
            for name, wanted in groups.items()
        }

    return read


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_requests_the_members_that_its_summary_announced(
    cli: Cli, announced: Any, command: Command, tmp_path: Path, engine: str
) -> None:
    ids = sorted(command.ids())
    project = Project(engine, tmp_path / "project", command)
    edge = {"name": "edge", "orchestrator_ids": ids[:5], "status": "Requested"}
    command.faults(refused=[ids[1]])
    history: list[list[dict[str, Any]]] = [
        [edge, {"name": "lab", "orchestrator_ids": ids[5:7], "status": "Requested"}],
        # One added, one removed, another status; one is retried, and a whole fleet is deleted.
        [{**edge, "orchestrator_ids": [*ids[:4], ids[7]], "status": "Required"}],
        [{**edge, "orchestrator_ids": [*ids[:4], ids[7]], "status": "None"}],
    ]
    for fleets in history:
        project.declare(*fleets)
        expected = announced(project.plan())
        assert any(expected.values())
        posted = project.run()
        # Only the run sees which members have re-enrolled since, and which flags are already None.
        assert posted["requested"] <= expected["requested"]
        assert expected["requested"] - posted["requested"] <= {ids[0]}
        assert posted["cleared"] <= expected["cleared"]
        command.world(reenroll=[ids[0]])
        command.faults(refused=[])
    ran = cli("status", "-", "--json", stdin=project.export())
    assert [one["counts"]["settled"] for one in json.loads(ran.out)["fleets"]] == [5]
