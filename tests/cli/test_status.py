"""`status` from recorded states: counts, waves, stragglers, and exit codes."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.states import DATA, HOSTILE, at, fleet, guid, pulumi_export, rollout, terraform_state

PENDING = {"phase": "pending", "requested_status": "Requested", "requested_at": at(days=1)}
DONE = {"phase": "re-enrolled", "requested_at": at(days=2), "reenrolled_at": at(days=1), "in_use": True}
UNUSED = {"phase": "re-enrolled", "requested_at": at(days=2), "reenrolled_at": at(days=1)}
UNREQUESTED = {"phase": "re-enrolled", "reenrolled_at": at(days=1), "in_use": True}
LATE = {**PENDING, "overdue": True}
REJECTED = {"phase": "rejected", "reason": "listed in FailedOrchestratorIds"}
CLEARED = {"phase": "cleared", "requested_status": "Requested", "requested_at": at(days=1)}
QUEUED = {"phase": "due"}


def members(*recorded: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {guid(number): member for number, member in enumerate(recorded)}


def status(cli: Cli, state: bytes, *options: str) -> Any:
    ran = cli("status", "-", "--json", *options, stdin=state)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["fleets"]


def counts(found: Any) -> dict[str, int]:
    return {name: number for name, number in found["counts"].items() if number}


@pytest.mark.parametrize("export", [pulumi_export, terraform_state])
def test_every_member_is_counted_by_its_record(cli: Cli, export: Any) -> None:
    state = fleet(members(PENDING, DONE, UNUSED, LATE, REJECTED, CLEARED, QUEUED, QUEUED))
    [edge] = status(cli, export(edge=state))
    assert counts(edge) == {
        "members": 8,
        "requested": 6,
        "pending": 2,
        "overdue": 1,
        "re_enrolled": 2,
        "in_use": 1,
        "queued": 2,
        "failed": 1,
        "drift": 1,
    }


@pytest.mark.parametrize("version", ["", "-v1"])
def test_the_same_history_gives_the_same_report_on_either_engine(cli: Cli, version: str) -> None:
    found = []
    for name in ("pulumi-export", "terraform-state"):
        ran = cli("status", DATA / f"{name}{version}.json", "--json")
        fleets = json.loads(ran.out)["fleets"]
        found.append([(one["counts"], one["wave"], sorted(map(_timeless, one["stragglers"]))) for one in fleets])
    assert found[0] == found[1]
    assert counts({"counts": found[0][0][0]}) == {
        "members": 5,
        "requested": 5,
        "pending": 2,
        "re_enrolled": 1,
        "failed": 1,
        "drift": 1,
    } | ({} if version else {"in_use": 1})
    assert [one[1] for one in found[0]] == [None, None] + ([] if version else ["wave 1 of 2"])


def _timeless(straggler: dict[str, Any]) -> str:
    return str({**straggler, "since": straggler["since"] is not None})


def test_values_that_version_1_does_not_record_are_not_guessed(cli: Cli) -> None:
    ran = cli("status", DATA / "pulumi-export-v1.json", "--json")
    report = json.loads(ran.out)
    assert {(one["counts"]["overdue"], one["counts"]["in_use"]) for one in report["fleets"]} == {(None, None)}
    assert any("edge, lab" in note for note in report["notes"])


def test_stragglers_have_started_and_are_not_done_and_the_worst_come_first(cli: Cli) -> None:
    [edge] = status(cli, pulumi_export(edge=fleet(members(PENDING, DONE, UNUSED, LATE, REJECTED, CLEARED, QUEUED))))
    assert [(one["id"], one["kind"]) for one in edge["stragglers"]] == [
        (guid(4), "failed"),
        (guid(3), "overdue"),
        (guid(5), "drift"),
        (guid(2), "waiting"),
        (guid(0), "waiting"),
    ]
    assert edge["stragglers"][1]["since"] == at(days=1)


@pytest.mark.parametrize(
    ("recorded", "options", "wave", "halted"),
    [
        ([PENDING, QUEUED, QUEUED], {"waves": ["1"]}, "wave 1 of 3", False),
        ([DONE, PENDING, QUEUED], {"waves": ["1"]}, "wave 2 of 3", False),
        ([DONE, DONE, DONE], {"waves": ["1"]}, "all waves finished", False),
        ([PENDING, QUEUED, QUEUED], {"canary_ids": [guid(0)]}, "canaries", False),
        ([DONE, QUEUED, QUEUED], {"canary_ids": [guid(0).upper()]}, "wave 1 of 1", False),
        ([REJECTED, QUEUED, QUEUED], {"canary_ids": [guid(0)], "max_failed": "5"}, "wave 1 of 1, halted", True),
        ([LATE, QUEUED], {"waves": ["1"]}, "wave 2 of 2, halted", True),
        ([LATE, DONE, QUEUED], {"waves": ["2"], "max_failed": "50%"}, "wave 2 of 2", False),
        ([LATE, DONE, QUEUED], {"waves": ["2"], "max_failed": "49%"}, "wave 2 of 2, halted", True),
        ([PENDING, QUEUED], {"waves": ["1"], "paused": True}, "wave 1 of 2, paused", False),
        ([PENDING, QUEUED], {}, None, False),
        # A member that re-enrolled without a request does not count.
        ([UNREQUESTED, QUEUED, QUEUED], {"waves": ["1"]}, "wave 1 of 3", False),
        ([UNREQUESTED, PENDING, QUEUED], {"canary_ids": [guid(0), guid(1)]}, "canaries", False),
        ([UNREQUESTED, QUEUED, QUEUED], {"canary_ids": [guid(0)]}, "wave 1 of 1", False),
        ([UNREQUESTED, DONE, DONE], {"waves": ["1"]}, "all waves finished", False),
    ],
)
def test_the_open_wave_follows_from_the_finished_members(
    cli: Cli, recorded: list[Any], options: dict[str, Any], wave: str | None, halted: bool
) -> None:
    [edge] = status(cli, pulumi_export(edge=fleet(members(*recorded), **options)))
    assert (edge["wave"], edge["halted"]) == (wave, halted)


@pytest.mark.parametrize(
    ("recorded", "fail_on", "code"),
    [
        ([DONE, PENDING, QUEUED], "failed,overdue", 0),
        ([REJECTED, LATE], "", 0),
        ([REJECTED, LATE], "failed", 3),
        ([REJECTED, LATE], "overdue", 4),
        ([REJECTED, LATE], "overdue,failed", 3),
        ([{"phase": "unreached"}], "failed", 3),
        ([{"phase": "missing"}], "failed", 3),
        ([{"phase": "leaving", "owned_flags": ["Requested"]}], "failed", 3),
        ([CLEARED], "failed,overdue", 0),
        ([CLEARED], "drift --refreshed", 5),
        ([{"phase": "changed"}], "drift --refreshed", 5),
        ([PENDING], "drift --refreshed", 0),
        ([LATE, CLEARED], "drift,overdue --refreshed", 4),
    ],
)
def test_a_pipeline_fails_for_the_reasons_that_it_names(cli: Cli, recorded: list[Any], fail_on: str, code: int) -> None:
    options = ["--fail-on", *fail_on.split()] if fail_on else []
    ran = cli("status", "-", *options, stdin=pulumi_export(edge=fleet(members(*recorded))))
    assert ran.code == code
    assert ("edge: " in ran.err) is (code != 0)


@pytest.mark.parametrize(
    "options",
    [
        ["--fail-on", "drift"],
        ["--fail-on", "failed,drift"],
        ["--fail-on", "late"],
        ["--fail-on", ""],
        ["--fail-on", "failed,"],
        ["--stack", "dev"],
        ["--nonsense"],
        ["another", "argument"],
    ],
)
def test_a_wrong_command_line_is_a_usage_error(cli: Cli, options: list[str]) -> None:
    assert cli("status", "-", *options, stdin=pulumi_export(edge=fleet(members(PENDING)))).code == 2


def test_secret_members_are_reported_and_fail_a_check(cli: Cli) -> None:
    [edge, lab, _] = json.loads(cli("status", DATA / "pulumi-secret.json", "--json").out)["fleets"]
    assert (edge["counts"], edge["stragglers"], lab["counts"]["members"]) == (None, [], 2)
    assert "members" in edge["unreadable"]
    ran = cli("status", DATA / "pulumi-secret.json", "--fail-on", "failed")
    assert ran.code == 1
    assert "edge" in ran.err
    assert "--show-secrets" in ran.err


def test_shown_secrets_are_a_warning(cli: Cli) -> None:
    ran = cli("status", DATA / "pulumi-shown.json")
    assert ran.code == 0
    assert any("secret" in line and "edge" in line and "lab" not in line for line in ran.err.splitlines())


@pytest.mark.parametrize(
    "broken",
    [
        {"version": 3},
        {"status": "Sometimes"},
        {"members": {guid(1): {"phase": "asleep", "status": "Requested"}}},
        {"members": {guid(1): {"phase": "due", "status": "Requested", "requested_at": 7}}},
        {"members": {"edge-001": {"phase": "due", "status": "Requested"}}},
        {"members": {guid(1): 7}},
        {"members": [guid(1)]},
        {"waves": ["some"]},
        {"max_failed": "many"},
        {"canary_ids": ["edge-001"]},
        {"overdue_after": "soon"},
    ],
)
def test_an_unreadable_state_is_an_error_that_names_the_fleet(cli: Cli, broken: dict[str, Any]) -> None:
    ran = cli("status", "-", stdin=pulumi_export(north=fleet(members(QUEUED)) | broken))
    assert ran.code == 1
    assert '"north"' in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("name", ["pulumi-preview", "terraform-plan"])
def test_the_error_for_a_plan_names_the_command_for_plans(cli: Cli, name: str) -> None:
    ran = cli("status", DATA / f"{name}.json")
    assert ran.code == 1
    assert "summary" in ran.err


def test_a_missing_file_is_an_error(cli: Cli, tmp_path: Path) -> None:
    ran = cli("status", tmp_path / "none.json")
    assert ran.code == 1
    assert "none.json" in ran.err


def test_a_state_without_fleets_says_so(cli: Cli) -> None:
    ran = cli("status", "-", stdin=b'{"version": 3, "deployment": {"resources": []}}')
    assert ran.code == 0
    assert "no fleet" in ran.err


def test_an_interrupted_run_is_a_warning(cli: Cli) -> None:
    export = json.loads(pulumi_export(edge=fleet(members(PENDING))))
    [edge] = export["deployment"]["resources"]
    export["deployment"]["pending_operations"] = [{"type": "updating", "resource": edge}]
    ran = cli("status", "-", stdin=json.dumps(export).encode())
    assert ran.code == 0
    assert "interrupted" in ran.err
    assert "edge" in ran.err


def test_no_name_can_forge_a_line_of_the_tables(cli: Cli) -> None:
    named = members(*({**PENDING, "machine": name} for name in HOSTILE))
    ran = cli("status", "-", stdin=pulumi_export(**{"x\n::error::y": fleet(named)}))
    assert ran.code == 0
    output = ran.out + ran.err
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert not [line for line in output.splitlines() if line.lstrip().startswith("::")]
    assert sum(guid(number) in ran.out for number in range(len(HOSTILE))) == len(HOSTILE)


def test_a_long_table_names_twenty_and_counts_the_rest(cli: Cli) -> None:
    ran = cli("status", "-", stdin=pulumi_export(edge=fleet(members(*[PENDING] * 53))))
    assert sum(guid(number) in ran.out for number in range(53)) == 20
    assert "33 more" in ran.out


def _script(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with scripts in place of the engines that record how they were called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool, name in (("pulumi", "pulumi-export"), ("terraform", "terraform-state")):
        _script(tools, tool, f'echo {tool} "$@" > "$PWD/called"; cat "{DATA / name}.json"')
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("files", "options", "called"),
    [
        (["Pulumi.yaml"], [], "pulumi stack export --non-interactive"),
        (["Pulumi.yaml"], ["--stack", "dev"], "pulumi stack export --non-interactive --stack dev"),
        (["main.tf"], [], "terraform show -json"),
        (["main.tf.json"], [], "terraform show -json"),
        (["Pulumi.yaml", "main.tf"], ["--stack", "dev"], "pulumi stack export --non-interactive --stack dev"),
    ],
)
def test_without_a_source_the_engine_of_the_folder_exports_the_state(
    cli: Cli, project: Path, files: list[str], options: list[str], called: str
) -> None:
    for file in files:
        (project / file).touch()
    ran = cli("status", "--json", *options)
    assert ran.code == 0
    assert (project / "called").read_text().strip() == called
    assert len(json.loads(ran.out)["fleets"]) == 3


@pytest.mark.parametrize(
    ("files", "options"), [([], []), (["Pulumi.yaml", "main.tf"], []), (["main.tf"], ["--stack", "dev"])]
)
def test_a_folder_without_a_clear_engine_is_an_error(
    cli: Cli, project: Path, files: list[str], options: list[str]
) -> None:
    for file in files:
        (project / file).touch()
    assert cli("status", *options).code == 1
    assert not (project / "called").exists()


def test_an_engine_that_fails_is_quoted(cli: Cli, project: Path, tmp_path: Path) -> None:
    (project / "Pulumi.yaml").touch()
    _script(tmp_path / "tools", "pulumi", "echo 'error: no stack selected' >&2; exit 255")
    ran = cli("status")
    assert ran.code == 1
    assert "no stack selected" in ran.err


def test_ten_thousand_members_are_reported(cli: Cli) -> None:
    [edge] = status(cli, pulumi_export(edge=rollout(10_000)))
    assert edge["counts"]["members"] == 10_000
    assert edge["counts"]["queued"] == 10_000 - 108
