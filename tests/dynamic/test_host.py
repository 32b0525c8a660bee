"""The resource in the SDK's own provider host: invalid input, outages, signals and timeouts."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pulumi.output import Unknown

from keyfactor_provider.command.sources import as_text
from keyfactor_provider.dynamic import CompletionProvider, ReenrollmentProvider
from keyfactor_provider.dynamic.inputs import MISSING
from keyfactor_provider.errors import InputError
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import to_state
from keyfactor_standins.command.process import Command, running
from tests.support.commands import fresh
from tests.support.lifecycle import UNKNOWN, HostError, host
from tests.support.processes import wait_until

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.fixture(scope="module")
def shared() -> Iterator[Command]:
    """A Command that the tests of this module only read."""
    with running("--orchestrators", "4") as command:
        yield command


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(12) as command:
        yield command


@pytest.mark.parametrize(
    ("news", "says"),
    [
        (
            {"orchestrator_ids": ["edge-001"]},
            r"orchestrator_ids\[0\]: 'edge-001' is not an orchestrator's GUID",
        ),
        ({"status": "Wanted"}, r"status: 'Wanted' is not a re-enrollment status; expected Requested"),
        ({"status": 3}, r"status: 3.0 is not"),
        ({"orchestrator_ids": []}, r"the list \[\] is empty"),
        ({"on_removal": "keep"}, r"'keep' is not one of 'unset' and 'retain'"),
    ],
)
def test_an_invalid_value_is_refused_in_preview_before_any_call(
    shared: Command, news: dict[str, Any], says: str
) -> None:
    shared.forget()
    with host(shared.environment()) as running_host:
        _, failures = running_host.check({"orchestrator_ids": [ONE], "status": "Requested", **news})
    assert len(failures) == 1
    assert re.search(says, failures[0])
    assert shared.journal() == []


@pytest.mark.parametrize(
    ("environment", "config", "says"),
    [
        (
            {"KEYFACTOR_HOSTNAME": "http://keyfactor.example.com"},
            {},
            "KEYFACTOR_HOSTNAME is 'http://keyfactor.example.com'",
        ),
        ({"KEYFACTOR_HOSTNAME": "a b"}, {}, "KEYFACTOR_HOSTNAME is 'a b'"),
        ({"KEYFACTOR_AUTH_ACCESS_TOKEN": "t"}, {}, "one source names two methods"),
        ({"KEYFACTOR_CLIENT_TIMEOUT": "60s"}, {}, "KEYFACTOR_CLIENT_TIMEOUT is '60s'"),
        ({"KEYFACTOR_CA_CERT": "/nowhere/ca.pem"}, {}, "/nowhere/ca.pem"),
        ({"KEYFACTOR_SKIP_VERIFY": "maybe"}, {}, "KEYFACTOR_SKIP_VERIFY is 'maybe'"),
        ({"KEYFACTOR_STATUS_ENCODING": "number"}, {}, "KEYFACTOR_STATUS_ENCODING is 'number'"),
        ({"KEYFACTOR_BATCH_SIZE": "0"}, {}, "KEYFACTOR_BATCH_SIZE is '0'"),
        ({}, {"profile": "lab"}, "Profile 'lab'"),
        ({}, {"batchSize": "many"}, "the stack's config, keyfactor:batchSize is 'many'"),
    ],
)
def test_an_invalid_setting_is_refused_in_preview_by_name(
    shared: Command, environment: dict[str, str], config: dict[str, str], says: str
) -> None:
    with host(shared.environment() | environment, config) as running_host:
        _, failures = running_host.check({"orchestrator_ids": [ONE], "status": "Requested"})
    assert len(failures) == 1
    assert says in failures[0]
    assert shared.said["password"] not in failures[0]


@pytest.mark.parametrize(
    ("missing", "says"),
    [("KEYFACTOR_HOSTNAME", "KEYFACTOR_HOSTNAME"), ("KEYFACTOR_PASSWORD", "KEYFACTOR_PASSWORD")],
)
def test_missing_settings_warn_in_preview_and_fail_up(shared: Command, missing: str, says: str) -> None:
    environment = {name: value for name, value in shared.environment().items() if name != missing}
    with host(environment) as running_host:
        desired = {"orchestrator_ids": [ONE], "status": "Requested"}
        assert running_host.check(desired)[1] == []
        assert says in running_host.said
        assert says in running_host.check(desired, preview=False)[1][0]


def test_unknown_values_in_preview_are_passed_on_and_nothing_is_called(shared: Command) -> None:
    shared.forget()
    with host(shared.environment()) as running_host:
        inputs, failures = running_host.check({"orchestrator_ids": [ONE, UNKNOWN], "status": "Requested"})
        assert failures == []
        assert inputs["orchestrators"] == UNKNOWN
        inputs, failures = running_host.check({"orchestrator_ids": [ONE], "status": UNKNOWN})
        assert (inputs["status"], failures) == (UNKNOWN, [])
    assert shared.journal() == []


def test_up_with_command_down_records_every_member_as_queued_and_the_next_up_requests_them(
    command: Command,
) -> None:
    ids = command.ids()[:6]
    command.faults(faults=[{"on": "", "act": "status", "status": 503}])
    with host(command.environment() | {"KEYFACTOR_CLIENT_TIMEOUT": "1"}) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        assert set(running_host.phases().values()) == {"due"}
        assert "503" in running_host.outputs["trouble"]
        state = running_host.outputs
    command.faults(faults=[])
    with host(command.environment()) as running_host:
        running_host.outputs = state
        running_host.up(orchestrator_ids=ids, status="Requested")
        assert set(running_host.phases().values()) == {"pending"}
    assert command.posts() == [(1, tuple(ids))]


def test_after_a_lost_response_command_is_read_before_anything_is_sent_again(
    command: Command,
) -> None:
    ids = command.ids()[:6]
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "reset", "applied": True, "times": 1}])
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        assert set(running_host.phases().values()) == {"pending"}
    assert len(command.posts()) == 1


def test_a_flag_that_cant_be_cleared_fails_destroy_and_names_its_orchestrator_alone(command: Command) -> None:
    ids = command.ids()[:2]
    with host(command.environment()) as running_host:
        state = running_host.up(orchestrator_ids=ids, status="Requested")
    command.faults(refused=ids[:1])
    with host(command.environment()) as running_host:
        running_host.outputs = state
        with pytest.raises(HostError) as caught:
            running_host.destroy()
    last = str(caught.value).strip().splitlines()[-1]
    assert ids[0] in last
    assert ids[1] not in last


def test_a_flag_that_cant_be_cleared_in_an_update_stays_recorded_and_is_retried(command: Command) -> None:
    ids = command.ids()[:3]
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status="Requested")
        command.faults(refused=ids[:1])
        running_host.up(orchestrator_ids=ids[1:], status="Requested")
        assert running_host.phases()[ids[0]] == "leaving"
        command.faults(refused=[])
        running_host.up(orchestrator_ids=ids[1:], status="Requested")
        assert set(running_host.phases()) == set(ids[1:])
    assert command.flags()[ids[0]] == "None"


def test_required_warns_of_orchestrators_that_it_may_block(command: Command) -> None:
    ids = command.ids()[:3]
    command.world(
        change={
            ids[0]: {"thumbprint": None},
            ids[1]: {"last_seen": "2026-01-01T00:00:00Z", "last_error_code": 7},
        }
    )
    with host(command.environment()) as running_host:
        running_host.check({"orchestrator_ids": ids, "status": "Required"})
        (blocked,) = [line for line in running_host.engine.said if "may block" in line]
        assert "2 orchestrators" in blocked
        assert [member in blocked for member in ids] == [True, True, False]
        assert "last error 7" in blocked
        assert "2026-01-01" in blocked


def test_a_preview_with_command_down_continues_after_one_warning(command: Command) -> None:
    environment = command.environment()
    command.close()
    with host(environment) as running_host:
        for name in ("one", "two"):
            desired = {"orchestrator_ids": [ONE[:-1] + name[0].replace("t", "2").replace("o", "1")]}
            assert running_host.check(desired | {"status": "Requested"}, name=name)[1] == []
        assert running_host.said.count("Reading orchestrator") == 1


def test_a_round_through_the_host_leaves_nothing_to_do(command: Command) -> None:
    ids = command.ids()[:3]
    with host(command.environment()) as running_host:
        running_host.up(orchestrator_ids=ids, status=1)
        command.world(reenroll=ids[:1])
        running_host.refresh()
        inputs, _ = running_host.check({"orchestrator_ids": ids[::-1], "status": "Requested"})
        assert not running_host.diff(inputs)
        assert inputs == running_host.inputs


def test_the_engines_address_is_the_last_argument(shared: Command) -> None:
    with host(shared.environment(), None, "--logtostderr", "-v=9", "--logflow") as running_host:
        running_host.check({"orchestrator_ids": [ONE], "status": "Requested"})
        assert "edge" in running_host.said


def test_a_message_that_the_engine_does_not_accept_fails_nothing(command: Command) -> None:
    with host(command.environment(), listens=False) as running_host:
        running_host.up(orchestrator_ids=command.ids()[:2], status="Requested")
        assert set(running_host.phases().values()) == {"pending"}


def test_sigterm_lets_a_create_finish_and_rejects_new_calls(command: Command) -> None:
    ids = command.ids()[:2]
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "delay", "seconds": 1.5}])
    with host(command.environment()) as running_host, ThreadPoolExecutor(1) as thread:
        created = thread.submit(running_host.up, orchestrator_ids=ids, status="Requested")
        wait_until(lambda: any(entry["method"] == "POST" for entry in command.journal()))
        running_host.process.terminate()
        assert created.result(20)["members"].keys() == set(ids)
        assert set(running_host.phases().values()) == {"pending"}
        assert running_host.process.wait(20) == 0
        with pytest.raises(HostError):
            running_host.check({"orchestrator_ids": ids, "status": "Requested"})
    assert command.posts() == [(1, tuple(ids))]


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background job"])
def test_sigterm_ends_an_idle_host(shared: Command, background: bool) -> None:
    with host(shared.environment(), background=background) as running_host:
        running_host.check({"orchestrator_ids": [ONE], "status": "Requested"})
        running_host.process.terminate()
        assert running_host.process.wait(20) == 0


def test_custom_timeouts_bound_create_update_and_delete(command: Command) -> None:
    ids = command.ids()[:2]
    with host(command.environment()) as running_host:
        running_host.timeout = 30
        state = running_host.up(orchestrator_ids=ids[:1], status="Requested")
    command.faults(faults=[{"on": "", "act": "status", "status": 503}])
    for call in ("create", "update", "delete"):
        with host(command.environment()) as running_host:
            began, running_host.timeout = time.monotonic(), 0.5
            if call == "create":
                running_host.up(orchestrator_ids=ids[1:], status="Requested")
            else:
                running_host.outputs = state
            if call == "update":
                running_host.up(orchestrator_ids=ids, status="Requested")
            if call != "delete":
                assert running_host.phases()[ids[1]] == "due"
                assert running_host.outputs["trouble"]
            if call == "delete":
                with pytest.raises(HostError):
                    running_host.destroy()
            assert time.monotonic() - began < 10


@pytest.mark.parametrize("preview", [True, False])
def test_members_left_out_by_ignore_changes_are_those_of_the_last_run(shared: Command, *, preview: bool) -> None:
    with host(shared.environment()) as running_host:
        running_host.inputs = {"orchestrators": {ONE: "Requested"}, "status": "Requested", "fleet": "edge"}
        inputs, failures = running_host.check({"status": "Requested"}, preview=preview)
    assert (inputs["orchestrators"], failures) == ({ONE: "Requested"}, [])
    assert "run" not in inputs


def test_members_missing_because_of_a_failed_resource_are_not_those_of_the_last_run(shared: Command) -> None:
    with host(shared.environment()) as running_host:
        running_host.inputs = {"orchestrators": {ONE: "Requested"}, "status": "Requested", "fleet": "edge"}
        inputs, failures = running_host.check({"status": "Requested", "run": None}, preview=False)
    assert ("orchestrators" in inputs, failures) == (False, [])


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("news", "property_"),
    [
        ({"orchestrator_ids": MISSING}, "orchestrator_ids"),
        ({"orchestrator_ids": [ONE, MISSING]}, "orchestrator_ids[1]"),
        ({"status": MISSING}, "status"),
        # The inputs from the engine when ignore_changes names one member.
        ({"orchestrators": {ONE: "Requested"}}, "orchestrator_ids"),
    ],
)
def test_a_none_is_refused_in_preview_and_up_alike(
    shared: Command, tmp_path: Path, news: dict[str, Any], property_: str, *, preview: bool
) -> None:
    run = {"preview": preview, "failures": str(tmp_path / "failed")}
    with host(shared.environment()) as running_host:
        running_host.inputs = {"orchestrators": {ONE: "Requested", ONE[:-1] + "2": "Requested"}}
        whole = {"orchestrator_ids": [ONE], "status": "Requested", **news, "run": run}
        _, failures = running_host.check(whole, preview=False)
    assert [failure.partition(":")[0] for failure in failures] == [property_]
    assert (tmp_path / "failed").exists()


# Without a host.


@pytest.mark.parametrize("timeout", [-1, True, "soon", 604_801, None])
def test_a_completion_refuses_an_invalid_timeout(timeout: Any) -> None:
    (failure,) = CompletionProvider().check({}, {"timeout": timeout}).failures
    assert failure.property == "timeout"
    assert failure.reason.startswith(f"{timeout!r} ")


@pytest.mark.parametrize("max_failed", [-1, "101%", "many", 1.5, True])
def test_a_completion_refuses_an_invalid_budget(max_failed: Any) -> None:
    (failure,) = CompletionProvider().check({}, {"timeout": 0, "max_failed": max_failed}).failures
    assert failure.property == "max_failed"
    assert failure.reason.startswith(f"{max_failed!r} ")


def test_a_completion_accepts_a_timeout_of_zero() -> None:
    assert CompletionProvider().check({}, {"timeout": 0, "max_failed": "5%"}).failures == []


OPEN = Unknown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped


@pytest.mark.parametrize("orchestrators", [OPEN, {ONE: OPEN}, [OPEN]])
def test_an_unknown_value_is_a_change(orchestrators: Any) -> None:
    news = {"orchestrators": orchestrators, "status": "Requested"}
    assert ReenrollmentProvider().diff("edge", to_state(Record("edge")), news).changes is None


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InputError, match="status: missing"):
        ReenrollmentProvider().create({"fleet": "edge", "orchestrators": {ONE: "Requested"}})


def test_members_unknown_in_a_preview_stay_unknown_and_the_rest_is_kept(shared: Command) -> None:
    with host(shared.environment()) as running_host:
        inputs, failures = running_host.check({"orchestrator_ids": UNKNOWN, "status": "Requested"})
        assert (inputs["orchestrators"], inputs["status"], failures) == (UNKNOWN, "Requested", [])
        inputs, failures = running_host.check({"orchestrator_ids": [ONE], "status": UNKNOWN})
        assert (inputs["orchestrators"], failures) == ({ONE: UNKNOWN}, [])


def test_members_restored_by_the_engine_are_accepted(shared: Command) -> None:
    with host(shared.environment()) as running_host:
        inputs, failures = running_host.check({"orchestrators": {ONE: "Required"}, "status": "Requested"})
    assert (inputs["orchestrators"], failures) == ({ONE: "Requested"}, [])


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (True, "true"), (30.0, "30"), (0.5, "0.5")])
def test_a_setting_is_a_string_whatever_type_the_engine_passes(value: Any, text: str) -> None:
    assert as_text(value) == text
