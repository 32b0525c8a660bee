"""A user's own unit tests, under `pulumi.runtime.set_mocks`, in a process of their own: mocks stay for good."""

import json
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

ENGINE = """
class Engine:
    def RequirePulumiVersion(self, request):
        raise AnswerError()

import grpc

class AnswerError(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.FAILED_PRECONDITION

    def details(self):
        return "Pulumi CLI version 3.230.0 does not satisfy the version range"

settings = pulumi.runtime.Settings(project="p", stack="s", monitor=object.__new__(type("Monitor", (), {})), engine=%s)
pulumi.runtime.settings.configure(settings)
pulumi.runtime.settings.set_root_resource(None)
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

LOOKED_UP = """
from keyfactor_provider import orchestrators

FILTERS = {"machine": ["edge-*"], "with_certificate": False, "at_most": 3}
Mocks.call = lambda self, args: {"orchestrators": [
    {"id": "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "machine": "edge-001", "platform": 1, "capabilities": ["PEM"]},
    {"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3302", "machine": "core-001"},
]} if (args.token, args.args) == ("keyfactor:index:orchestrators", FILTERS) else {}

@pulumi.runtime.test
def declare():
    found = orchestrators(machine="edge-*", with_certificate=False, at_most=3)
    print(found.ids, found.orchestrators[0].machine)
    OrchestratorReenrollment("edge", orchestrator_ids=found.ids, status=1)

declare()
"""

LOOKED_UP_WITHOUT_AN_ANSWER = """
from keyfactor_provider import orchestrators

try:
    orchestrators()
except pulumi.RunError as error:
    print("keyfactor:index:orchestrators" in str(error), '{"orchestrators": [' in str(error))
"""

COLLECTIONS = """
from uuid import UUID

one = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

async def later():
    return [one]

@pulumi.runtime.test
def declare():
    out = pulumi.Output.from_input
    written = {
        "a set": {one}, "a tuple": (one,), "a generator": (each for each in [one]), "keys": {one: 1}.keys(),
        "UUIDs": [UUID(one)], "an output of UUIDs": out([UUID(one)]), "an output in a list": [out(UUID(one))],
        "an output of outputs": out([1]).apply(lambda _: [out(one)]), "an output of a set": out({one}),
        "a coroutine": later(),
    }
    made = [OrchestratorReenrollment(name, orchestrator_ids=ids, status=out(1)) for name, ids in written.items()]
    def check(found):
        print([name for name, ids in zip(written, found) if ids != [one]])
    return out([each.orchestrator_ids for each in made]).apply(check)

declare()
"""

ONE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
WRONG = {
    "status='Requierd'": "status",
    "status=None": "status",
    "status=3": "status",
    "orchestrator_ids=['edge-001']": "orchestrator_ids[0]",
    f"orchestrator_ids=['{ONE}', None]": "orchestrator_ids[1]",
    "orchestrator_ids=None": "orchestrator_ids",
    "orchestrator_ids=[]": "orchestrator_ids",
    f"orchestrator_ids='{ONE}'": "orchestrator_ids",
    f"orchestrator_ids={{'{ONE}': 1}}": "orchestrator_ids",
    f"orchestrator_ids=[pulumi.Output.from_input('{ONE}'), 7]": "orchestrator_ids[1]",
    "on_removal='keep'": "on_removal",
    "on_failure=True": "on_failure",
    "triggers=['2027']": "triggers",
    "triggers={'ca': ['2027'], 'other': pulumi.Output.from_input(1)}": "triggers.ca",
}
"""A wrong literal, and the property that its message begins with."""

REFUSED = {
    "provider=aws": "provider",
    "providers=[aws]": "providers",
    "version='1.0.0'": "version",
    "plugin_download_url='https://plugins.example'": "plugin_download_url",
    "env_var_mappings={'A': 'B'}": "env_var_mappings",
    "import_='edge'": "import_",
    "id='edge'": "id",
    "urn='urn:pulumi:dev::fleets::a:b:C::edge'": "urn",
    "custom_timeouts=pulumi.CustomTimeouts(read='1m')": "custom_timeouts.read",
    "ignore_changes=['orchestrator_ids[0]']": "ignore_changes",
    "ignore_changes=['orchestrators.x']": "ignore_changes",
    "ignore_changes=['orchestrator_id']": "ignore_changes",
    "replace_on_changes=['orchestrator_ids[0]']": "replace_on_changes",
    "hide_diffs=['tiggers']": "hide_diffs",
    "additional_secret_outputs=['failed_ids']": "additional_secret_outputs",
}
"""An option that would have no effect, and its name."""

REFUSING = """
def tried(what, line):
    try:
        eval(compile(line, "program.py", "eval"))
    except pulumi.RunError as error:
        return str(error)
    return f"accepted: {what}"

@pulumi.runtime.test
def declare():
    global aws
    aws = pulumi.ProviderResource("aws", "aws", {})
    import json, sys
    print(json.dumps({what: tried(what, line) for what, line in json.loads(sys.argv[1]).items()}))

declare()
"""


def refused(lines: dict[str, str]) -> dict[str, str]:
    """What each line of a program under mocks was refused with."""
    line = [sys.executable, "-c", BEGIN + REFUSING, json.dumps(lines)]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said: dict[str, str] = json.loads(ran.stdout)
    return said


def test_a_wrong_literal_is_refused_with_the_line_of_the_program() -> None:
    whole = {"orchestrator_ids": "ids", "status": "1"}
    lines = {}
    for what in WRONG:
        name, _, value = what.partition("=")
        given = ", ".join(f"{key}={each}" for key, each in {**whole, name: value}.items())
        lines[what] = f"OrchestratorReenrollment('edge', {given})"
    said = refused(lines)
    for what, starts in WRONG.items():
        assert said[what].startswith("program.py:1: "), (what, said[what])
        assert f" {starts}: " in said[what], (what, said[what])


@pytest.mark.parametrize("kind", ["OrchestratorReenrollment", "ReenrollmentCompletion", "a transformation"])
def test_an_option_without_effect_is_refused_by_its_name(kind: str) -> None:
    lines = {}
    for what in REFUSED:
        opts = f"pulumi.ResourceOptions({what})"
        if kind == "a transformation":
            if what.startswith(("ignore_changes", "hide_diffs", "additional_secret_outputs")):
                # What a transformation of the whole stack names may be meant for other resources.
                continue
            opts = (
                "pulumi.ResourceOptions(transformations=[lambda args: "
                f"pulumi.ResourceTransformationResult(args.props, {opts})])"
            )
        lines[what] = f"OrchestratorReenrollment('edge', orchestrator_ids=ids, status=1, opts={opts})"
        if kind == "ReenrollmentCompletion":
            lines[what] = (
                "ReenrollmentCompletion('done', fleet=OrchestratorReenrollment('edge', orchestrator_ids=ids, "
                f"status=1), opts={opts})"
            )
    said = refused(lines)
    for what in lines:
        name = "custom_timeouts" if kind == "ReenrollmentCompletion" and "timeouts" in what else REFUSED[what]
        assert name in said[what], (what, said[what])
        assert not said[what].startswith("accepted"), what


NAMES = [
    ("ignore_changes", "orchestrator_ids", ["orchestrators"]),
    ("ignore_changes", "orchestrator_ids[*]", ["orchestrators"]),
    ("ignore_changes", "*", ["*"]),
    ("ignore_changes", "triggers", ["triggers"]),
    ("replace_on_changes", '["orchestrator_ids"]', ["orchestrators"]),
    ("hide_diffs", "orchestrator_ids", ["orchestrators"]),
    ("hide_diffs", f'orchestrator_ids["{ONE}"]', [f'orchestrators["{ONE}"]']),
    ("additional_secret_outputs", "orchestrator_ids", ["members"]),
    ("additional_secret_outputs", "overdue_orchestrator_ids", ["members"]),
    ("additional_secret_outputs", "triggers", ["triggers"]),
]
"""An option, a path as a program writes it, and what the engine is to get."""

OPTIONS = """
import json, sys

sent = {}
register = pulumi.runtime.mocks.MockMonitor.RegisterResource
def RegisterResource(self, request):
    sent[request.name] = request
    return register(self, request)
pulumi.runtime.mocks.MockMonitor.RegisterResource = RegisterResource
written = json.loads(sys.argv[1])

def merged(added):
    return lambda args: pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, added))

@pulumi.runtime.test
def declare():
    made = []
    for number, (option, path) in enumerate(written):
        opts = pulumi.ResourceOptions(**{option: [path]})
        parents = pulumi.ResourceOptions(transformations=[merged(opts)])
        site = pulumi.ComponentResource("a:b:C", f"{number}", opts=parents)
        for how, given in {
            "options": opts,
            "transformation": pulumi.ResourceOptions(transformations=[merged(opts)]),
            "parent": pulumi.ResourceOptions(parent=site),
        }.items():
            made.append(OrchestratorReenrollment(f"{number} {how}", orchestrator_ids=ids, status=1, opts=given).urn)
    return pulumi.Output.all(*made)

declare()
names = {"ignore_changes": "ignoreChanges", "replace_on_changes": "replaceOnChanges", "hide_diffs": "hideDiffs",
         "additional_secret_outputs": "additionalSecretOutputs"}
print(json.dumps([
    {how: list(getattr(sent[f"{number} {how}"], names[option])) for how in ("options", "transformation", "parent")}
    for number, (option, path) in enumerate(written)
]))
"""


def test_options_mean_the_names_of_the_arguments_however_they_are_given() -> None:
    written = json.dumps([(option, path) for option, path, _ in NAMES])
    line = [sys.executable, "-c", BEGIN + OPTIONS, written]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        dict.fromkeys(("options", "transformation", "parent"), stored) for _, _, stored in NAMES
    ]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        pytest.param(DECLARE, "asked ['3f2504e0-4f89-11d3-9a0c-0305e82c3301']\n", id="fleets and a completion"),
        pytest.param(
            ENGINE % "Engine()",
            "OrchestratorReenrollment needs the Pulumi CLI >=3.238.0: Pulumi CLI version 3.230.0 does not satisfy the "
            "version range. With an older one, runs succeed even if orchestrators failed. Update the CLI.\n",
            id="an engine that is too old",
        ),
        pytest.param(
            ENGINE % "object()",
            "OrchestratorReenrollment needs the Pulumi CLI >=3.238.0: 'object' object has no attribute "
            "'RequirePulumiVersion'. With an older one, runs succeed even if orchestrators failed. Update the CLI.\n",
            id="an engine that can't be asked",
        ),
        pytest.param(
            ENGINE % "None",
            "No Pulumi engine: this is not a run of a Pulumi program. Run it with `pulumi up`.\n",
            id="no engine",
        ),
        pytest.param(
            UNSTABLE,
            'Fleet "edge": its members come from a look-up by status, so they would leave and enter the fleet by '
            "themselves. Use machine, platform, capability or identity.\n",
            id="members that come and go",
        ),
        pytest.param(OUTSIDE, "True\n", id="a run without a root resource is one run"),
        pytest.param(LOOKED_UP, "['3f2504e0-4f89-11d3-9a0c-0305e82c3301'] edge-001\n", id="a look-up"),
        pytest.param(LOOKED_UP_WITHOUT_AN_ANSWER, "True True\n", id="a look-up without an answer"),
        pytest.param(COLLECTIONS, "[]\n", id="members in any collection"),
    ],
)
def test_a_program_under_mocks(program: str, says: str) -> None:
    line = [sys.executable, "-c", BEGIN + program]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, says), ran.stderr
