"""Cases for both engines: small programs, commands, and their expected results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEAD = """
import pulumi
from counted import Thing
from pulumi import Alias, Output, ResourceHook, ResourceHookBinding, ResourceOptions


def fails(_):
    raise ValueError("said no")


class Box(pulumi.ComponentResource):
    def __init__(self, name, opts=None, **more):
        super().__init__("my:index:Box", name, {"label": name}, opts)
        self.inside = Thing(f"{name}-in", size=1, opts=ResourceOptions(parent=self), **more)
        self.register_outputs({"made": self.inside.made})


"""

ONE = "a = Thing('a', size=1)"
CHAIN = f"{ONE}\nb = Thing('b', size=a.size, opts=ResourceOptions(depends_on=[a]))"
GROWN = CHAIN.replace("size=1", "size=2")
HOOK = "no = ResourceHook('no', fails)\nhooks = ResourceHookBinding({0}=[no])\n"
HOOKED = (
    HOOK
    + "a = Thing('a', size={1}, opts=ResourceOptions(hooks=hooks))\n"
    + "b = Thing('b', opts=ResourceOptions(depends_on=[a]))"
)
A = "urn:pulumi:dev::tiny::pulumi-python:dynamic/test:Thing::a"


@dataclass(frozen=True)
class Run:
    """A command on a program: its exit code, and the calls that change things.

    Attributes:
        calls: in their order; where none depends on another (`at_once`), in the alphabet's.
    """

    command: str
    calls: str = ""
    exit_code: int = 0
    program: str | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    at_once: bool = False


def up(calls: str = "", program: str | None = None, **more: Any) -> Run:
    """An `up` without a preview."""
    return Run("up --skip-preview", calls, program=program, **more)


FAILS = {"a": {"fail": "create"}}
SAME = Run("preview --expect-no-changes")

CASES: dict[str, list[Run]] = {
    "nothing to created to the same": [
        Run("preview", program=CHAIN),
        up("create a, create b"),
        SAME,
        Run("up --yes --expect-no-changes"),
    ],
    "changed input to update": [
        up("create a, create b", CHAIN),
        Run("preview --expect-no-changes", program=GROWN, exit_code=7),
        up("update a, update b", program=GROWN),
        SAME,
        Run("up --yes --expect-no-changes", "update a, update b", 7, program=CHAIN),
    ],
    "no longer in the program to deleted": [
        up("create a, create b", CHAIN),
        up("delete b", ONE),
        SAME,
        Run("destroy --yes", "delete a"),
        Run("destroy --yes"),
    ],
    "asked for by name to replaced": [
        up("create a, create b", CHAIN),
        Run(f"up --skip-preview --replace {A}", "create a, delete a"),
        SAME,
    ],
    "asked for by name to deleted first, by option": [
        up("create a", "a = Thing('a', kind='x', opts=ResourceOptions(delete_before_replace=True))"),
        Run(f"up --skip-preview --replace {A}", "delete a, create a"),
        SAME,
    ],
    "failing create to exit 1 and nothing recorded": [
        up(
            "create a",
            CHAIN,
            exit_code=1,
            world={"a": {"fail": "create"}},
            says=("create of a was told to fail",),
        ),
        up("create a, create b"),
    ],
    "failing update to the old state": [
        up("create a, create b", CHAIN),
        up("update a", GROWN, exit_code=1, world={"a": {"fail": "update"}}),
        up("update a, update b"),
    ],
    "failing delete to kept": [
        up("create a, create b", CHAIN),
        up("delete b", ONE, exit_code=1, world={"b": {"fail": "delete"}}),
        Run("destroy --yes", "delete b", 1, world={"b": {"fail": "delete"}}),
        Run("destroy --yes", "delete b, delete a"),
    ],
    "failing check to nothing done": [
        up("", "a = Thing('a', size=99)", exit_code=1, says=("property size value", "too big")),
        up("", "a = Thing('a', size=98)", exit_code=1, says=("all wrong",)),
        Run("preview", exit_code=1),
    ],
    "failing after hook to recorded, failed, dependents held back": [
        up(
            "create a",
            HOOKED.format("after_create", 1) + "\npulumi.export('made', a.made)",
            exit_code=1,
            says=('after hook "no" failed', "said no"),
        ),
        up("create b", CHAIN.replace("size=a.size, ", "")),
        up("update a", HOOKED.format("after_update", 2), exit_code=1),
        up("", HOOKED.format("after_update", 2)),
    ],
    "failing before hook to not done": [
        up("", HOOKED.format("before_create", 1), exit_code=1, says=('before hook "no" failed',)),
        up("create a, create b", HOOKED.format("before_update", 1)),
        up("", HOOKED.format("before_update", 2), exit_code=1),
    ],
    "failure to the independent done, with --continue-on-error": [
        Run(
            "up --skip-preview --continue-on-error",
            "create a, create c",
            1,
            CHAIN + "\nc = Thing('c')",
            FAILS,
            at_once=True,
        ),
        up("create a, create b"),
    ],
    "failing after hook to dependents done, with --continue-on-error": [
        Run("up --skip-preview --continue-on-error", "create a, create b", 1, HOOKED.format("after_create", 1)),
        up(),
    ],
    "drift to seen by refresh": [
        up("create a, create b", CHAIN),
        Run("preview --expect-no-changes", world={"a": {"drift": {"size": 5}, "inputs": True}}),
        Run(
            "preview --refresh --expect-no-changes",
            exit_code=7,
            world={"a": {"drift": {"size": 5}, "inputs": True}},
        ),
        Run("refresh --yes", world={"a": {"drift": {"size": 5}, "inputs": True}}),
        Run("preview --expect-no-changes", exit_code=7),
        up("update a"),
        Run("up --skip-preview --refresh", "update a", world={"a": {"drift": {"size": 6}}}),
    ],
    "drift of outputs to recorded and no change": [
        up("create a", ONE),
        Run("refresh --yes --expect-no-changes", world={"a": {"drift": {"made": False}}}),
    ],
    "gone to made again": [
        up("create a, create b", CHAIN),
        Run("refresh --skip-preview --expect-no-changes", exit_code=7, world={"a": {"gone": True}}),
        up("create a"),
        Run("up --skip-preview --refresh", "create b", world={"b": {"gone": True}}),
    ],
    "failing read to the others refreshed": [
        up("create a, create b", CHAIN),
        Run(
            "refresh --skip-preview",
            exit_code=1,
            world={"a": {"fail": "read"}, "b": {"drift": {"made": False}}},
        ),
        Run("up --skip-preview --refresh", exit_code=1, world={"a": {"fail": "read"}}),
    ],
    "renamed with an alias to the same": [
        up("create a, create b", CHAIN),
        up(
            "",
            "a = Thing('z', called='a', size=1, opts=ResourceOptions(aliases=[Alias(name='a')]))\n"
            "b = Thing('b', size=a.size, opts=ResourceOptions(depends_on=[a]))",
        ),
        up(
            "",
            "a = Thing('y', called='a', size=1, opts=ResourceOptions("
            "aliases=['urn:pulumi:dev::tiny::pulumi-python:dynamic/test:Thing::z']))\n"
            "b = Thing('b', size=a.size, opts=ResourceOptions(depends_on=[a]))",
        ),
    ],
    "component to outputs and children": [
        up("create x-in", "box = Box('x')\npulumi.export('made', box.inside.made)"),
        SAME,
        up("delete x-in", "pulumi.export('made', 1)"),
    ],
    "secrets to encrypted everywhere": [
        up(
            "create a, create b",
            "a = Thing('a', size=Output.secret(1), list=[Output.secret('p')], map={'k': Output.secret(2)},"
            " opts=ResourceOptions(additional_secret_outputs=['made']))\n"
            "b = Thing('b', size=a.size, opts=ResourceOptions(depends_on=[a]))\npulumi.export('made', a.made)\n"
            "pulumi.export('greeting', pulumi.Config().require_secret('greeting'))",
            config={"greeting": "geheim"},
        ),
        SAME,
        Run("refresh --skip-preview"),
        up("", config={"greeting": "changed"}),
        Run("refresh --skip-preview", config={"greeting": "later"}),
        Run("destroy --yes --run-program", "delete b, delete a", config={"greeting": "last"}),
    ],
    "failing program to exit 1": [
        up("create a", f"{ONE}\na.made.apply(lambda made: fails(made))", exit_code=1, says=("said no",)),
        up("", "raise pulumi.RunError('not today')", exit_code=1, says=("not today",)),
        up("", "raise ValueError('not today')", exit_code=1, says=("not today",)),
    ],
    "messages to shown and no failure": [
        up(
            "create a",
            f"{ONE}\npulumi.log.warn('look out', a)\npulumi.log.error('oh no', a)\nprint('printed')",
            says=("warning: look out", "error: oh no", "printed"),
        ),
    ],
    "version required to met or refused": [
        up("create a", f"pulumi.require_pulumi_version('>=3.238.0 <4.0.0')\n{ONE}"),
        up("", f"pulumi.require_pulumi_version('>=4.0.0')\n{ONE}", exit_code=1, says=("3.260.0", ">=4.0.0")),
    ],
    "without --yes to refused": [
        Run("up", exit_code=2, program=ONE, says=("--yes or --skip-preview",)),
        Run("destroy", exit_code=2),
        Run("refresh", exit_code=1),
    ],
    "program-run commands to skipped creates": [
        up("create a", ONE),
        Run("destroy --skip-preview --run-program", "delete a", program=CHAIN),
    ],
}

REFUSED: dict[str, tuple[str, str, str]] = {
    "a difference that replaces": ("a = Thing('a', kind='x')", "a = Thing('a', kind='y')", "difference that replaces"),
    "a delete hook": ("", HOOKED.format("before_delete", 1), "the hook before_delete"),
    "a hook of a component": (
        "",
        HOOK.format("before_create") + "Box('x', opts=ResourceOptions(hooks=hooks))",
        "a hook of a component",
    ),
    "an alias of a component": (
        "",
        "Box('x', opts=ResourceOptions(aliases=[Alias(name='y')]))",
        "alias of a component",
    ),
    "an alias with a parent": (
        "",
        "Thing('a', opts=ResourceOptions(aliases=[Alias(parent='urn:pulumi:dev::tiny::my:index:Box::x')]))",
        "an alias with more than a name or a URN",
    ),
    "protect": ("", "Thing('a', opts=ResourceOptions(protect=True))", "the resource option protect"),
    "ignore_changes": (
        "",
        "Thing('a', opts=ResourceOptions(ignore_changes=['size']))",
        "the resource option ignore_changes",
    ),
    "import_": ("", "Thing('a', opts=ResourceOptions(import_='id-a'))", "the resource option import_"),
    "get": ("", "Thing('a', opts=ResourceOptions(id='id-a'))", "reading an existing resource"),
    "a range of versions in another form": (
        "",
        "pulumi.require_pulumi_version('<3.0.0 || >=3.238.0')",
        "the version range '<3.0.0 || >=3.238.0'",
    ),
    "an invoke": ("", "pulumi.runtime.invoke('my:index:f', {})", "an invoke"),
}
"""What the stand-in refuses: a program to run first (or none), the program, and a part of the message."""
