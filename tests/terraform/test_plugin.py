"""The plugin over its protocol, without Terraform: what it is told, what it answers, what it asks of Command."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keyfactor_standins.command.process import Command, running
from tests.support.plugin import (
    COMPLETION,
    FLEET,
    MANY,
    NOT_NULL,
    ONE,
    UNKNOWN,
    Plugin,
    PluginError,
    Resource,
    plugin,
)

GHOST = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.fixture(scope="module")
def shared() -> Iterator[Command]:
    """A Command that no test of this module changes."""
    with running("--orchestrators", "6") as command:
        yield command


@pytest.fixture(scope="module")
def reader(shared: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """A plugin for tests that change nothing."""
    home = str(tmp_path_factory.mktemp("home"))
    with plugin({**shared.environment(), "HOME": home}, configured=False) as started:
        yield started


@pytest.fixture
def command() -> Iterator[Command]:
    with running("--orchestrators", "12") as command:
        yield command


@pytest.fixture
def started(command: Command) -> Iterator[Plugin]:
    with plugin(command.environment()) as started:
        yield started


# The provider block.


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"hostname": "http://keyfactor.example.com"}, "hostname", "plain http would send the credentials"),
        ({"hostname": "a b"}, "hostname", "The provider block, hostname is 'a b'. Expected a host"),
        ({"request_timeout": 0}, "request_timeout", "request_timeout is '0'. Expected a whole number"),
        ({"batch_size": 20_000}, "batch_size", "batch_size is '20000'"),
        ({"status_encoding": "number"}, "status_encoding", "status_encoding is 'number'"),
        ({"command_ca_certificate": "/nowhere/ca.pem"}, "command_ca_certificate", "/nowhere/ca.pem"),
        ({"profile": "lab"}, "profile", "There is no such file"),
        ({"config_file": "/nowhere.json"}, "config_file", "There is no such file"),
        ({"username": "a", "access_token": "b"}, "access_token", "username and the provider block, access_token"),
        ({"client_id": "a", "client_secret": "b", "token_url": "http://x"}, "token_url", "not the https URL"),
        ({"username": "a@b", "domain": "c"}, "username", "names the domain 'b'"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_path_of_its_attribute(
    reader: Plugin, config: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(PluginError) as caught:
        reader.configure(**config)
    assert [each.path for each in reader.said] == [path]
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "Set hostname or KEYFACTOR_HOSTNAME"),
        ({"hostname": "127.0.0.1"}, "or the same in the provider block"),
        ({"hostname": "127.0.0.1", "username": "me"}, "Set KEYFACTOR_PASSWORD, or password in the provider block."),
        ({"hostname": UNKNOWN}, "hostname is known only after apply"),
    ],
)
def test_what_is_still_missing_warns_and_lets_a_plan_go_on(config: dict[str, Any], says: str) -> None:
    with plugin({}, configured=False) as started:
        said = started.configure(**config)
        assert [each.severity for each in said] == ["warning"]
        assert says in str(said[0])
        assert "keyfactor:" not in str(said[0])
        desired = {"orchestrator_ids": [GHOST], "status": "Requested"}
        plan = started.plan(FLEET, None, desired)
        assert plan.said == []
        with pytest.raises(PluginError, match="Nothing was sent and nothing is recorded") as caught:
            started.apply(plan)
        assert caught.value.state is None  # type: ignore[attr-defined]


def test_a_proxy_that_can_not_be_used_is_refused_without_a_path(shared: Command) -> None:
    environment = {**shared.environment(), "KEYFACTOR_HOSTNAME": "command.example.com", "HTTPS_PROXY": "ftp://proxy"}
    with plugin(environment, configured=False) as started:
        with pytest.raises(PluginError, match="The proxy that the environment names can't be used"):
            started.configure()
        assert [each.path for each in started.said] == [""]


def test_a_state_stands_while_the_provider_block_is_not_known(command: Command, started: Plugin) -> None:
    fleet = Resource()
    fleet.up(started, orchestrator_ids=command.ids()[:2], status="Requested")
    with plugin({}, configured=False) as blind:
        blind.configure(hostname=UNKNOWN)
        before = fleet.state
        fleet.refresh(blind)
        assert fleet.state == before


def test_the_provider_block_comes_before_the_environment(shared: Command) -> None:
    environment = {**shared.environment(), "KEYFACTOR_HOSTNAME": "keyfactor.invalid", "KEYFACTOR_PASSWORD": "wrong"}
    with plugin(environment, configured=False) as started:
        started.configure(hostname=shared.url, username=shared.said["username"], password=shared.said["password"])
        assert len(started.data(MANY)["ids"]) == 6


def test_an_unverified_certificate_warns_in_every_run(reader: Plugin) -> None:
    (said,) = reader.configure(skip_tls_verify=True)
    assert said.severity == "warning"
    assert "is not verified (skip_tls_verify)" in said.summary
    assert "Set command_ca_certificate instead" in said.detail


def test_secrets_are_marked_and_everything_in_the_provider_block_is_optional(reader: Plugin) -> None:
    attributes = {each.name: each for each in reader.schema.provider.block.attributes}
    assert {name for name, each in attributes.items() if each.sensitive} == {
        "password",
        "client_secret",
        "access_token",
    }
    assert all(each.optional and each.description for each in attributes.values())


def test_destructions_are_planned_too(reader: Plugin) -> None:
    """Or a destruction would know of no claim that the plan has seen."""
    assert reader.schema.server_capabilities.plan_destroy


# Values.


@pytest.mark.parametrize(
    ("kind", "config", "path", "says"),
    [
        (FLEET, {"orchestrator_ids": ["edge-001"]}, "orchestrator_ids", "'edge-001' is not an orchestrator's GUID"),
        (FLEET, {"orchestrator_ids": []}, "orchestrator_ids", "the list [] is empty"),
        (FLEET, {"orchestrator_ids": [None]}, "orchestrator_ids", "None is not an orchestrator's GUID"),
        (FLEET, {"status": "Wanted"}, "status", "'Wanted' is not a re-enrollment status; expected Requested (1)"),
        (FLEET, {"status": "3"}, "status", "'3' is not"),
        (FLEET, {"on_removal": "keep"}, "on_removal", "'keep' is not one of 'unset' and 'retain'"),
        (FLEET, {"on_failure": "stop"}, "on_failure", "'stop' is not one of 'error' and 'warn'"),
        (COMPLETION, {"members": UNKNOWN, "timeout": 0}, "timeout", "0 is not a time to wait"),
        (COMPLETION, {"members": {}, "timeout": 700_000}, "timeout", "up to 7 days (604800)"),
        (MANY, {"platform": ["OS/2"]}, "platform", "Unknown platform 'OS/2'"),
        (MANY, {"status": ["Gone"]}, "status", "Unknown status 'Gone'"),
        (MANY, {"at_least": 3, "at_most": 2}, "at_least", "expected 0 <= at_least <= at_most"),
        (MANY, {"seen_within_hours": 0}, "seen_within_hours", "0 is not a time"),
    ],
)
def test_a_value_that_can_not_be_meant_is_refused_with_its_path_before_any_call(
    reader: Plugin, shared: Command, kind: str, config: dict[str, Any], path: str, says: str
) -> None:
    shared.forget()
    base = {"orchestrator_ids": [GHOST], "status": "Requested"} if kind == FLEET else {}
    (said,) = reader.validate(kind, **{**base, **config})
    assert (said.severity, said.path) == ("error", path)
    assert says.lower() in said.detail.lower()
    assert shared.journal() == []


@pytest.mark.parametrize("unknown", [UNKNOWN, NOT_NULL], ids=["plain", "refined"])
@pytest.mark.parametrize(
    "config",
    [
        lambda unknown: {"orchestrator_ids": unknown, "status": "Requested"},
        lambda unknown: {"orchestrator_ids": [GHOST, unknown], "status": "Requested"},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": unknown},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": 1, "triggers": {"ca": unknown}},
        lambda unknown: {"orchestrator_ids": [GHOST], "status": "None", "on_failure": unknown},
    ],
)
def test_what_is_known_only_after_apply_is_no_problem_of_a_plan(reader: Plugin, config: Any, unknown: Any) -> None:
    given = {name: str(value) if value == 1 else value for name, value in config(unknown).items()}
    assert reader.validate(FLEET, **given) == []
    reader.configure()
    plan = reader.plan(FLEET, None, given)
    assert plan.state is not None
    assert plan.state["members"] == UNKNOWN


def test_another_spelling_of_the_same_is_no_change(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested", triggers={})
    for spelling in (
        {"orchestrator_ids": [f"{{{each.upper()}}}" for each in ids], "status": "1"},
        {"orchestrator_ids": ids[::-1], "status": "requested"},
    ):
        assert not fleet.plan(started, **spelling, triggers={}).changes


# A resource over its life.


def test_members_that_are_refused_are_a_warning_on_creation_and_the_only_ones_that_the_next_apply_asks(
    command: Command, started: Plugin
) -> None:
    ids, fleet = command.ids()[:5], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    command.faults(refused=ids[:2])
    fleet.up(started, **desired)
    assert [each.severity for each in fleet.said] == ["warning"]
    assert "2 of 5 orchestrators failed" in fleet.heard()
    assert ids[0] in fleet.heard()
    assert "unless the resource has a postcondition" in fleet.heard()
    assert fleet.state is not None
    assert fleet.state["failed_orchestrator_ids"] == ids[:2]
    command.faults(refused=[])
    plan = fleet.up(started, **desired)
    assert [each.summary for each in plan.said] == ["2 orchestrators failed in the last run and will be asked again"]
    assert plan.state is not None
    assert plan.state["failed_orchestrator_ids"] == UNKNOWN
    assert plan.state["members"][ids[0]]["phase"] == UNKNOWN
    assert plan.state["members"][ids[2]] == plan.prior["members"][ids[2]]  # type: ignore[index]
    assert sorted(plan.state["pending_orchestrator_ids"]) == ids
    assert command.posts() == [(1, tuple(ids)), (1, tuple(ids[:2]))]
    assert not fleet.plan(started, **desired).changes


def test_members_that_fail_in_an_update_are_an_error_with_the_state_kept(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:4], Resource()
    fleet.up(started, orchestrator_ids=ids[:3], status="Requested")
    command.faults(refused=ids[3:])
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert [each.severity for each in fleet.said] == ["error"]
    assert "1 of 4 orchestrators failed" in fleet.heard()
    assert fleet.phases() == dict.fromkeys(ids[:3], "pending") | {ids[3]: "refused"}


@pytest.mark.parametrize("first", ["creation", "update"])
def test_on_failure_warn_makes_it_a_warning(command: Command, started: Plugin, first: str) -> None:
    ids, fleet = command.ids()[:3], Resource()
    if first == "update":
        fleet.up(started, orchestrator_ids=ids[:2], status="Requested", on_failure="warn")
    command.faults(refused=ids[1:])
    fleet.up(started, orchestrator_ids=ids, status="Requested", on_failure="warn")
    assert [each.severity for each in fleet.said] == ["warning"]
    assert "postcondition" not in fleet.heard()
    assert fleet.phases()[ids[2]] == "refused"


def test_a_member_that_moves_on_between_plan_and_apply_contradicts_no_plan(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:5], Resource()
    fleet.up(started, orchestrator_ids=ids[:4], status="Requested")
    plan = fleet.plan(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=[ids[0]], change={ids[1]: {"flag": 0}})
    with plugin(command.environment()) as another:
        again = another.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"})
        again.state, again.private = plan.state, plan.private
        fleet.state = another.apply(again)
    assert command.posts()[1:] == [(1, (ids[1], ids[4]))]
    with plugin(command.environment()) as later:
        fleet.refresh(later)
    assert fleet.phases() == {ids[0]: "re-enrolled"} | dict.fromkeys(ids[1:], "pending")


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("None", {"act": "reset"}),
        ("Requested", {"act": "status", "status": 400}),
        ("Requested", {"act": "status", "status": 403}),
    ],
)
def test_a_creation_that_has_sent_a_call_keeps_its_state_although_nobody_was_reached(
    command: Command, status: str, fault: dict[str, Any]
) -> None:
    ids, fleet = command.ids()[:2], Resource()
    command.world(change={each: {"flag": 2} for each in ids})
    command.faults(faults=[{"on": "POST /Agents/Set", **fault}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "1"}) as started:
        fleet.up(started, orchestrator_ids=ids, status=status)
    assert fleet.phases() == dict.fromkeys(ids, "unreached")


def test_a_creation_that_finds_one_as_wished_and_one_missing_keeps_its_state(command: Command, started: Plugin) -> None:
    one, fleet = command.ids()[0], Resource()
    command.world(change={one: {"flag": 1}})
    fleet.up(started, orchestrator_ids=[one, GHOST], status="Requested")
    assert fleet.phases() == {one: "pending", GHOST: "missing"}
    assert command.posts() == []


def test_a_creation_of_missing_orchestrators_alone_records_nothing(started: Plugin) -> None:
    fleet = Resource()
    fleet.up(started, orchestrator_ids=[GHOST], status="Requested")
    assert fleet.state is None
    assert "Nothing was sent" in fleet.heard()


@pytest.mark.parametrize("act", [{"act": "status", "status": 503}, {"act": "reset"}])
def test_with_command_down_a_creation_is_an_error_without_state(command: Command, act: dict[str, Any]) -> None:
    ids, fleet = command.ids()[:6], Resource()
    command.faults(faults=[{"on": "", **act}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "1"}) as started:
        fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert fleet.state is None
    assert "6 of 6 orchestrators failed" in fleet.heard()
    assert "Nothing was sent and nothing is recorded" in fleet.heard()
    assert command.posts() == []


def test_a_creation_whose_outcome_is_open_keeps_its_state(command: Command) -> None:
    ids, fleet = command.ids()[:3], Resource()
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "reset", "applied": True}])
    with plugin({**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "2"}) as started:
        fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert set(fleet.phases()) == set(ids)


def test_a_refresh_that_can_not_read_command_fails_and_an_update_records_who_was_not_reached(command: Command) -> None:
    ids, fleet = command.ids()[:3], Resource()
    with plugin(command.environment()) as started:
        fleet.up(started, orchestrator_ids=ids[:2], status="Requested")
    command.faults(denied=["/agents/management/read/"])
    with plugin(command.environment()) as started:
        before = fleet.state
        with pytest.raises(PluginError, match="403"):
            fleet.refresh(started)
        assert fleet.state == before
        plan = started.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"})
        with pytest.raises(PluginError, match="1 of 3 orchestrators failed") as caught:
            started.apply(plan)
        state = caught.value.state  # type: ignore[attr-defined]
    assert {each: member["phase"] for each, member in state["members"].items()} == {
        ids[0]: "pending",
        ids[1]: "pending",
        ids[2]: "unreached",
    }


def test_a_moved_flag_is_drift_that_names_the_orchestrator_and_a_reenrollment_is_none(
    command: Command, started: Plugin
) -> None:
    ids, fleet = command.ids()[:4], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    fleet.up(started, **desired)
    command.world(reenroll=ids[:2])
    with plugin(command.environment()) as later:
        assert not fleet.plan(later, **desired).changes
    command.world(change={ids[2]: {"flag": 0}, ids[3]: {"flag": 2}})
    with plugin(command.environment()) as later:
        plan = fleet.plan(later, **desired)
        (said,) = plan.said
        assert said.summary == "The flag of 2 orchestrators was moved by somebody else and will be set again"
        assert f"({ids[2]}): its flag was taken back" in said.detail
        assert f"({ids[3]}): its flag is Required" in said.detail
        assert fleet.state is not None
        assert fleet.state["members"][ids[2]]["phase"] == "cleared"
        fleet.state = later.apply(plan)
    assert command.posts()[1:] == [(1, tuple(ids[2:]))]


def test_a_warning_of_the_plan_is_not_repeated_by_the_apply(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:2], Resource()
    command.faults(refused=ids[:1])
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    with plugin(command.environment()) as applying:
        assert applying.plan(FLEET, fleet.state, {"orchestrator_ids": ids, "status": "Requested"}).said == []


@pytest.mark.parametrize(("on_removal", "posts"), [(None, 1), ("unset", 1), ("retain", 0)])
def test_a_destruction_takes_back_what_stands(
    command: Command, started: Plugin, on_removal: str | None, posts: int
) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested", on_removal=on_removal)
    command.world(reenroll=[ids[0]])
    command.forget()
    with plugin(command.environment()) as later:
        fleet.destroy(later)
    assert fleet.state is None
    assert command.posts() == [(0, tuple(ids[1:]))] * posts


def test_a_release_that_fails_keeps_the_state_and_names_the_orchestrator(command: Command, started: Plugin) -> None:
    ids, fleet = command.ids()[:3], Resource()
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.faults(refused=ids[:1])
    fleet.up(started, orchestrator_ids=ids[1:], status="Requested")
    assert "1 orchestrator that left could not be released" in fleet.heard()
    assert fleet.phases()[ids[0]] == "leaving"
    with pytest.raises(PluginError, match=f"could not be released.*{ids[0]}") as caught:
        fleet.destroy(started)
    assert caught.value.state == fleet.state  # type: ignore[attr-defined]
    command.faults(refused=[])
    fleet.up(started, orchestrator_ids=ids[1:], status="Requested")
    assert set(fleet.phases()) == set(ids[1:])
    assert command.flags()[ids[0]] == "None"


# Renaming, replacing, moving.


def test_a_replacement_cancels_no_request(command: Command, started: Plugin) -> None:
    ids, old = command.ids()[:3], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    old.up(started, **desired)
    command.forget()
    with plugin(command.environment()) as planning:
        old.refresh(planning)
        first = planning.plan(FLEET, old.state, desired)
        second = planning.plan(FLEET, None, desired, private=first.private)
    with plugin(command.environment()) as applying:
        gone = second.__class__(FLEET, old.state, None, second.private, [])
        assert applying.apply(gone) is None
        new = applying.apply(applying.plan(FLEET, None, desired))
    assert new is not None
    assert new["pending_orchestrator_ids"] == ids
    assert command.posts() == []


@pytest.mark.parametrize("first", ["the new one", "the old one"])
def test_a_rename_without_a_moved_block_leaves_every_request_standing(command: Command, first: str) -> None:
    ids, old, new = command.ids()[:3], Resource(), Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    with plugin(command.environment()) as started:
        old.up(started, **desired)
    with plugin(command.environment()) as applying:
        if first == "the new one":
            new.up(applying, **desired)
            command.forget()
            old.destroy(applying)
            assert command.posts() == []
        else:
            old.destroy(applying)
            new.up(applying, **desired)
    assert {command.flags()[each] for each in ids} == {"Requested"}
    assert set(new.phases().values()) == {"pending"}


def test_a_destruction_that_is_planned_after_the_claim_of_a_renamed_one_posts_nothing(
    command: Command, started: Plugin
) -> None:
    ids, old = command.ids()[:2], Resource()
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    old.up(started, **desired)
    command.forget()
    with plugin(command.environment()) as planning:
        planning.plan(FLEET, None, desired)
        gone = planning.plan(FLEET, old.state, None)
    with plugin(command.environment()) as applying:
        applying.apply(gone)
    assert command.posts() == []


def test_a_member_that_another_resource_has_already_keeps_its_flag(command: Command, started: Plugin) -> None:
    """As after an apply that failed halfway through a move."""
    ids, one, two = command.ids()[:3], Resource(), Resource()
    one.up(started, orchestrator_ids=ids[:2], status="Requested")
    with plugin(command.environment()) as moving:
        two.up(moving, orchestrator_ids=ids[1:], status="Requested")
    command.forget()
    with plugin(command.environment()) as planning:
        one.refresh(planning)
        two.refresh(planning)
        gives = planning.plan(FLEET, one.state, {"orchestrator_ids": ids[:1], "status": "Requested"})
        assert not planning.plan(FLEET, two.state, {"orchestrator_ids": ids[1:], "status": "Requested"}).changes
    with plugin(command.environment()) as applying:
        applying.apply(gives)
    assert command.posts() == []


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_a_member_moved_between_resources_ends_with_its_request_standing(
    command: Command, started: Plugin, order: tuple[str, str]
) -> None:
    ids, fleets = command.ids()[:4], {"one": Resource(), "two": Resource()}
    fleets["one"].up(started, orchestrator_ids=ids[:2], status="Requested")
    fleets["two"].up(started, orchestrator_ids=ids[2:], status="Requested")
    desired_of = {"one": ids[:1], "two": ids[1:]}
    with plugin(command.environment()) as later:
        for name in order:
            fleets[name].up(later, orchestrator_ids=desired_of[name], status="Requested")
    assert {command.flags()[each] for each in ids} == {"Requested"}
    assert fleets["two"].phases() == dict.fromkeys(ids[1:], "pending")


def test_one_orchestrator_in_two_resources_is_refused_by_the_plan(command: Command, started: Plugin) -> None:
    ids = command.ids()[:3]
    started.plan(FLEET, None, {"orchestrator_ids": ids[:2], "status": "Requested"})
    with pytest.raises(PluginError, match=f"{ids[1]} is in another {FLEET} of this configuration too"):
        started.plan(FLEET, None, {"orchestrator_ids": [ids[1].upper()], "status": "Requested"})
    assert started.said[0].path == "orchestrator_ids"


@pytest.mark.parametrize("destruction_first", [True, False])
def test_an_orchestrator_that_two_resources_let_go_is_taken_back_by_one_of_them(
    command: Command, started: Plugin, destruction_first: bool
) -> None:
    ids, one, two = command.ids()[:2], Resource(), Resource()
    one.up(started, orchestrator_ids=ids, status="Requested")
    with plugin(command.environment()) as moving:
        two.up(moving, orchestrator_ids=ids[1:], status="Requested")
    command.forget()
    with plugin(command.environment()) as planning:
        one.refresh(planning)
        two.refresh(planning)
        desired_of = [(two.state, None), (one.state, {"orchestrator_ids": ids[:1], "status": "Requested"})]
        plans = [planning.plan(FLEET, *each) for each in (desired_of if destruction_first else desired_of[::-1])]
    with plugin(command.environment()) as applying:
        for plan in plans:
            applying.apply(plan)
    assert command.posts() == [(0, (ids[1],))]


# Import.


@pytest.mark.parametrize(
    ("flags", "status", "phases"),
    [
        ((0, 0, 0), "None", ["settled", "settled", "settled"]),
        ((1, 1, 1), "Requested", ["pending", "pending", "pending"]),
        ((0, 1, 1), "Requested", ["due", "pending", "pending"]),
        ((0, 1, 2), "Required", ["due", "due", "pending"]),
    ],
)
def test_an_import_takes_orchestrators_over_as_they_stand(
    command: Command, started: Plugin, flags: tuple[int, ...], status: str, phases: list[str]
) -> None:
    ids, fleet = command.ids()[:3], Resource()
    command.world(change={each: {"flag": flag} for each, flag in zip(ids, flags, strict=True)})
    fleet.state = started.take(FLEET, f"{ids[0].upper()}, {{{ids[1]}}},{ids[2]}")
    assert fleet.state["status"] == status
    assert fleet.state["orchestrator_ids"] == ids
    assert [fleet.phases()[each] for each in ids] == phases
    assert command.posts() == []
    changes = fleet.plan(started, orchestrator_ids=ids, status=status).changes
    assert changes == ("due" in phases)


@pytest.mark.parametrize(
    ("import_id", "says"),
    [
        ("edge-001,x", "No orchestrator's GUID: 'edge-001', 'x'"),
        ("", "No orchestrator's GUID: ''"),
        (GHOST, f"Command has no such orchestrator: {GHOST}"),
    ],
)
def test_an_import_of_what_is_not_there_is_refused(reader: Plugin, import_id: str, says: str) -> None:
    reader.configure()
    with pytest.raises(PluginError) as caught:
        reader.take(FLEET, import_id)
    assert says in str(caught.value)


# The completion.


def test_a_completion_fails_at_its_time_and_is_created_when_all_have_reenrolled(
    command: Command, started: Plugin
) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    assert fleet.state is not None
    done.up(started, members=fleet.state["members"], timeout=1)
    before = done.state
    assert before is None
    assert "The re-enrollment is not complete after 1 s: 2 of 2 orchestrators still to come" in done.heard()
    command.world(reenroll=ids)
    done.up(started, members=fleet.state["members"], timeout=1)
    assert done.state is not None
    with plugin(command.environment()) as later:
        fleet.refresh(later)
        assert not done.plan(later, members=fleet.state["members"], timeout=1).changes
        assert done.plan(later, members=fleet.state["members"], timeout=2).changes


@pytest.mark.parametrize("timeout", [0, -1, 604_801])
def test_a_time_to_wait_that_is_none_is_refused(reader: Plugin, timeout: float) -> None:
    (said,) = reader.validate(COMPLETION, members=UNKNOWN, timeout=timeout)
    assert (said.severity, said.path) == ("error", "timeout")
    assert f"{timeout} is not a time to wait" in str(said)


def test_another_time_to_wait_is_taken_without_waiting_again(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:1], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=ids)
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    command.forget()
    done.up(started, members=(fleet.state or {})["members"], timeout=2)
    assert (done.state or {})["timeout"] == 2
    assert command.journal() == []


def test_a_completion_says_whom_it_counts_although_nothing_was_asked_of_them(command: Command, started: Plugin) -> None:
    fleet, done = Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=command.ids()[:1], status="None")
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    assert done.state is not None
    assert "Complete, with something to know" in done.heard()
    assert "is not asked for anything" in done.heard()


def test_a_completion_of_members_of_which_one_is_not_known_yet_is_planned(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:1], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    command.world(reenroll=ids)
    members = (fleet.state or {})["members"]
    done.up(started, members=members, timeout=1)
    for unknown in (UNKNOWN, {ids[0]: UNKNOWN}, {ids[0]: {**members[ids[0]], "baseline": UNKNOWN}}):
        assert done.plan(started, members=unknown, timeout=1).changes


def test_a_new_round_makes_its_completion_wait_anew(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    desired = {"orchestrator_ids": ids, "status": "Requested"}
    fleet.up(started, **desired)
    command.world(reenroll=ids)
    with plugin(command.environment()) as later:
        fleet.refresh(later)
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        plan = fleet.up(later, **desired, triggers={"round": "2"})
        assert plan.state is not None
        # Terraform plans it with what the plan of the other leaves open.
        assert done.plan(later, members=plan.state["members"], timeout=1).changes
        before = done.state
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        assert "still to come" in done.heard()
        assert done.state == before
        command.world(reenroll=ids)
        done.up(later, members=(fleet.state or {})["members"], timeout=1)
        assert done.state != before


def test_a_wait_ends_when_terraform_is_told_to_stop(command: Command, started: Plugin) -> None:
    ids, fleet, done = command.ids()[:2], Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=ids, status="Requested")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(done.up, started, members=(fleet.state or {})["members"], timeout=600)
        while not any("agents" in each["path"].lower() for each in command.journal()[4:]):
            time.sleep(0.01)
        started.stop()
        waiting.result(20)
    assert done.state is None
    assert "was interrupted" in done.heard()


def test_a_completion_is_destroyed_without_a_word_to_command(command: Command, started: Plugin) -> None:
    fleet, done = Resource(), Resource(COMPLETION)
    fleet.up(started, orchestrator_ids=command.ids()[:1], status="None")
    done.up(started, members=(fleet.state or {})["members"], timeout=1)
    command.forget()
    plan = started.plan(COMPLETION, done.state, None)
    assert started.apply(plan) is None
    assert command.journal() == []


def test_a_completion_can_not_be_imported(reader: Plugin) -> None:
    with pytest.raises(PluginError, match="can't be imported"):
        reader.take(COMPLETION, GHOST)


# Data sources.


def test_an_orchestrator_is_found_by_guid_in_any_spelling_and_by_machine(reader: Plugin, shared: Command) -> None:
    reader.configure()
    agent = shared.agents()[0]
    for identifier in (f"{{{agent['agent_id'].upper()}}}", agent["client_machine"].upper()):
        found = reader.data(ONE, agent_identifier=identifier)
        assert found["id"] == found["agent_id"] == agent["agent_id"]
        assert found["client_machine"] == agent["client_machine"]
        assert found["auth_certificate_reenrollment"] == "None"
        assert found["thumbprint"] == agent["thumbprint"]
        assert found["capabilities"] == agent["capabilities"]
        assert found["legacy_thumbprint"] is None
        assert found["last_error_message"] is None


@pytest.mark.parametrize("identifier", [GHOST, "nowhere.example"])
def test_an_orchestrator_that_is_not_there_is_an_error(reader: Plugin, identifier: str) -> None:
    reader.configure()
    with pytest.raises(PluginError, match="Command has none of that GUID or machine"):
        reader.data(ONE, agent_identifier=identifier)


def test_of_several_orchestrators_of_one_machine_none_is_guessed(command: Command, started: Plugin) -> None:
    ids = command.ids()[:2]
    command.world(change={each: {"client_machine": "twin"} for each in ids})
    with pytest.raises(PluginError, match="2 orchestrators have that name") as caught:
        started.data(ONE, agent_identifier="twin")
    assert all(each in str(caught.value) for each in ids)


@pytest.mark.parametrize(
    ("filters", "machines"),
    [
        ({}, 6),
        ({"machine": ["EDGE-*"]}, 3),
        ({"platform": ["Native"], "exclude": ["edge-001*"]}, 2),
        ({"capability": ["logs"]}, 3),
        ({"identity": ["*svc-core"]}, 3),
        ({"status": ["Approved"], "seen_within_hours": 1}, 6),
        ({"status": ["New"]}, 0),
        ({"at_least": 6, "at_most": 6}, 6),
    ],
)
def test_orchestrators_are_found_by_filters(
    reader: Plugin, shared: Command, filters: dict[str, Any], machines: int
) -> None:
    reader.configure()
    found = reader.data(MANY, **filters)
    assert len(found["ids"]) == machines
    assert [each["agent_id"] for each in found["orchestrators"]] == found["ids"] == sorted(found["ids"])
    assert set(found["ids"]) <= set(shared.ids())


def test_a_bound_that_is_broken_refuses_the_look_up(reader: Plugin) -> None:
    reader.configure()
    with pytest.raises(PluginError, match="6 found, at_least 7 expected"):
        reader.data(MANY, at_least=7)


def test_an_exclusion_that_matches_nothing_is_told(reader: Plugin) -> None:
    reader.configure()
    reader.data(MANY, exclude=["nobody*"])
    assert [each.severity for each in reader.said] == ["warning"]


def test_all_that_one_process_reads_costs_one_reading_of_the_list(command: Command, started: Plugin) -> None:
    ids = command.ids()
    command.forget()
    started.data(MANY)
    started.data(MANY, machine=["edge-*"])
    started.data(ONE, agent_identifier=ids[0])
    for members in (ids[:6], ids[6:]):
        started.plan(FLEET, None, {"orchestrator_ids": members, "status": "Requested"})
    assert [entry["path"] for entry in command.journal()] == ["/Agents", "/Agents"]


# The process.


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


def test_nothing_is_logged_where_no_log_is_asked_for(command: Command) -> None:
    with plugin(command.environment()) as started:
        Resource().up(started, orchestrator_ids=command.ids()[:2], status="Requested")
    assert started.log == []


def test_it_goes_when_terraform_says_so(shared: Command) -> None:
    with plugin(shared.environment()) as started:
        assert started.shut_down() == 0


@pytest.mark.parametrize("ending", [Plugin.stop, lambda started: started.process.terminate()], ids=["stop", "SIGTERM"])
def test_an_apply_under_way_ends_with_its_state_although_it_is_to_stop(
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


def test_started_by_hand_it_says_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="This is a plugin"), plugin({"TF_PLUGIN_MAGIC_COOKIE": ""}):
        pass


def test_a_defect_is_told_without_a_traceback_and_logged_with_one(shared: Command) -> None:
    with (
        plugin({**shared.environment(), "TF_LOG": "error"}) as started,
        pytest.raises(PluginError, match="The provider has a defect: ReadResource ended with ValueError"),
    ):
        started.read(FLEET, {"id": "x", "members": {}, "status": "Wanted", "orchestrator_ids": []})
    assert "ValueError" in json.loads(started.log[0])["traceback"]


def test_a_state_with_a_member_that_was_never_written_so_is_refused(shared: Command) -> None:
    with (
        plugin(shared.environment()) as started,
        pytest.raises(PluginError, match=r"members are not as this project writes them: .* field `status`"),
    ):
        started.read(FLEET, {"id": "x", "members": {GHOST: {}}, "status": "None", "orchestrator_ids": []})


def test_a_state_of_a_newer_release_is_refused(reader: Plugin) -> None:
    reader.schema.resource_schemas[FLEET].version += 1
    try:
        with pytest.raises(PluginError, match="State of a newer version"):
            reader.read(FLEET, {})
    finally:
        reader.schema.resource_schemas[FLEET].version -= 1


def test_ten_thousand_members_go_through_in_one_message() -> None:
    with running("--orchestrators", "10000") as command, plugin(command.environment()) as started:
        ids, fleet = command.ids(), Resource()
        fleet.up(started, orchestrator_ids=ids, status="Requested")
        assert len(fleet.phases()) == 10_000
        assert len(command.posts()) == 20
