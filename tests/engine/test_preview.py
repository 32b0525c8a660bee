"""`preview --json`, for tools that read it, and the provider hosts of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.cases import ONE, Run, up
from tests.engine.engines import REAL, Stage

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

THING = "urn:pulumi:dev::tiny::pulumi-python:dynamic/test:Thing::"
STACK = "urn:pulumi:dev::tiny::pulumi:pulumi:Stack::tiny-dev"
BEFORE = "a = Thing('a', size=1)\nc = Thing('c', size=Output.secret(4))\nd = Thing('d')\nsame = Thing('same')"
AFTER = """a = Thing('a', size=2)
b = Thing('b', size=a.made)
c = Thing('c', size=Output.secret(5))
same = Thing('same')
pulumi.log.warn('look', a)
pulumi.log.info('passing', a, ephemeral=True)
print('hello')"""
DRIFT = {"a": {"drift": {"size": 7}, "inputs": True}}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def digest(text: str) -> dict[str, Any]:
    """The document on stdout; the banner before or after it is on stderr."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    return found


def timeless(document: dict[str, Any]) -> Any:
    """The document without times, source positions and ids, with sorted steps and diagnostics."""
    volatile = {"created", "modified", "sourcePosition", "stackTrace", "provider"}

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in volatile}
        return [strip(item) for item in value] if isinstance(value, list) else value

    document = strip(document)
    assert document.pop("duration") > 0
    for name in ("steps", "diagnostics"):
        document[name] = sorted((strip(each) for each in document.get(name, [])), key=lambda each: json.dumps(each))
    for each in document["diagnostics"]:
        each["message"] = each["message"].rstrip()
    return document


def previews(stage: Stage) -> list[tuple[int, dict[str, Any]]]:
    """The previews of a new stack, of changes, with a refresh, and of a failure."""
    told = [stage.tell(Run("preview --json", program=BEFORE)), stage.tell(up())]
    told += [stage.tell(Run("preview --json", program=AFTER)), stage.tell(Run("preview --json --refresh", world=DRIFT))]
    told += [stage.tell(Run("preview --json", program="a = Thing('a', size=99)"))]
    return [(each.exit_code, digest(each.text)) for each in told if each is not told[1]]


def test_a_preview_as_json_tells_steps_with_old_and_new_states_and_diagnostics(tmp_path: Path) -> None:
    (_, new), (code, changed), _, (failed, last) = previews(Stage(tmp_path))
    assert [(step["op"], "oldState" in step) for step in new["steps"]] == [("create", False)] * 5
    assert new["changeSummary"] == {"create": 5}
    steps = {step["urn"].removeprefix(THING): step for step in changed["steps"]}
    assert {name: step["op"] for name, step in steps.items()} == {
        STACK: "same",
        "a": "update",
        "b": "create",
        "c": "update",
        "d": "delete",
    }
    assert (code, changed["changeSummary"]) == (0, {"create": 1, "delete": 1, "same": 2, "update": 2})
    old, now = steps["a"]["oldState"], steps["a"]["newState"]
    assert (old["inputs"]["size"], now["inputs"]["size"], old["outputs"]["made"]) == (1, 2, True)
    assert (old["id"], "id" in now, "outputs" in now) == ("id-a", False, False)
    assert steps["b"]["newState"]["inputs"]["size"] == UNKNOWN
    assert steps["b"]["newState"]["propertyDependencies"]["size"] == [f"{THING}a"]
    assert [steps["c"][side]["inputs"]["size"] for side in ("oldState", "newState")] == ["[secret]", "[secret]"]
    assert "newState" not in steps["d"]
    said = [{**each, "message": each["message"].strip()} for each in changed["diagnostics"]]
    assert {"severity": "info", "message": "hello"} in said
    assert {"severity": "warning", "message": "warning: look", "urn": f"{THING}a"} in said
    assert not [each for each in said if "passing" in each["message"]]
    assert failed == 1
    assert [each["severity"] for each in last["diagnostics"] if each.get("urn") == f"{THING}a"] == ["error"]


@pytest.mark.skipif(REAL is None, reason="no pulumi CLI on the PATH: the documents were not compared")
def test_the_document_is_that_of_the_cli(tmp_path: Path) -> None:
    ours, theirs = previews(Stage(tmp_path / "ours")), previews(Stage(tmp_path / "real", real=True))
    for (mine, my), (real, their) in list(zip(ours, theirs, strict=True))[:3]:
        assert (mine, timeless(my)) == (real, timeless(their))


PIDS = """
import os, sys
from pathlib import Path
if len(sys.argv) > 1:
    with Path(__file__).with_name("hosts").open("a") as hosts:
        print(os.getpid(), file=hosts)
"""


@pytest.mark.parametrize(
    "real", [False, pytest.param(True, marks=pytest.mark.skipif(REAL is None, reason="no pulumi CLI on the PATH"))]
)
def test_a_refresh_and_the_program_after_it_have_one_provider_host(tmp_path: Path, *, real: bool) -> None:
    stage = Stage(tmp_path, real=real)
    assert stage.tell(up(program=ONE)).exit_code == 0
    counted = tmp_path / "counted.py"
    counted.write_text(counted.read_text() + PIDS)
    told = stage.tell(Run("preview --refresh", program=ONE))
    assert told.exit_code == 0, told.text
    assert len(set((tmp_path / "hosts").read_text().split())) == 1
