"""Completions through the plugin's protocol: what they wait for, how they end, and what they leave."""

import threading
from typing import Any

import pytest
from google.protobuf import empty_pb2

from keyfactor_standins.command.process import Command
from tests.support.pluginhost import COMPLETION, UNKNOWN, InitFailed, Plugin, PluginError, Resource, plugin
from tests.support.processes import wait_until

DONE = "done"


@pytest.fixture
def fleet(host: Plugin, command: Command) -> Resource:
    """A fleet whose members are requested."""
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested")
    return fleet


def round_of(fleet: Resource) -> Any:
    assert fleet.outputs is not None
    return fleet.outputs["round"]


def completion() -> Resource:
    return Resource(COMPLETION, DONE)


def test_a_completion_is_created_once_every_member_has_re_enrolled(
    host: Plugin, command: Command, fleet: Resource
) -> None:
    command.world(reenroll=command.ids())
    done = completion()
    assert done.preview(host, round=round_of(fleet)).changes
    done.up(host, round=round_of(fleet))
    assert (done.id, done.reads_first) == (DONE, False)
    assert done.outputs is not None
    assert sorted(done.outputs["awaited"]) == command.ids()


def test_the_progress_of_a_round_that_is_complete_is_no_change(host: Plugin, command: Command, fleet: Resource) -> None:
    done = completion()
    command.world(reenroll=command.ids())
    done.up(host, round=round_of(fleet))
    with plugin(command.environment()) as later:
        fleet.refresh(later)
        assert set(fleet.phases().values()) == {"re-enrolled"}
        assert not done.up(later, round=round_of(fleet)).changes


def test_a_new_round_of_a_member_is_one_line_and_another_wait(host: Plugin, command: Command, fleet: Resource) -> None:
    done = completion()
    command.world(reenroll=command.ids())
    done.up(host, round=round_of(fleet))
    given: dict[str, Any] = {"orchestratorIds": command.ids(), "status": "Requested", "triggers": {"ca": "2028"}}
    with plugin(command.environment()) as later:
        fleet.up(later, **given)
        change = done.preview(later, round=round_of(fleet), timeout=0)
        assert change.paths == {f'round["{one}"]': ("UPDATE", True) for one in command.ids()}
        with pytest.raises(PluginError):
            done.up(later, round=round_of(fleet), timeout=0)


@pytest.mark.parametrize("timeout", [0, 1])
def test_a_timeout_is_a_plain_error_that_names_the_incomplete_members(
    host: Plugin, command: Command, fleet: Resource, timeout: int
) -> None:
    command.world(reenroll=command.ids()[1:])
    done = completion()
    with pytest.raises(PluginError) as failed:
        done.up(host, round=round_of(fleet), timeout=timeout)
    assert not isinstance(failed.value, InitFailed)
    assert command.ids()[0] in str(failed.value)
    assert command.ids()[1] not in str(failed.value)
    assert done.outputs is None


def test_custom_timeouts_end_a_wait(host: Plugin, fleet: Resource) -> None:
    with pytest.raises(PluginError):
        completion().up(host, within=1, round=round_of(fleet))


def test_a_completion_tolerates_as_many_failures_as_allowed(host: Plugin, command: Command, fleet: Resource) -> None:
    command.world(reenroll=command.ids()[1:])
    done = completion()
    inputs = done.check(host, round=round_of(fleet), timeout=1, maxFailed=1)
    assert (inputs["timeout"], inputs["maxFailed"]) == (1, "1")
    done.up(host, round=round_of(fleet), timeout=1, maxFailed="1")
    assert done.outputs is not None
    assert command.ids()[0] in host.told("warning")


def test_a_wait_reports_progress_and_ends_soon_when_the_engine_cancels(host: Plugin, fleet: Resource) -> None:
    done, failures = completion(), list[str]()

    def wait() -> None:
        try:
            done.up(host, round=round_of(fleet))
        except PluginError as error:
            failures.append(f"{type(error).__name__} {error}")

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: "0 of 6" in host.told("info"))
    host.ask("Cancel", empty_pb2.Empty())
    waiting.join(5)
    assert [one.split()[0] for one in failures] == ["PluginError"]
    assert "cancelled" in failures[0]
    assert done.outputs is None


def test_queued_members_end_a_wait_at_once(host: Plugin, command: Command) -> None:
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested", waves=["2"])
    with pytest.raises(PluginError, match="4 of 6 orchestrators queued"):
        completion().up(host, round=round_of(fleet))


def test_an_unknown_round_is_waited_for_during_the_run(host: Plugin) -> None:
    done = completion()
    assert done.preview(host, round=UNKNOWN).changes
    assert done.previewed["awaited"] == UNKNOWN


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": "1h"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"maxFailed": "many"}, "maxFailed"),
        ({"round": None}, "round"),
        ({"round": {}}, "round"),
        ({"round": "x"}, "round"),
        ({"round": {"a": "b"}}, "round"),
        ({"fleet": "edge"}, "fleet"),
    ],
)
def test_a_wrong_value_is_named_by_its_argument(reader: Plugin, given: dict[str, Any], wrong: str) -> None:
    member = '{"status": "Requested", "phase": "pending"}'
    with pytest.raises(PluginError) as refused:
        completion().check(reader, **{"round": {"3f2504e0-4f89-11d3-9a0c-0305e82c3301": member}, **given})
    assert str(refused.value).startswith(f"{wrong}: ")


def test_a_completion_cannot_be_imported(reader: Plugin) -> None:
    with pytest.raises(PluginError, match="can't be imported"):
        completion().take(reader, "done")


def test_refresh_and_destroy_of_a_completion_need_no_settings(host: Plugin, command: Command, fleet: Resource) -> None:
    done = completion()
    command.world(reenroll=command.ids())
    done.up(host, round=round_of(fleet))
    before = (done.inputs, done.outputs)
    with plugin({}) as without:
        done.refresh(without)
        assert (done.inputs, done.outputs) == before
        done.destroy(without)
