"""Fleets through the plugin's protocol: their requests, their state, and their messages."""

from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.pluginhost import UNKNOWN, InitFailed, Plugin, PluginError, Resource, is_secret, plugin, secret
from tests.support.servers import closed_port

LATER = "2035-01-01T00:00:00Z"
"""Long enough after a request that Command shows its effect."""


def test_a_preview_names_the_members_to_request_and_requests_none(host: Plugin, command: Command) -> None:
    fleet = Resource()
    assert fleet.preview(host, orchestratorIds=command.ids(), status="Requested").changes
    assert all(member_id in host.told("info") for member_id in command.ids())
    assert {told.urn for told in host.engine.told} == {fleet.urn}
    assert (command.posts(), fleet.outputs) == ([], None)
    assert fleet.previewed["members"] == fleet.previewed["failure"] == UNKNOWN


def test_members_are_requested_once(host: Plugin, command: Command) -> None:
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested")
    assert command.posts() == [(1, tuple(command.ids()))]
    assert fleet.outputs is not None
    assert fleet.outputs["pendingOrchestratorIds"] == command.ids()
    assert not fleet.up(host, orchestratorIds=command.ids(), status="Requested").changes
    assert len(command.posts()) == 1


@pytest.mark.parametrize("status", [1, 1.0, "1", "requested", "REQUESTED"])
def test_another_spelling_of_the_same_value_is_no_change(host: Plugin, command: Command, status: Any) -> None:
    ids = command.ids()
    fleet = Resource()
    fleet.up(host, orchestratorIds=ids, status="Requested", waves=["6"], overdueAfter="2d", maxFailed="0")
    again = [f"{{{member_id.upper()}}}" for member_id in reversed(ids)] + ids[:1]
    change = fleet.preview(
        host, orchestratorIds=again, status=status, waves=[6.0], overdueAfter=172800.0, maxFailed=0.0, triggers={}
    )
    assert not change.changes


def test_an_added_member_is_one_line(host: Plugin, command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    fleet.up(host, orchestratorIds=ids[:4], status="Requested")
    change = fleet.preview(host, orchestratorIds=ids[:5], status="Requested")
    assert change.paths == {f'orchestrators["{ids[4]}"]': ("ADD", True)}


def test_a_removed_member_is_one_line_and_its_flag_is_cleared(host: Plugin, command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    fleet.up(host, orchestratorIds=ids[:3], status="Requested")
    change = fleet.up(host, orchestratorIds=ids[1:3], status="Requested")
    assert change.paths == {f'orchestrators["{ids[0]}"]': ("DELETE", True)}
    assert command.flags()[ids[0]] == "None"


def test_drift_of_a_member_is_one_line(host: Plugin, command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    fleet.up(host, orchestratorIds=ids, status="Requested")
    command.world(now=LATER, change={ids[0]: {"flag": 0}, ids[1]: {"flag": 2}})
    change = fleet.preview(host, orchestratorIds=ids, status="Requested")
    assert change.paths == {f'orchestrators["{one}"]': ("UPDATE", True) for one in ids[:2]}
    fleet.refresh(host)
    assert fleet.inputs is not None
    assert [fleet.inputs["orchestrators"][one] for one in ids[:3]] == ["None", "Required", "Requested"]
    fleet.up(host, orchestratorIds=ids, status="Requested")
    assert set(command.flags().values()) == {"Requested"}


@pytest.mark.parametrize(
    ("argument", "value", "paths"),
    [
        ("status", "Required", {"status": ("UPDATE", True)}),
        ("triggers", {"ca": "2028"}, {'triggers["ca"]': ("UPDATE", True)}),
        ("triggers", {"ca": "2027", "more": "x"}, {'triggers["more"]': ("ADD", True)}),
        ("triggers", None, {'triggers["ca"]': ("DELETE", True)}),
        ("onRemoval", "retain", {"onRemoval": ("UPDATE", True)}),
        ("onFailure", "warn", {"onFailure": ("UPDATE", True)}),
        ("waves", ["6"], {"waves": ("ADD", True)}),
        ("maxFailed", "10%", {"maxFailed": ("ADD", True)}),
        ("overdueAfter", "48h", {"overdueAfter": ("ADD", True)}),
        ("paused", True, {"paused": ("ADD", True)}),
    ],
)
def test_a_changed_argument_is_one_line(host: Plugin, command: Command, argument: str, value: Any, paths: Any) -> None:
    fleet = Resource()
    given: dict[str, Any] = {"orchestratorIds": command.ids(), "status": "Requested", "triggers": {"ca": "2027"}}
    fleet.up(host, **given)
    assert fleet.preview(host, **given | {argument: value}).paths == paths


class TestFailures:
    """Rejected members fail a run; its progress is kept, and only they are retried."""

    @pytest.fixture
    def fleet(self, host: Plugin, command: Command) -> Resource:
        fleet = Resource()
        command.faults(refused=command.ids()[:2])
        with pytest.raises(InitFailed) as failed:
            fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        assert all(member_id in str(failed.value) for member_id in command.ids()[:2])
        assert not any(member_id in str(failed.value) for member_id in command.ids()[2:])
        return fleet

    def test_the_state_is_kept_and_read_first_next_time(self, fleet: Resource, command: Command) -> None:
        assert fleet.reads_first
        assert fleet.outputs is not None
        assert fleet.outputs["failedOrchestratorIds"] == command.ids()[:2]
        assert fleet.outputs["pendingOrchestratorIds"] == command.ids()[2:]
        assert fleet.outputs["failure"].startswith("2 of 6")

    def test_the_next_preview_shows_the_members_to_retry(self, fleet: Resource, host: Plugin, command: Command) -> None:
        change = fleet.preview(host, orchestratorIds=command.ids(), status="Requested")
        assert change.paths == {f"failedOrchestratorIds[{place}]": ("DELETE", False) for place in (0, 1)}

    def test_the_next_run_requests_only_these(self, fleet: Resource, host: Plugin, command: Command) -> None:
        command.forget()
        command.faults(refused=[])
        fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        assert command.posts() == [(1, tuple(command.ids()[:2]))]
        assert fleet.outputs is not None
        assert fleet.outputs["failure"] == ""

    def test_an_update_that_fails_keeps_what_it_achieved(self, fleet: Resource, host: Plugin, command: Command) -> None:
        command.faults(refused=command.ids()[:1])
        with pytest.raises(InitFailed):
            fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        assert fleet.reads_first
        assert fleet.outputs is not None
        assert fleet.outputs["failedOrchestratorIds"] == command.ids()[:1]


def test_tolerated_failures_are_a_warning(host: Plugin, command: Command) -> None:
    command.faults(refused=command.ids()[:1])
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested", onFailure="warn")
    assert command.ids()[0] in host.told("warning")
    assert fleet.outputs is not None
    assert fleet.outputs["failedOrchestratorIds"] == command.ids()[:1]


def test_a_roll_out_starts_its_canary_then_its_waves(host: Plugin, command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    given: dict[str, Any] = {
        "orchestratorIds": ids,
        "status": "Requested",
        "canaryIds": ids[5:],
        "waves": ["2", "100%"],
    }
    fleet.up(host, **given)
    assert fleet.outputs is not None
    assert (fleet.outputs["pendingOrchestratorIds"], fleet.outputs["queuedOrchestratorIds"]) == (ids[5:], ids[:5])
    assert not fleet.up(host, **given).changes
    command.world(reenroll=ids[5:])
    # A separate run, because one process relies on an observation for up to a minute.
    with plugin(command.environment()) as later:
        change = fleet.up(later, **given)
    assert change.paths == {f"queuedOrchestratorIds[{place}]": ("DELETE", False) for place in (0, 1)}
    assert [posted for _, posted in command.posts()] == [tuple(ids[5:]), tuple(ids[:2])]


def test_an_engine_that_never_reads_first_updates_during_a_roll_out(command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    given: dict[str, Any] = {"orchestratorIds": ids, "status": "Requested", "waves": ["2"]}
    with plugin(command.environment(), reads_first=False) as host:
        fleet.up(host, **given)
        fleet.reads_first = False
        assert fleet.preview(host, **given).changes


def test_a_destroy_clears_the_owned_flags(host: Plugin, command: Command) -> None:
    fleet, ids = Resource(), command.ids()
    command.world(change={ids[5]: {"flag": 2}})
    fleet.up(host, orchestratorIds=ids[:3], status="Requested")
    with plugin(command.environment()) as later:
        fleet.destroy(later)
    assert command.flags() == {**dict.fromkeys(ids, "None"), ids[5]: "Required"}


def test_a_destroy_with_retain_clears_nothing(host: Plugin, command: Command) -> None:
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested", onRemoval="retain")
    fleet.destroy(host)
    assert set(command.flags().values()) == {"Requested"}


def test_a_renamed_fleet_keeps_the_requests(host: Plugin, command: Command) -> None:
    old = Resource()
    old.up(host, orchestratorIds=command.ids(), status="Requested")
    with plugin(command.environment()) as second:
        new = Resource(name="core")
        new.up(second, orchestratorIds=command.ids(), status="Requested")
        old.destroy(second)
    assert set(command.flags().values()) == {"Requested"}


class TestArguments:
    """Invalid arguments are refused by the program's name for them before anything is changed."""

    @pytest.mark.parametrize(
        ("given", "wrong"),
        [
            ({"orchestratorIds": ["nobody"]}, "orchestratorIds[0]"),
            ({"orchestratorIds": []}, "orchestratorIds"),
            ({"status": "Maybe"}, "status"),
            ({"status": None}, "status"),
            ({"onRemoval": "never"}, "onRemoval"),
            ({"onFailure": "never"}, "onFailure"),
            ({"triggers": {"a": ["b"]}}, "triggers.a"),
            ({"waves": ["0"]}, "waves[0]"),
            ({"canaryIds": ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]}, "canaryIds"),
            ({"maxFailed": "-1"}, "maxFailed"),
            ({"overdueAfter": "soon"}, "overdueAfter"),
            ({"paused": "perhaps"}, "paused"),
            ({"orchestratorsIds": ["x"]}, "orchestratorsIds"),
        ],
    )
    def test_a_wrong_value_is_named_by_its_argument(
        self, reader: Plugin, shared: Command, given: dict[str, Any], wrong: str
    ) -> None:
        with pytest.raises(PluginError) as refused:
            Resource(name=wrong).check(reader, **{"orchestratorIds": shared.ids(), "status": "Requested", **given})
        assert str(refused.value).startswith(f"{wrong}: ")

    def test_an_orchestrator_in_two_fleets_is_refused_with_both_names(self, host: Plugin, command: Command) -> None:
        Resource(name="edge").check(host, orchestratorIds=command.ids()[:3], status="Requested")
        with pytest.raises(PluginError, match=rf"{command.ids()[2]} also in edge"):
            Resource(name="core").check(host, orchestratorIds=command.ids()[2:], status="Requested")

    def test_two_fleets_of_the_same_name_are_refused(self, host: Plugin, command: Command) -> None:
        Resource(name="edge").check(host, orchestratorIds=command.ids()[:3], status="Requested")
        with pytest.raises(PluginError, match='another fleet is called "edge"'):
            Resource(name="edge", parent="my:index:Component$").check(
                host, orchestratorIds=command.ids()[3:], status="Requested"
            )


class TestUnknown:
    """Values that are known only during a run are never guessed."""

    def test_a_preview_says_what_is_not_known(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        assert fleet.preview(host, orchestratorIds=[command.ids()[0], UNKNOWN], status="Requested").changes
        assert "orchestrator_ids" in host.told("info")
        assert fleet.previewed["members"] == UNKNOWN

    def test_a_fleet_with_a_record_says_how_many_flags_may_be_cleared(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        change = fleet.preview(host, orchestratorIds=UNKNOWN, status="Requested")
        assert change.paths == {"orchestratorIds": ("UPDATE", True), "orchestrators": ("UPDATE", True)}
        assert "may clear up to 6" in host.told("info")

    def test_an_unknown_status_leaves_the_members_known(self, host: Plugin, command: Command) -> None:
        inputs = Resource().check(host, orchestratorIds=command.ids(), status=UNKNOWN)
        assert inputs["orchestrators"] == dict.fromkeys(command.ids(), UNKNOWN)


class TestSecrets:
    """A secret argument stays secret wherever its value is stored."""

    def test_secret_triggers_are_secret_in_inputs_and_outputs(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        fleet.up(host, orchestratorIds=command.ids(), status="Requested", triggers=secret({"ca": "2027"}))
        for properties in (fleet.inputs, fleet.outputs):
            assert properties is not None
            assert {name for name, value in properties.items() if is_secret(value)} == {"triggers"}

    def test_secret_members_are_secret_in_all_that_names_them(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        ids = [secret(command.ids()[0]), *command.ids()[1:]]
        fleet.up(host, orchestratorIds=ids, status="Requested")
        fleet.refresh(host)
        for properties in (fleet.inputs, fleet.outputs):
            plain = {name: value for name, value in (properties or {}).items() if not is_secret(value)}
            assert command.ids()[0] not in str(plain)
        assert not fleet.up(host, orchestratorIds=ids, status="Requested").changes


class TestSettings:
    """Settings come from the engine; for a read, it passes those of the last `up`."""

    def test_without_settings_a_preview_warns_once_and_an_up_fails(self, command: Command) -> None:
        with plugin({}) as host:
            for name in ("edge", "core"):
                half = command.ids()[:3] if name == "edge" else command.ids()[3:]
                Resource(name=name).preview(host, orchestratorIds=half, status="Requested")
            assert host.told("warning").count("KEYFACTOR_HOSTNAME") == 1
            fleet = Resource(name="edge")
            with pytest.raises(PluginError, match="KEYFACTOR_HOSTNAME") as failed:
                fleet.up(host, orchestratorIds=command.ids()[:3], status="Requested")
            assert failed.value.code == "FAILED_PRECONDITION"
            assert fleet.outputs is None

    def test_a_pull_request_without_secrets_sees_what_was_recorded(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        before = (fleet.inputs, fleet.outputs)
        with plugin({}) as without:
            assert not fleet.preview(without, orchestratorIds=command.ids(), status="Requested").changes
            fleet.refresh(without)
            assert "KEYFACTOR_HOSTNAME" in without.told("warning")
        assert (fleet.inputs, fleet.outputs) == before
        assert fleet.reads_first

    @pytest.mark.parametrize("trouble", ["a rotated secret", "an outage"])
    def test_a_failed_read_names_the_way_out(self, host: Plugin, command: Command, trouble: str) -> None:
        fleet = Resource()
        fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        before = (fleet.inputs, fleet.outputs)
        wrong = (
            {"KEYFACTOR_PASSWORD": "another"}
            if trouble == "a rotated secret"
            else {"KEYFACTOR_HOSTNAME": f"http://127.0.0.1:{closed_port()}", "KEYFACTOR_CLIENT_TIMEOUT": "1"}
        )
        with plugin({**command.environment(), **wrong}) as other, pytest.raises(PluginError, match="--run-program"):
            fleet.refresh(other)
        assert (fleet.inputs, fleet.outputs) == before

    def test_settings_of_the_engine_count_before_the_environment(self, command: Command) -> None:
        settings = {"hostname": command.url, "password": secret(command.said["password"])}
        environment = {**command.environment(), "KEYFACTOR_HOSTNAME": "nowhere.invalid", "KEYFACTOR_PASSWORD": "no"}
        environment["KEYFACTOR_USERNAME"] = command.said["username"]
        with plugin(environment, {**settings, "username": command.said["username"], "domain": "PLANT"}) as host:
            Resource().up(host, orchestratorIds=command.ids(), status="Requested")
        assert len(command.posts()) == 1

    @pytest.mark.parametrize("key", ["password", "clientSecret", "accessToken"])
    def test_a_secret_in_plain_text_is_refused(self, shared: Command, key: str) -> None:
        with plugin(shared.environment(), {key: "hunter2-plain"}) as host:
            with pytest.raises(PluginError, match=rf"keyfactor:{key}") as refused:
                Resource().check(host, orchestratorIds=shared.ids(), status="Requested")
            assert "hunter2-plain" not in f"{refused.value}{host.told()}"

    def test_a_wrong_setting_is_refused_with_its_name(self, shared: Command) -> None:
        with (
            plugin(shared.environment(), {"timeout": "soon"}) as host,
            pytest.raises(PluginError, match="keyfactor:timeout"),
        ):
            Resource().check(host, orchestratorIds=shared.ids(), status="Requested")


def test_custom_timeouts_end_requests(command: Command, host: Plugin) -> None:
    command.faults(faults=[{"on": "POST /Agents/SetAuthCertificateReenrollment", "act": "status", "status": 503}])
    fleet = Resource()
    with pytest.raises(InitFailed):
        fleet.up(host, within=2, orchestratorIds=command.ids(), status="Requested")
    assert set(fleet.phases().values()) == {"unreached"}


class TestImport:
    """An import adopts orchestrators as they are, by their GUIDs."""

    def test_an_imported_flag_becomes_the_desired_status(self, host: Plugin, command: Command) -> None:
        ids = command.ids()[:2]
        command.world(change={one: {"flag": 2} for one in ids})
        fleet = Resource()
        fleet.take(host, ",".join(f" {{{one.upper()}}}" for one in ids))
        assert fleet.inputs is not None
        assert (fleet.inputs["orchestratorIds"], fleet.inputs["status"]) == (ids, "Required")
        assert not fleet.preview(host, orchestratorIds=ids, status="Required").changes
        assert command.posts() == []

    @pytest.mark.parametrize("import_id", ["edge", "", "3f2504e0-4f89-11d3-9a0c-0305e82c3301,edge"])
    def test_an_id_that_is_not_a_list_of_guids_is_refused(self, reader: Plugin, import_id: str) -> None:
        with pytest.raises(PluginError, match="expected GUIDs"):
            Resource().take(reader, import_id)

    def test_an_unknown_orchestrator_is_not_imported(self, reader: Plugin, shared: Command) -> None:
        ghost = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
        with pytest.raises(PluginError, match=ghost):
            Resource().take(reader, f"{shared.ids()[0]},{ghost}")


def test_a_fleet_remains_when_its_agents_are_gone(host: Plugin, command: Command) -> None:
    fleet = Resource()
    fleet.up(host, orchestratorIds=command.ids(), status="Requested")
    command.world(remove=command.ids()[:])
    fleet.refresh(host)
    assert fleet.id == "edge"
    assert set(fleet.phases().values()) == {"missing"}


class TestTrouble:
    """An operation that can't be carried out leaves a record from which the next run continues."""

    def test_a_creation_that_could_not_read_keeps_all_members_queued(self, command: Command) -> None:
        fleet = Resource()
        away = {**command.environment(), "KEYFACTOR_CLIENT_TIMEOUT": "1"}
        command.faults(faults=[{"on": "GET /Agents", "act": "status", "status": 503}])
        with plugin(away) as host, pytest.raises(InitFailed):
            fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        assert fleet.outputs is not None
        assert fleet.outputs["queuedOrchestratorIds"] == command.ids()
        assert command.posts() == []
        command.faults(faults=[])
        with plugin(command.environment()) as host:
            assert fleet.up(host, orchestratorIds=command.ids(), status="Requested").changes
        assert command.posts() == [(1, tuple(command.ids()))]

    def test_a_destroy_fails_and_names_a_flag_that_cannot_be_cleared(self, host: Plugin, command: Command) -> None:
        fleet = Resource()
        fleet.up(host, orchestratorIds=command.ids(), status="Requested")
        command.faults(refused=command.ids()[:1])
        with plugin(command.environment()) as later, pytest.raises(PluginError, match=command.ids()[0]) as failed:
            fleet.destroy(later)
        assert not isinstance(failed.value, InitFailed)
        assert command.ids()[1] not in str(failed.value)
        assert fleet.outputs is not None

    def test_a_removed_member_whose_flag_cannot_be_cleared_is_retried(self, host: Plugin, command: Command) -> None:
        fleet, ids = Resource(), command.ids()
        fleet.up(host, orchestratorIds=ids, status="Requested")
        command.faults(refused=ids[:1])
        with pytest.raises(InitFailed, match=ids[0]):
            fleet.up(host, orchestratorIds=ids[1:], status="Requested")
        command.faults(refused=[])
        change = fleet.up(host, orchestratorIds=ids[1:], status="Requested")
        assert change.paths[f'members["{ids[0]}"]'] == ("DELETE", False)
        assert command.flags()[ids[0]] == "None"

    @pytest.mark.parametrize("version", [3, 99])
    def test_state_of_a_newer_release_is_refused(self, reader: Plugin, shared: Command, version: int) -> None:
        outputs = {"recordVersion": version, "fleet": "edge", "status": "Requested", "members": {}}
        fleet = Resource(id="edge", inputs={}, outputs=outputs)
        with pytest.raises(PluginError, match=str(version)):
            fleet.preview(reader, orchestratorIds=shared.ids(), status="Requested")
