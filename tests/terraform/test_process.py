"""The plugin as a process: its logs, its shutdown, and its report of a defect."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.plugin import FLEET, GHOST, MANY, Plugin, PluginError, Resource, plugin


def test_every_log_line_is_hclog_and_none_has_a_secret(command: Command) -> None:
    ids = command.ids()[:2]
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "status", "status": 500, "times": 1}])
    with plugin({**command.environment(), "TF_LOG": "TRACE"}) as started:
        Resource().up(started, orchestrator_ids=ids, status="Requested")
    log = started.log
    lines = [json.loads(line) for line in log]
    assert {"debug", "info"} <= {line["@level"] for line in lines}
    assert any("/Agents" in line["@message"] for line in lines if line["@level"] == "debug")
    assert not [line for line in lines if line["@module"].startswith("httpcore")]
    assert command.said["password"] not in "\n".join(log)
    assert all(line.keys() >= {"@level", "@message", "@module", "@timestamp"} for line in lines)


def test_nothing_is_logged_unless_requested(command: Command) -> None:
    with plugin(command.environment()) as started:
        Resource().up(started, orchestrator_ids=command.ids()[:2], status="Requested")
    assert started.log == []


def test_it_exits_on_terraforms_shutdown(shared: Command) -> None:
    with plugin(shared.environment()) as started:
        assert started.shut_down() == 0


@pytest.mark.parametrize("ending", [Plugin.stop, lambda started: started.process.terminate()], ids=["stop", "SIGTERM"])
def test_an_apply_in_progress_finishes_with_its_state_after_a_stop(
    command: Command, started: Plugin, ending: Callable[[Plugin], None]
) -> None:
    ids, fleet = command.ids()[:3], Resource()
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "delay", "seconds": 1}])
    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(fleet.up, started, orchestrator_ids=ids, status="Requested")
        while not command.posts():
            time.sleep(0.01)
        ending(started)
        applying.result(20)
    assert set(fleet.phases().values()) == {"pending"}


@pytest.mark.parametrize("name", ["x" * 200, "a b", "a%20b", "a|b", "a?b#c", "ümlaut", "gone"])
def test_it_serves_whatever_the_name_of_the_temporary_folder(shared: Command, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    if name != "gone":
        folder.mkdir()
    with plugin({**shared.environment(), "TMPDIR": str(folder)}) as started:
        assert len(started.data(MANY)["ids"]) == 6
        assert len(started.handshake.split("|")[3]) < 104


def test_a_temporary_folder_with_a_short_path_is_used_and_left_without_files(shared: Command) -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        with plugin({**shared.environment(), "TMPDIR": folder}) as started:
            assert started.handshake.split("|")[3].startswith(f"{folder}/")
            assert started.shut_down() == 0
        # Only the empty folder in which the processes of several aliases find each other remains.
        assert [file for file in Path(folder).rglob("*") if not file.is_dir()] == []
        assert len(list(Path(folder).iterdir())) == 1


def test_started_by_hand_it_says_that_it_is_a_plugin() -> None:
    with pytest.raises(RuntimeError, match="This is a plugin"), plugin({"TF_PLUGIN_MAGIC_COOKIE": ""}):
        pass


def test_a_defect_is_reported_without_a_traceback_and_logged_with_one(shared: Command) -> None:
    with (
        plugin({**shared.environment(), "TF_LOG": "error"}) as started,
        pytest.raises(PluginError, match="The provider has a defect: ReadResource ended with ValueError"),
    ):
        started.read(FLEET, {"id": "x", "members": {}, "status": "Wanted", "orchestrator_ids": []})
    assert "ValueError" in json.loads(started.log[0])["traceback"]


def test_a_state_with_an_invalid_member_is_refused(shared: Command) -> None:
    with (
        plugin(shared.environment()) as started,
        pytest.raises(PluginError, match=r"recorded state .* field `status`"),
    ):
        started.read(FLEET, {"id": "x", "members": {GHOST: {}}, "status": "None", "orchestrator_ids": []})


def test_a_state_of_a_newer_release_is_refused(reader: Plugin) -> None:
    reader.schema.resource_schemas[FLEET].version += 1
    try:
        with pytest.raises(PluginError, match="State of a newer version"):
            reader.read(FLEET, {})
    finally:
        reader.schema.resource_schemas[FLEET].version -= 1


def test_ten_thousand_members_fit_into_one_message() -> None:
    with running("--orchestrators", "10000") as command, plugin(command.environment()) as started:
        ids, fleet = command.ids(), Resource()
        fleet.up(started, orchestrator_ids=ids, status="Requested")
        assert len(fleet.phases()) == 10_000
        assert len(command.posts()) == 20
