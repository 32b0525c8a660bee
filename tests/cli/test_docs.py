"""docs/cli.md describes every exit code, option and key."""

import json
import re
from pathlib import Path

import pytest

from keyfactor_provider.cli.app import app
from keyfactor_provider.cli.exits import Exit
from tests.cli.conftest import Cli
from tests.cli.states import DATA

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d) \| (.+) \|$", DOCS, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [int(code) for code in Exit]
    for reason, code in (("failed", 3), ("overdue", 4), ("drift", 5)):
        assert f"--fail-on {reason}" in rows[code][1]


def test_every_option_that_the_docs_name_is_there() -> None:
    options = {
        name
        for command in app.commands.values()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    engines = {"--show-secrets", "--version"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", DOCS)) <= options | engines


@pytest.mark.parametrize(
    ("command", "source"), [("status", "pulumi-export"), ("status", "pulumi-secret"), ("summary", "pulumi-preview")]
)
def test_every_key_of_the_json_is_documented(cli: Cli, command: str, source: str) -> None:
    report = json.loads(cli(command, DATA / f"{source}.json", "--json").out)
    section = DOCS[DOCS.index(f"`{command} --json`") :]
    fleet = report["fleets"][0]
    for key in [*report, *fleet, *(fleet.get("stragglers") or [{}])[0]]:
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", section), key
