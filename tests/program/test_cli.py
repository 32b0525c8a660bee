"""What only the real Pulumi CLI can show: how a failed run reads, component providers, transforms, flags."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.support.commands import fresh
from tests.support.processes import wait_until
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, Stack

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(180),
    pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI),
]

BEGIN = """
import pulumi
from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion

ids = @IDS
"""


@pytest.fixture
def command() -> Iterator[Command]:
    with fresh(12) as command:
        yield command


@pytest.fixture
def stack(command: Command, tmp_path: Path) -> Stack:
    return Stack("pulumi", tmp_path, command)


def write(stack: Stack, program: str) -> None:
    (stack.folder / "__main__.py").write_text((BEGIN + program).replace("@IDS", repr(stack.command.ids())))


PLAIN = """
edge = OrchestratorReenrollment("edge", orchestrator_ids=ids[:3], status=1)
rest = pulumi.ResourceOptions(depends_on=[edge])
OrchestratorReenrollment("rest", orchestrator_ids=ids[3:5], status=1, opts=rest)
"""
WITH_A_WRONG_OUTPUT = """
OrchestratorReenrollment("edge", orchestrator_ids=pulumi.Output.from_input(["edge-001"]), status=1)
OrchestratorReenrollment("rest", orchestrator_ids=ids[3:5], status=1)
"""
WITH_NOTHING = """
OrchestratorReenrollment("edge", orchestrator_ids=pulumi.Output.from_input(None), status=1)
"""
OWNED_TWICE = """
OrchestratorReenrollment("edge", orchestrator_ids=ids[:3], status=1)
OrchestratorReenrollment("rest", orchestrator_ids=ids[2:5], status=1)
"""
ASYNC = """
async def main():
    try:
        edge = OrchestratorReenrollment("edge", orchestrator_ids=ids[:3], status=1)
        await edge.members.future()
    finally:
        open("finally", "w").close()

pulumi.run(main)
"""


@pytest.mark.parametrize(
    ("program", "runs"),
    [
        pytest.param(PLAIN, ["up"], id="failed members"),
        pytest.param(WITH_A_WRONG_OUTPUT, ["preview", "up"], id="a wrong output"),
        pytest.param(WITH_NOTHING, ["preview", "up"], id="an output of None"),
        pytest.param(OWNED_TWICE, ["preview", "up"], id="one orchestrator in two fleets"),
        pytest.param(ASYNC, ["up"], id="an async program"),
    ],
)
def test_a_run_that_fails_through_us_reads_clean(stack: Stack, program: str, runs: list[str]) -> None:
    ids = stack.command.ids()
    write(stack, program)
    stack.command.faults(refused=ids[:1])
    for run in runs:
        ran = stack.run(run)
        assert ran.exit_code == 1
        assert "Traceback" not in ran.text
        assert "KeyboardInterrupt" not in ran.text
        assert ran.text.count("error:") >= 1
    if program in (PLAIN, ASYNC):
        assert ran.says('after hook "re-enrollment of edge" failed', ids[0])
        assert list(stack.resources()) == ["edge"]
        assert stack.phases("edge")[ids[1]] == "pending"
    if program == ASYNC:
        assert (stack.folder / "finally").exists()


def test_a_handler_of_the_users_own_stays(stack: Stack) -> None:
    own = """
import signal

def ended(*_):
    open("ended", "w").close()
    raise SystemExit(32)

signal.signal(signal.SIGINT, ended)
"""
    write(stack, own + PLAIN)
    stack.command.faults(refused=stack.command.ids()[:1])
    assert stack.run("up").exit_code == 1
    assert (stack.folder / "ended").exists()


def test_ctrl_c_before_any_failure_is_no_failure_of_ours(stack: Stack) -> None:
    write(
        stack,
        """
import os, time
OrchestratorReenrollment("edge", orchestrator_ids=ids[:3], status=1)
open("pid", "w").write(str(os.getpid()))
os.rename("pid", "ready")
time.sleep(60)
""",
    )
    with stack.started() as process:
        wait_until(lambda: (stack.folder / "ready").exists(), 60)
        os.kill(int((stack.folder / "ready").read_text()), signal.SIGINT)
        text = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "KeyboardInterrupt" in text


COMPONENTS = """
from typing import Optional, TypedDict

import pulumi
from pulumi.provider.experimental import component_provider_host

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion


class Args(TypedDict):
    ids: pulumi.Input[list[str]]


class Site(pulumi.ComponentResource):
    failed: pulumi.Output[list[str]]

    def __init__(self, name: str, args: Args, opts: Optional[pulumi.ResourceOptions] = None):
        super().__init__(f"sites:index:{type(self).__name__}", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)
        ids = pulumi.Output.from_input(args["ids"])
        one = OrchestratorReenrollment("one", orchestrator_ids=ids.apply(lambda ids: ids[:1]), status=1, opts=own)
        OrchestratorReenrollment("two", orchestrator_ids=ids.apply(lambda ids: ids[1:]), status=1, opts=own)
        ReenrollmentCompletion("done", fleet=one, timeout=30, opts=own)
        self.failed = one.failed_orchestrator_ids
        self.register_outputs({"failed": self.failed})


class Plant(Site):
    pass


if __name__ == "__main__":
    component_provider_host(name="sites", components=[Site, Plant])
"""
USING_COMPONENTS = """
class Remote(pulumi.ComponentResource):
    def __init__(self, kind, name, ids):
        super().__init__(f"sites:index:{kind}", name, {"ids": ids}, remote=True)

Remote("Site", "north", ids[:3])
Remote("Plant", "north", ids[3:6])
fleet = OrchestratorReenrollment("one", orchestrator_ids=ids[6:8], status=1)
ReenrollmentCompletion("done", fleet=fleet, timeout=30)
"""


def test_component_providers_may_have_several_fleets_and_completions(stack: Stack) -> None:
    ids = stack.command.ids()
    plugin = stack.folder / "sites"
    plugin.mkdir()
    (plugin / "PulumiPlugin.yaml").write_text("runtime: python\n")
    (plugin / "__main__.py").write_text(COMPONENTS)
    (plugin / "venv").symlink_to(Path(sys.prefix))
    with (stack.folder / "Pulumi.yaml").open("a") as project:
        project.write("\nplugins:\n  providers:\n    - {name: sites, path: ./sites}\n")
    write(stack, USING_COMPONENTS)
    finish = {"on": "POST", "act": "pass", "world": {"reenroll": [ids[0], ids[3], *ids[6:8]]}, "applied": True}
    stack.command.faults(refused=ids[4:5], faults=[finish])
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says('after hook "re-enrollment of Plant north/two" failed', ids[4])
    stack.command.faults(refused=[], faults=[finish])
    ran = stack.run("up")
    assert ran.exit_code == 0, ran.text
    assert list(stack.command.flags().values()).count("Requested") == 4
    assert stack.run("preview", "--expect-no-changes").exit_code == 0


TRANSFORMED = """
def added(args):
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(%s))
    return pulumi.ResourceTransformResult(args.props, opts)

pulumi.runtime.register_resource_transform(added)
OrchestratorReenrollment("edge", orchestrator_ids=ids[:%d], status=1)
"""


def test_a_transform_may_ignore_the_members_and_replace_on_a_change_of_them(stack: Stack) -> None:
    ids = stack.command.ids()
    write(stack, TRANSFORMED % ("protect=False", 3))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says('after hook "re-enrollment of edge" failed', ids[0])
    stack.command.faults(refused=[])
    assert stack.run("up").exit_code == 0
    for ignored in ("orchestrator_ids", "orchestrators", "*"):
        write(stack, TRANSFORMED % (f"ignore_changes=[{ignored!r}]", 4))
        assert stack.run("preview", "--expect-no-changes").exit_code == 0
    write(stack, TRANSFORMED % ("replace_on_changes=['orchestrators']", 4))
    ran = stack.run("preview", "--diff")
    assert ran.exit_code == 0
    assert ran.says("1 to replace", f'+ {ids[3]}: "Requested"')


@pytest.mark.parametrize("option", ["replace_on_changes", "hide_diffs", "additional_secret_outputs"])
def test_an_option_in_the_name_of_the_argument_has_its_effect(stack: Stack, option: str) -> None:
    ids = stack.command.ids()
    write(stack, 'OrchestratorReenrollment("edge", orchestrator_ids=ids[:3], status=1)')
    stack.run("up")
    opts = f"opts=pulumi.ResourceOptions({option}=['orchestrator_ids'])"
    write(stack, f'OrchestratorReenrollment("edge", orchestrator_ids=ids[:4], status=1, {opts})')
    ran = stack.run("preview", "--diff")
    assert ("1 to replace" in ran.text) == (option == "replace_on_changes")
    assert (f'+ {ids[3]}: "Requested"' in ran.text) == (option != "hide_diffs")
    ran = stack.run("up")
    assert ran.exit_code == 0
    hidden = (
        "members" in stack.export()["deployment"]["resources"][-1]["additionalSecretOutputs"]
        if (option == "additional_secret_outputs")
        else False
    )
    assert hidden == (option == "additional_secret_outputs")


def test_the_flags_of_the_engines_log_break_nothing(stack: Stack) -> None:
    write(stack, 'OrchestratorReenrollment("edge", orchestrator_ids=ids[:2], status=1)')
    ran = stack.run("up", "--logflow", "--logtostderr", "-v=9")
    assert (ran.exit_code, len(ran.posts)) == (0, 1)
    ran = stack.run("preview", "--tracing", f"file:{stack.folder}/trace.log")
    assert ran.exit_code == 0
