"""A user's own unit tests, under `pulumi.runtime.set_mocks`, in a process of their own: mocks stay for good."""

import subprocess
import sys

from tests.support.stacks import ROOT

PROGRAM = """
import pulumi

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args):
        return {}

pulumi.runtime.set_mocks(Mocks())

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion

@pulumi.runtime.test
def declare():
    ids = ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
    edge = OrchestratorReenrollment("edge", orchestrator_ids=ids, status="Requested")
    done = ReenrollmentCompletion("done", fleet=edge)
    OrchestratorReenrollment("rest", orchestrator_ids=ids, status=2, opts=pulumi.ResourceOptions(depends_on=[done]))
    return edge.orchestrator_ids.apply(lambda found: print("asked", found))

declare()
"""


def test_a_program_with_fleets_runs_under_mocks() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "asked ['3f2504e0-4f89-11d3-9a0c-0305e82c3301']\n"), ran.stderr
