"""A user's own unit tests, under `pulumi.runtime.set_mocks`, in a process of their own: mocks stay for good."""

import subprocess
import sys

import pytest

from tests.support.stacks import ROOT

BEGIN = """
import pulumi

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args):
        return {}

pulumi.runtime.set_mocks(Mocks())

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion
from keyfactor_provider.dynamic.program import Run

ids = ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
"""

DECLARE = """
@pulumi.runtime.test
def declare():
    edge = OrchestratorReenrollment("edge", orchestrator_ids=ids, status="Requested")
    done = ReenrollmentCompletion("done", fleet=edge)
    OrchestratorReenrollment("rest", orchestrator_ids=ids, status=2, opts=pulumi.ResourceOptions(depends_on=[done]))
    return edge.orchestrator_ids.apply(lambda found: print("asked", found))

declare()
"""

IGNORE = """
@pulumi.runtime.test
def declare():
    def opts(ignored):
        return pulumi.ResourceOptions(ignore_changes=[ignored])

    made = OrchestratorReenrollment("edge", orchestrator_ids=ids, status=1, opts=opts("orchestrator_ids"))
    try:
        OrchestratorReenrollment("rim", orchestrator_ids=ids, status=1, opts=opts("orchestrator_ids[0]"))
    except pulumi.RunError as error:
        print(error)

declare()
"""

TOO_OLD = """
def refuse(_range):
    raise Exception("Pulumi CLI version 3.230.0 does not satisfy the version range")

pulumi.require_pulumi_version = refuse
try:
    OrchestratorReenrollment("edge", orchestrator_ids=ids, status=1)
except pulumi.RunError as error:
    print(error)
"""

FROM_THE_ENGINE = """
def refuse(_range):
    raise pulumi.RunError("the engine has said why")

pulumi.require_pulumi_version = refuse
try:
    OrchestratorReenrollment("edge", orchestrator_ids=ids, status=1)
except pulumi.RunError as error:
    print(error)
"""

UNSTABLE = """
from keyfactor_provider.operations.lookup import Ids

try:
    OrchestratorReenrollment("edge", orchestrator_ids=Ids(ids, ("status",)), status=1)
except pulumi.RunError as error:
    print(error)
"""

OUTSIDE = """
pulumi.runtime.settings.set_root_resource(None)
print(Run.current() is Run.current())
"""


@pytest.mark.parametrize(
    ("program", "says"),
    [
        pytest.param(DECLARE, "asked ['3f2504e0-4f89-11d3-9a0c-0305e82c3301']\n", id="fleets and a completion"),
        pytest.param(
            IGNORE,
            'Fleet "rim": ignore_changes names orchestrator_ids[0], a part of a set. '
            "Expected orchestrator_ids, which ignores every change of the members.\n",
            id="ignored changes",
        ),
        pytest.param(
            TOO_OLD,
            "OrchestratorReenrollment needs the Pulumi CLI >=3.238.0: Pulumi CLI version 3.230.0 does not satisfy the "
            "version range. An older one would end with success although orchestrators failed. Update the CLI.\n",
            id="an engine that is too old",
        ),
        pytest.param(FROM_THE_ENGINE, "the engine has said why\n", id="an engine that ends the run itself"),
        pytest.param(
            UNSTABLE,
            'Fleet "edge": its members come from a look-up by status, under which they would leave and enter the fleet '
            "by themselves. Use machine, platform, capability or identity.\n",
            id="members that come and go",
        ),
        pytest.param(OUTSIDE, "False\n", id="no run at all"),
    ],
)
def test_a_program_under_mocks(program: str, says: str) -> None:
    line = [sys.executable, "-c", BEGIN + program]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, says), ran.stderr
