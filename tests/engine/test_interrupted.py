"""Interrupted runs, and the lock of a state."""

import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keyfactor_standins.engine.errors import EngineError
from keyfactor_standins.engine.planner import Resource
from keyfactor_standins.engine.run import command_line
from keyfactor_standins.engine.secrets import Vault
from keyfactor_standins.engine.store import Store
from tests.engine.engines import Stage

VAULT = Vault("open sesame", None)


def a_store(folder: Path) -> Store:
    """The store as a new process reads it."""
    return Store(folder, "tiny", "dev")


def named(name: str) -> Resource:
    return Resource(urn=f"urn:pulumi:dev::tiny::kind::{name}", custom=True, type="kind", id=name)


def names(folder: Path) -> list[str]:
    return [each.name for each in a_store(folder).resources(VAULT).values()]


def begun(folder: Path, *recorded: str) -> Store:
    """The store of a current run that has recorded resources."""
    store = a_store(folder)
    store.begin(VAULT)
    for each in recorded:
        store.put(named(each))
    return store


def test_what_a_killed_run_recorded_is_there_and_what_was_under_way_is_named(tmp_path: Path) -> None:
    with a_store(tmp_path).locked("up"):
        store = begun(tmp_path, "one", "two")
        store.start(named("three"), "creating")
    assert names(tmp_path) == ["one", "two"]
    left = a_store(tmp_path).export(VAULT)["deployment"]["pending_operations"]
    assert [(each["type"], each["resource"]["urn"]) for each in left] == [("creating", named("three").urn)]


def test_a_kill_while_the_state_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path).locked("up"):
        store = begun(tmp_path, "one")

        def torn(path: Path, text: str, **_: str) -> None:
            path.write_bytes(text[:20].encode())
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "write_text", torn)
        with pytest.raises(KeyboardInterrupt):
            store.put(named("two"))
        monkeypatch.undo()
        assert names(tmp_path) == ["one"]
        begun(tmp_path, "three")
    assert names(tmp_path) == ["one", "three"]


def test_a_renamed_resource_is_renamed_in_all_that_refer_to_it(tmp_path: Path) -> None:
    with a_store(tmp_path).locked("up"):
        begun(tmp_path, "one")
        store = a_store(tmp_path)
        store.begin(VAULT)
        old, new = named("one").urn, named("won").urn
        child = replace(named("two"), parent=old, dependencies=[old], property_dependencies={"size": [old]})
        store.put(child)
        store.put(named("won"), 0)
        store.rename(old, new)
    _, two = a_store(tmp_path).resources(VAULT).values()
    assert (two.parent, two.dependencies, two.property_dependencies) == (new, [new], {"size": [new]})
    assert child.dependencies == [old]


def test_a_second_run_on_a_stack_is_refused_by_name_until_the_first_has_ended(tmp_path: Path) -> None:
    first = a_store(tmp_path)
    with first.locked("up"):
        refusal = r"the stack 'dev' is currently locked by up \(process \d+, since .*; wait for that run to end"
        with pytest.raises(EngineError, match=refusal), a_store(tmp_path).locked("destroy"):
            pass
    with a_store(tmp_path).locked("destroy"):
        pass


WAITS = """
import asyncio

async def waits(_):
    open("waiting", "w").close()
    await asyncio.sleep(60)

async def fails_soon(_):
    await asyncio.sleep(1)
    fails(_)

slow = ResourceHookBinding(before_create=[ResourceHook("slow", waits)])
late = Thing("late", size=1, opts=ResourceOptions(hooks=slow))
"""
FAILS = """
no = ResourceHookBinding(before_create=[ResourceHook("no", fails_soon)])
other = Thing("other", size=1, opts=ResourceOptions(hooks=no))
"""


@pytest.mark.engine
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("more", "interrupted", "exit_code"),
    [("", signal.SIGINT, 8), ("", signal.SIGTERM, 8), (FAILS, None, 1)],
    ids=["ctrl-c", "sigterm", "another step fails"],
)
def test_a_hook_that_waits_before_its_step_does_not_hold_up_the_end(
    tmp_path: Path, more: str, interrupted: signal.Signals | None, exit_code: int
) -> None:
    stage = Stage(tmp_path)
    stage.write(WAITS + more)
    (tmp_path / "world.json").write_text("{}")
    began = time.monotonic()
    with subprocess.Popen(
        [*command_line("up", "--yes", "--skip-preview", cwd=tmp_path)],
        env=stage.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as engine:
        while interrupted and not (tmp_path / "waiting").exists():
            assert time.monotonic() < began + 30
            time.sleep(0.05)
        if interrupted:
            engine.send_signal(interrupted)
        said, _ = engine.communicate(timeout=30)
    assert (engine.returncode, 'hook "slow" failed: the run is ending' in said) == (exit_code, True), said
    assert [each["type"] for each in stage.export()["deployment"]["resources"]] == [
        "pulumi:pulumi:Stack",
        "pulumi:providers:pulumi-python",
    ]
