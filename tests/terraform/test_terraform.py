"""Whole modules with the real Terraform and the real OpenTofu, if they are on the PATH."""

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.modules import BINARIES, FIRST_FOUND, Module
from tests.support.plugin import COMPLETION, FLEET, time_passes
from tests.support.processes import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture(params=BINARIES)
def either(request: pytest.FixtureRequest, command: Command, tmp_path: Path) -> Module:
    """A module for Terraform and one for OpenTofu."""
    return Module(request.param, tmp_path / "module", command)


@pytest.fixture
def module(command: Command, tmp_path: Path) -> Module:
    """A module for Terraform if it is installed, otherwise for OpenTofu, for behaviour that both share."""
    if FIRST_FOUND is None:
        pytest.skip("neither terraform nor tofu on the PATH: nothing was run with them")
    return Module(FIRST_FOUND, tmp_path / "module", command)


def fleet(name: str, ids: list[str], status: str = "Requested", **more: Any) -> dict[str, Any]:
    """A fleet as the module declares it."""
    return {"name": name, "orchestrator_ids": ids, "status": status, **more}


def changed_lines(text: str) -> list[str]:
    """The lines of a plan that show a change."""
    return [line.strip() for line in text.splitlines() if re.match(r"\s+[-+~] ", line)]


def test_rejected_members_fail_the_apply_without_taint_and_only_they_are_retried(
    either: Module, command: Command
) -> None:
    ids = command.ids()
    either.fleets(fleet("edge", ids[:6]), fleet("after", ids[6:8], after=["edge"]))
    command.faults(refused=ids[:2])
    ran = either.run("apply")
    assert ran.exit_code == 1
    assert ran.says("Warning: 2 of 6 orchestrators failed", f"with {FLEET}.edge", ids[0], "4 pending")
    assert ran.says("Error: Resource postcondition failed", "2 of 6 orchestrators failed")
    assert ran.posts == [(1, tuple(ids[:6]))]
    assert list(either.resources()) == ["edge"]
    assert either.tainted() == []
    ran = either.run("plan", "-detailed-exitcode")
    assert ran.exit_code == 2
    assert ran.says("Warning: 2 orchestrators", ids[0], ids[1], "will be updated in-place")
    assert ran.says('~ phase = "rejected" -> (known after apply)', "# (4 unchanged elements hidden)")
    ran = either.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    assert ran.says("Error: 2 of 6 orchestrators failed")
    assert "bug in the provider" not in ran.text
    command.faults(refused=[])
    ran = either.run("apply")
    assert (ran.exit_code, sorted(ran.posts)) == (0, [(1, tuple(ids[:2])), (1, tuple(ids[6:8]))])
    ran = either.run("plan", "-detailed-exitcode")
    assert ran.exit_code == 0
    ran = either.run("destroy")
    assert (ran.exit_code, sorted(ran.posts)) == (0, [(0, tuple(ids[:6])), (0, tuple(ids[6:8]))])


def test_without_a_postcondition_a_creation_with_failed_members_succeeds(module: Module, command: Command) -> None:
    ids = command.ids()[:2]
    module.fleets(fleet("edge", ids, on_failure="warn"))
    command.faults(refused=ids[:1])
    ran = module.run("apply")
    assert ran.exit_code == 0
    assert ran.says("Warning: 1 of 2 orchestrators failed")
    assert module.run("plan", "-detailed-exitcode").exit_code == 2


def test_drift_names_the_orchestrator_and_a_reenrollment_is_not_drift(module: Module, command: Command) -> None:
    ids = command.ids()[:4]
    module.fleets(fleet("edge", ids))
    module.run("apply")
    command.world(reenroll=ids[:1])
    assert module.run("plan", "-detailed-exitcode").exit_code == 0
    time_passes(command)
    command.world(change={ids[1]: {"flag": 0}})
    ran = module.run("plan", "-detailed-exitcode")
    assert ran.exit_code == 2
    assert ran.says("Warning: 1 flag cleared", f"({ids[1]})", '~ phase = "cleared" -> (known after apply)')
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[1],))])
    assert module.phases("edge") == {ids[0]: "re-enrolled"} | dict.fromkeys(ids[1:], "pending")
    time_passes(command)
    command.world(change={ids[2]: {"flag": 0}})
    ran = module.run("apply", "-refresh-only")
    assert ran.says(f'~ "{ids[2]}" = {{', '~ phase = "pending" -> "cleared"')
    assert ran.posts == []


def test_an_added_member_is_shown_as_one_change(module: Module, command: Command) -> None:
    ids = command.ids()[:5]
    module.fleets(fleet("edge", ids[1:]))
    module.run("apply")
    module.fleets(fleet("edge", [f"{{{member.upper()}}}" for member in ids[1:]]))
    assert module.run("plan", "-detailed-exitcode").exit_code == 0
    module.fleets(fleet("edge", ids))
    ran = module.run("plan", "-out", "saved")
    # The lists are known only after apply, so the plan shows them as a whole.
    records = [line for line in changed_lines(ran.text) if line.endswith("= {")]
    assert [line for line in records if any(member in line for member in ids)] == [f'+ "{ids[0]}" = {{']
    assert [line for line in changed_lines(ran.text) if ids[0] in line] == [f'+ "{ids[0]}" = {{', f'+ "{ids[0]}",']
    ran = module.run("apply", "saved")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[0],))])


def test_an_import_adopts_flags_that_are_set(module: Module, command: Command) -> None:
    ids = command.ids()[:3]
    command.world(change={member: {"flag": 1} for member in ids})
    module.fleets(fleet("edge", ids))
    ran = module.run("import", f"{FLEET}.edge", "edge-001,core")
    assert ran.exit_code == 1
    assert ran.says("Error: ", "'edge-001', 'core'")
    assert module.run("import", f"{FLEET}.edge", ",".join(ids)).exit_code == 0
    assert module.run("plan", "-detailed-exitcode").exit_code == 0
    ran = module.run("destroy")
    assert (ran.exit_code, ran.posts) == (0, [(0, tuple(ids))])


def test_an_import_block_with_nothing_to_request_makes_no_call(either: Module, command: Command) -> None:
    ids = command.ids()[:2]
    command.world(change={member: {"flag": 2} for member in ids})
    either.fleets(fleet("edge", ids, "Required"))
    block = {"to": f"{FLEET}.edge", "id": ",".join(ids)}
    either.write("import.tf.json", json.dumps({"import": block}))
    ran = either.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert ran.says("1 imported, 0 added, 0 changed, 0 destroyed")


def test_a_completion_holds_back_the_next_fleet(either: Module, command: Command) -> None:
    ids = command.ids()[:3]
    either.fleets(
        fleet("canary", ids[:2]),
        {"name": "done", "completes": "canary", "timeout": 1},
    )
    rest = f'resource "{FLEET}" "rest" {{\n  orchestrator_ids = ["{ids[2]}"]\n  status = 1\n  depends_on = [%s]\n}}\n'
    either.write("rest.tf", rest % "keyfactorcommand_reenrollment_completion.done")
    ran = either.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    assert ran.says("Error: Not complete after 1 s", "2 of 2 orchestrators not complete", ids[0])
    command.world(reenroll=ids[:2])
    ran = either.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[2],))])
    assert either.run("plan", "-detailed-exitcode").exit_code == 0
    either.fleets(
        fleet("canary", ids[:2], triggers={"round": "2"}),
        {"name": "done", "completes": "canary", "timeout": 1},
    )
    ran = either.run("apply")
    assert ran.exit_code == 1
    assert ran.says("of 2 orchestrators not complete")
    assert either.tainted() == []
    command.world(reenroll=ids[:2])
    assert either.run("apply").exit_code == 0


@pytest.mark.parametrize(
    ("block", "ids", "says"),
    [
        ('request_timeout = "60s"', ["x"], ("request_timeout", "a number is required")),
        ('hostname = "http://keyfactor.example.com"', [], ('hostname = "http://keyfactor', "over plain http")),
        ("", ["edge-001"], ("Error: Invalid value for orchestrator_ids", "'edge-001' is not an orchestrator's GUID")),
    ],
)
def test_an_invalid_configuration_fails_the_plan_at_its_line(
    module: Module, command: Command, block: str, ids: list[str], says: tuple[str, ...]
) -> None:
    module.write("provider.tf", f'provider "keyfactorcommand" {{\n  {block}\n}}\n')
    module.fleets(fleet("edge", ids or command.ids()[:1]))
    ran = module.run("plan")
    assert ran.exit_code == 1
    assert ran.says(*says)
    assert command.journal() == []


def test_with_command_down_nothing_is_recorded_and_an_existing_state_is_kept(module: Module, command: Command) -> None:
    ids = command.ids()[:3]
    module.environment["KEYFACTOR_CLIENT_TIMEOUT"] = "1"
    module.fleets(fleet("edge", ids))
    command.faults(faults=[{"on": "", "act": "status", "status": 503}])
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts, module.resources()) == (1, [], {})
    assert ran.says("Error: ", "503", "nothing is recorded")
    command.faults(faults=[])
    assert module.run("apply").exit_code == 0
    before = module.resources()
    command.faults(faults=[{"on": "", "act": "status", "status": 503}])
    ran = module.run("plan")
    assert ran.exit_code == 1
    assert ran.says(f"with {FLEET}.edge", "503")
    assert module.resources() == before


def test_renaming_replacing_and_moving_leave_every_flag_set(module: Module, command: Command) -> None:
    ids = command.ids()[:4]

    def all_set() -> bool:
        return {command.flags()[member] for member in ids} == {"Requested"}

    module.fleets(fleet("edge", ids[:3]), fleet("other", ids[3:]))
    module.run("apply")
    ran = module.run("apply", f"-replace={FLEET}.edge")
    assert ran.exit_code == 0
    assert all_set()
    module.write("moved.tf", f"moved {{\n  from = {FLEET}.edge\n  to = {FLEET}.rim\n}}\n")
    module.fleets(fleet("rim", ids[:3]), fleet("other", ids[3:]))
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [])
    module.write("moved.tf", "")
    assert module.run("state mv", f"{FLEET}.rim", f"{FLEET}.border").exit_code == 0
    module.fleets(fleet("border", ids[:3]), fleet("other", ids[3:]))
    assert module.run("plan", "-detailed-exitcode").exit_code == 0
    module.fleets(fleet("renamed", ids[:3]), fleet("other", ids[3:]))
    assert module.run("apply").exit_code == 0
    assert all_set()
    module.fleets(fleet("renamed", ids[:1]), fleet("other", ids[1:]))
    assert module.run("apply").exit_code == 0
    assert all_set()
    assert module.phases("other") == dict.fromkeys(ids[1:], "pending")


def test_one_orchestrator_in_two_resources_is_refused_by_the_plan(module: Module, command: Command) -> None:
    ids = command.ids()[:3]
    module.fleets(fleet("one", ids[:2]), fleet("two", ids[1:]))
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [])
    assert ran.says("Error: Invalid value for orchestrator_ids", ids[1])


def test_an_orchestrator_in_two_aliases_is_refused_and_one_that_moves_between_them_ends_requested(
    module: Module, command: Command
) -> None:
    ids = command.ids()[:3]

    def fleets(**members: list[str]) -> None:
        provider = [{"alias": name} for name in members]
        resources = {
            name: {"provider": f"keyfactorcommand.{name}", "orchestrator_ids": each, "status": "Requested"}
            for name, each in members.items()
        }
        text = json.dumps({"provider": {"keyfactorcommand": provider}, "resource": {FLEET: resources}})
        module.write("aliases.tf.json", text)

    fleets(one=ids[:2], two=ids[1:])
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [])
    assert ran.says("Error: Invalid value for orchestrator_ids", ids[1], "alias")
    fleets(one=ids[:1], two=ids[1:])
    assert module.run("apply").exit_code == 0
    fleets(one=ids[:2], two=ids[2:])
    # Depending on the order, the flag is either kept, or cleared before it is requested again.
    assert module.run("apply").exit_code == 0
    assert module.run("apply").exit_code == 0
    assert command.flags()[ids[1]] == "Requested"
    assert set(module.phases("one").values()) == {"pending"}


def test_members_and_settings_known_only_after_apply_are_used(either: Module, command: Command) -> None:
    ids = command.ids()[:2]
    either.write(
        "late.tf",
        f"""
        resource "terraform_data" "late" {{ input = {{ ids = {json.dumps(ids)}, timeout = 30 }} }}
        provider "keyfactorcommand" {{ request_timeout = terraform_data.late.output.timeout }}
        resource "{FLEET}" "edge" {{
          orchestrator_ids = toset([for id in terraform_data.late.output.ids : upper(id)])
          status           = "Requested"
        }}
        """,
    )
    ran = either.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids))])
    assert "bug in the provider" not in ran.text


def test_data_sources_feed_a_fleet(module: Module, command: Command) -> None:
    edge = [agent["agent_id"] for agent in command.agents() if agent["client_machine"].startswith("edge")]
    module.write(
        "look.tf",
        f"""
        data "keyfactorcommand_orchestrators" "edge" {{
          machine  = ["edge-*"]
          exclude  = ["edge-001*"]
          at_least = 3
        }}
        data "keyfactorcommand_orchestrator" "first" {{ agent_identifier = "edge-001.plant.example" }}
        resource "{FLEET}" "edge" {{
          orchestrator_ids = concat(data.keyfactorcommand_orchestrators.edge.ids,
                                    [data.keyfactorcommand_orchestrator.first.agent_id])
          status           = "Requested"
        }}
        """,
    )
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(sorted(edge)))])


def test_ctrl_c_during_an_apply_keeps_the_requests_recorded(module: Module, command: Command) -> None:
    ids = command.ids()[:3]
    module.fleets(fleet("edge", ids))
    command.faults(faults=[{"on": "POST /Agents/Set", "act": "delay", "seconds": 2}])
    with module.started("apply") as running_apply:
        while not command.posts():
            assert running_apply.poll() is None
            time.sleep(0.02)
        # As from a terminal, both Terraform and the plugin get the signal.
        os.killpg(running_apply.pid, signal.SIGINT)
        assert running_apply.wait(60) == 1
    assert module.tainted() == []
    assert module.phases("edge") == dict.fromkeys(ids, "pending")


def test_ctrl_c_ends_seventy_waiting_completions_at_once(module: Module, command: Command) -> None:
    module.fleets(fleet("edge", command.ids()[:2]))
    assert module.run("apply").exit_code == 0
    module.write(
        "waits.tf",
        f"""
        resource "{COMPLETION}" "done" {{
          count   = 70
          members = {FLEET}.edge.members
          timeout = 600
        }}
        """,
    )
    log = module.folder / "log"
    log.touch()
    module.environment |= {"TF_LOG_PROVIDER": "INFO", "TF_LOG_PATH": str(log)}
    with module.started("apply", "-parallelism=100") as running_apply, ThreadPoolExecutor(1) as pool:
        text = pool.submit(running_apply.communicate, timeout=90)
        wait_until(lambda: text.done() or log.read_text().count("waiting. 0 of 2") >= 70, 60)
        began = time.monotonic()
        os.killpg(running_apply.pid, signal.SIGINT)
        shown, _ = text.result()
        assert time.monotonic() - began < 15
    assert running_apply.returncode == 1
    assert shown.count("was interrupted") == 70, shown
    assert module.tainted() == []


def test_a_timeout_may_have_decimals(module: Module, command: Command) -> None:
    ids = command.ids()[:1]
    module.fleets(fleet("edge", ids), {"name": "done", "completes": "edge", "timeout": 1.1})
    ran = module.run("apply")
    assert ran.exit_code == 1
    assert ran.says("after 1.1 s")
    command.world(reenroll=ids)
    assert module.run("apply").exit_code == 0
    assert module.run("plan", "-detailed-exitcode").exit_code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('triggers = {{ ca = "1", "a b" = null }}', 'triggers["a b"] is null'),
        ('triggers = {{ "a b" = terraform_data.late.output.nothing }}', 'triggers["a b"] is null'),
        ('orchestrator_ids = ["{id}", null]', "orchestrator_ids has a null element"),
    ],
    ids=["written", "known after apply", "in a set"],
)
def test_a_null_element_is_refused_with_its_key(module: Module, command: Command, text: str, says: str) -> None:
    arguments = {"orchestrator_ids": f'["{command.ids()[0]}"]', "status": '"Requested"'}
    name, _, value = text.format(id=command.ids()[0]).partition(" = ")
    block = "\n".join(f"  {key} = {item}" for key, item in {**arguments, name: value}.items())
    module.write(
        "late.tf",
        f"""
        resource "terraform_data" "late" {{ input = {{ nothing = null, something = timestamp() }} }}
        resource "{FLEET}" "edge" {{
        {block}
        }}
        """,
    )
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (1, [])
    assert ran.says(says)
    assert "defect" not in ran.text


def test_no_secret_is_in_the_state_the_plan_or_the_log(module: Module, command: Command) -> None:
    secret = command.said["password"]
    module.environment.pop("KEYFACTOR_PASSWORD")
    module.write("provider.tf", f'provider "keyfactorcommand" {{\n  password = "{secret}"\n}}\n')
    module.fleets(fleet("edge", command.ids()[:2]))
    log = module.folder / "log"
    module.environment |= {"TF_LOG_PROVIDER": "TRACE", "TF_LOG_PATH": str(log)}
    ran = module.run("apply")
    assert ran.exit_code == 0
    assert "/KeyfactorAPI/Agents" in log.read_text()
    for text in (ran.text, log.read_text(), (module.folder / "terraform.tfstate").read_text()):
        assert secret not in text
