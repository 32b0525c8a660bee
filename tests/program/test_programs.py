"""The programs that people start from: the stack at the root, and the examples."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyfactor_standins.command.process import Command
from tests.support.commands import fresh
from tests.support.stacks import ROOT, Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

Program = Callable[[Path], Stack]


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(12) as command:
        yield command


@pytest.fixture
def program(command: Command, tmp_path: Path) -> Program:
    """A copy of a program of this repository as a stack."""

    def made(source: Path) -> Stack:
        stack = Stack("standin", tmp_path, command)
        shutil.copy(source / "__main__.py", tmp_path)
        lines = (source / "Pulumi.yaml").read_text().splitlines()
        kept = [line for line in lines if not line.strip().startswith(("options:", "virtualenv:", "toolchain:"))]
        (tmp_path / "Pulumi.yaml").write_text("\n".join(kept))
        return stack

    return made


def named(command: Command, machine: str) -> list[str]:
    return [agent["agent_id"] for agent in command.agents() if agent["client_machine"].startswith(machine)]


def test_the_example_with_a_list_asks_its_members(program: Program, command: Command) -> None:
    stack, ids = program(ROOT / "examples" / "list"), command.ids()[:3]
    stack.config(f"reenroll-list:orchestrators: {json.dumps(ids)}")
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids))])


def test_the_example_with_a_rule_asks_whoever_matches(program: Program, command: Command) -> None:
    stack, ids = program(ROOT / "examples" / "rule"), named(command, "edge")
    stack.config('reenroll-rule:exclude: ["edge-001*", "lab-*"]')
    ran = stack.run("up")
    assert ran.exit_code == 0
    assert ran.says("exclude lab-* matches no orchestrator")
    assert [status for status, _ in ran.posts] == [1]
    assert len(ran.posts[0][1]) == len(ids) - 1
    stack.config("reenroll-rule:at-least: 100")
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says("6 found, at_least 100 expected")


def test_the_canary_example_asks_the_rest_only_when_the_canary_is_complete(program: Program, command: Command) -> None:
    stack, ids = program(ROOT / "examples" / "canary"), named(command, "edge")
    stack.config(f"reenroll-canary:canary: {json.dumps(ids[:2])}\nreenroll-canary:timeout: 1")
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    command.world(reenroll=ids[:2])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[2:]))])


def test_an_example_finds_the_package_in_the_environment_of_the_checkout() -> None:
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [sys.executable, "-c", "import keyfactor_provider.dynamic"]
    assert subprocess.run(line, cwd=ROOT / "examples" / "list", env=elsewhere, check=False).returncode == 0


@pytest.mark.parametrize("example", sorted(each.name for each in (ROOT / "examples").iterdir()))
def test_every_example_tells_what_it_is(example: str) -> None:
    assert (ROOT / "examples" / example / "README.md").read_text().startswith("# ")


def declared(*fleets: Any) -> str:
    return f"keyfactor-reenrollment:fleets: {json.dumps(fleets)}"


def test_the_root_stack_looks_orchestrators_up_once_for_all_its_rules_and_waits_for_each_fleet(
    program: Program, command: Command
) -> None:
    stack = program(ROOT)
    sites = [{"name": site, "rule": {"machine": f"{site}-*"}, "status": 1, "wait": True} for site in ("edge", "core")]
    stack.config(declared(*(site | {"timeout": 30} for site in sites)))
    command.faults(faults=[{"on": "POST", "act": "pass", "world": {"reenroll": command.ids()}, "applied": True}])
    ran = stack.run("up")
    assert (ran.exit_code, len(ran.posts)) == (0, 2), ran.text
    assert sorted(stack.resources()) == ["core", "core-complete", "edge", "edge-complete"]


def test_the_root_stack_declares_fleets_in_order_from_its_config(program: Program, command: Command) -> None:
    stack, ids = program(ROOT), command.ids()
    edge = named(command, "edge")
    first = {"name": "first", "orchestrators": ids[:2], "status": "Requested", "timeout": 1}
    rule = {"machine": "edge-*", "exclude": ids[:2], "with_certificate": True}
    rest = {"name": "rest", "rule": rule, "status": 2, "after": "first"}
    stack.config(declared(first, rest))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    command.world(reenroll=ids[:2])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(2, tuple(each for each in edge if each not in ids[:2]))])
    stack.run("refresh")
    ran = stack.run("up")
    assert ran.exit_code == 0
    stack_resource = next(
        each for each in stack.export()["deployment"]["resources"] if each["type"] == "pulumi:pulumi:Stack"
    )
    assert stack_resource["outputs"]["first"]["reenrolled"] == 2
    assert stack_resource["outputs"]["rest"]["pending"] == 5


def exported(stack: Stack, fleet: str) -> dict[str, Any]:
    """What the stack shows of a fleet."""
    resources = stack.export()["deployment"]["resources"]
    shown: dict[str, Any] = next(each for each in resources if each["type"] == "pulumi:pulumi:Stack")["outputs"][fleet]
    return shown


def test_the_root_stack_rolls_a_fleet_out_as_its_config_says(program: Program, command: Command) -> None:
    stack, edge = program(ROOT), named(command, "edge")
    fleet = {
        "name": "edge",
        "rule": {"machine": "edge-*"},
        "status": "Requested",
        "canaries": edge[:1],
        "waves": [2, "100%"],
        "max_failed": 0,
        "overdue_after": "2d",
        "paused": True,
    }
    command.world(now="2031-03-01T08:00:00Z")
    stack.config(declared(fleet))
    assert stack.run("up").posts == []
    stack.config(declared(fleet | {"paused": False}))
    assert stack.run("up").posts == [(1, tuple(edge[:1]))]
    shown = exported(stack, "edge")
    assert (shown["pending"], shown["queued"], shown["queued_ids"]) == (1, 5, edge[1:])
    command.world(reenroll=edge[:1])
    command.world(now="2031-03-02T08:00:00Z")
    assert stack.run("up").posts == [(1, tuple(edge[1:3]))]
    command.world(now="2031-03-05T08:00:00Z")
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [])
    assert stack.resources()["edge"]["outputs"]["members"][edge[1]]["overdue"]
    stack.config(declared(fleet | {"paused": False, "max_failed": "50%", "overdue_after": "1d"}))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [])
    stack.config(declared(fleet | {"paused": False, "max_failed": 2}))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(edge[3:]))])
    assert exported(stack, "edge")["overdue_ids"] == edge[1:3]


def test_the_completion_of_the_root_stack_tolerates_as_many_as_its_config_says(
    program: Program, command: Command
) -> None:
    stack, ids = program(ROOT), command.ids()[:3]
    fleet = {"name": "edge", "orchestrators": ids, "status": 1, "wait": True, "timeout": 0}
    stack.config(declared(fleet | {"completion_max_failed": 1}))
    assert stack.run("up").exit_code == 1
    command.world(reenroll=ids[1:])
    # One look counts those alone that are bad; a wait that is over counts everybody who is not complete.
    assert stack.run("up").exit_code == 1
    stack.config(declared(fleet | {"timeout": 1, "completion_max_failed": 1}))
    ran = stack.run("up")
    assert (ran.exit_code, "edge-complete" in stack.resources()) == (0, True), ran.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"waves": []}, "waves"),
        ({"waves": ["0%"]}, "waves[0]: '0%'"),
        ({"max_failed": "101%"}, "max_failed: '101%'"),
        ({"overdue_after": "soon"}, "overdue_after: 'soon'"),
        ({"paused": "perhaps"}, "paused: 'perhaps'"),
        ({"canaries": ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]}, "is not a member of the fleet"),
        ({"wait": True, "completion_max_failed": "-1"}, "'-1' is not a number of orchestrators"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(list(value)[-1]),
)
def test_a_wrong_roll_out_in_the_config_is_refused_in_preview(
    program: Program, command: Command, given: dict[str, Any], says: str
) -> None:
    stack = program(ROOT)
    stack.config(declared({"name": "edge", "orchestrators": command.ids()[:2], "status": 1, **given}))
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says(says)
    assert "Traceback" not in ran.text


LISTED = {"name": "edge", "orchestrators": ["x"], "status": "Requested"}


@pytest.mark.parametrize(
    ("fleets", "says"),
    [
        ([], "keyfactor-reenrollment:fleets declares no fleet"),
        (
            [{"name": "edge", "orchestrators": ["x"]}],
            "fleets[0] can't be used: Object missing required field `status`",
        ),
        ([LISTED | {"statsu": 1}], "fleets[0] can't be used: Object contains unknown field `statsu`"),
        ([LISTED | {"orchestrators": "x"}], "fleets[0].orchestrators can't be used"),
        ([LISTED, LISTED], "fleets[1].name is 'edge'; expected a name that no other fleet has"),
        ([LISTED | {"rule": {"machine": "*"}}], "fleets[0] (edge) needs either orchestrators or rule"),
        ([{"name": "edge", "status": 1, "rule": {}}], "fleets[0].rule needs one of machine"),
        ([LISTED | {"after": "canary"}], "fleets[0].after is 'canary'; expected a fleet declared before"),
    ],
)
def test_a_wrong_config_is_refused_with_its_key_and_an_example(
    program: Program, command: Command, fleets: list[Any], says: str
) -> None:
    stack = program(ROOT)
    stack.config(declared(*fleets))
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says(says, "- name: canary", "orchestrators: [3f2504e0")
    assert "Traceback" not in ran.text
    assert command.journal() == []


def test_a_secret_in_plain_config_is_refused(program: Program, command: Command) -> None:
    stack = program(ROOT)
    stack.config(declared(LISTED) + "\nkeyfactor:password: hunter2")
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says("keyfactor:password is in plain text", "pulumi config set --secret keyfactor:password")
    assert "hunter2" not in ran.text
    assert command.journal() == []


def test_a_rule_with_command_away_fails_its_preview(program: Program, command: Command) -> None:
    stack = program(ROOT)
    stack.config(declared({"name": "edge", "status": 1, "rule": {"machine": "edge-*"}}))
    command.faults(denied=["/agents/management/read/"])
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says("Reading page 1 of the orchestrators", "403")
    assert "Traceback" not in ran.text


def test_whatever_way_a_fleet_depends_on_one_that_failed_it_is_held_back(command: Command, tmp_path: Path) -> None:
    stack, ids = Stack("standin", tmp_path, command), command.ids()
    (tmp_path / "__main__.py").write_text(f"""
import pulumi
from keyfactor_provider import OrchestratorReenrollment

ids = {ids!r}

def declare(name, depends_on=None, parent=None, member=None, triggers=None):
    opts = pulumi.ResourceOptions(depends_on=depends_on, parent=parent)
    members = [ids.pop() if member is None else member]
    return OrchestratorReenrollment(name, orchestrator_ids=members, status=1, triggers=triggers, opts=opts)

site = pulumi.ComponentResource("test:index:Site", "site")
failing = declare("failing", parent=site, member=ids[0])
fine = declare("fine")
declare("by-a-component", [fine, site])
declare("by-an-output", pulumi.Output.from_input([failing]))
declare("by-an-output-in-a-list", [pulumi.Output.from_input(failing)])
declare("by-an-input", triggers={{"failed": failing.failed_orchestrator_ids.apply(str)}})
declare("by-nothing", [fine])
""")
    command.faults(refused=ids[:1])
    ran = stack.run("up", "--continue-on-error")
    assert ran.exit_code == 1
    assert sorted(stack.resources()) == ["by-nothing", "failing", "fine"]
    for name in ("by-a-component", "by-an-output", "by-an-output-in-a-list", "by-an-input"):
        assert ran.says(f'"re-enrollment of {name}" failed: Skipped: depends on "failing"')


def test_one_name_in_components_of_different_types_is_as_many_fleets(command: Command, tmp_path: Path) -> None:
    stack, ids = Stack("standin", tmp_path, command), command.ids()
    (tmp_path / "__main__.py").write_text(f"""
import pulumi
from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion

ids = {ids!r}
site = pulumi.ComponentResource("test:index:Site", "north")
plant = pulumi.ComponentResource("test:index:Plant", "north")
inner = pulumi.ComponentResource("test:index:Site", "inner", opts=pulumi.ResourceOptions(parent=plant))
for parent in (None, site, plant, inner):
    opts = pulumi.ResourceOptions(parent=parent)
    fleet = OrchestratorReenrollment("edge", orchestrator_ids=[ids.pop(0)], status=1, opts=opts)
    ReenrollmentCompletion("edge", fleet=fleet, timeout=20, opts=opts)
""")
    command.faults(faults=[{"on": "POST", "act": "pass", "world": {"reenroll": ids[:4]}, "applied": True}])
    ran = stack.run("up")
    assert ran.exit_code == 0, ran.text
    fleets = [
        resource["outputs"]["fleet"]
        for resource in stack.export()["deployment"]["resources"]
        if resource["type"].endswith("OrchestratorReenrollment")
    ]
    assert sorted(fleets) == ["Plant north/edge", "edge", "inner/edge", "north/edge"]


def test_one_orchestrator_in_two_components_is_refused(command: Command, tmp_path: Path) -> None:
    stack, ids = Stack("standin", tmp_path, command), command.ids()
    (tmp_path / "__main__.py").write_text(f"""
import pulumi
from keyfactor_provider import OrchestratorReenrollment

for kind in ("Site", "Plant"):
    opts = pulumi.ResourceOptions(parent=pulumi.ComponentResource(f"test:index:{{kind}}", kind.lower()))
    OrchestratorReenrollment("edge", orchestrator_ids=[{ids[0]!r}], status=1, opts=opts)
""")
    ran = stack.run("preview")
    assert ran.exit_code == 1
    # Which of the two registers first, the program does not say.
    assert ran.says(ids[0])
    assert "site/edge" in ran.text or "plant/edge" in ran.text
    assert command.posts() == []


def test_a_look_up_warns_that_the_certificate_is_not_verified_also_where_no_fleet_is(
    command: Command, tmp_path: Path
) -> None:
    stack = Stack("standin", tmp_path, command)
    (tmp_path / "__main__.py").write_text("import keyfactor_provider\n\nkeyfactor_provider.orchestrators()\n")
    stack.config("keyfactor:skipVerify: true")
    ran = stack.run("preview")
    assert ran.exit_code == 0
    assert ran.says("warning:", "skipVerify", "anyone on the network path can read the credentials")
