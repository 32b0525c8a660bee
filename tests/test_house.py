"""Imports go one way: the contracts in pyproject.toml are tested on trees that break them."""

import dataclasses
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import keyfactor_provider
from keyfactor_provider.operations.lookup import Filter

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages with the contracts, into which tests put wrong imports."""
    copy = tmp_path_factory.mktemp("house")
    for package in ("keyfactor_provider", "keyfactor_standins"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def contracts(house: Path) -> "subprocess.CompletedProcess[str]":
    """Check the contracts of a tree, which takes precedence over the installed packages."""
    line = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {**os.environ, "PYTHONPATH": str(house)}
    return subprocess.run(
        [*line, "--no-cache"], cwd=house, env=environment, capture_output=True, text=True, check=False
    )


def test_a_copy_of_the_house_keeps_every_contract(house: Path) -> None:
    ran = contracts(house)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("module", "wrong"),
    [
        ("keyfactor_provider.reenrollment.late", "keyfactor_provider.command.wire"),
        ("keyfactor_provider.reenrollment.late", "keyfactor_provider.operations"),
        ("keyfactor_provider.command.late", "keyfactor_provider.reenrollment.record"),
        ("keyfactor_provider.command.late", "keyfactor_provider.dynamic"),
        ("keyfactor_provider.operations.late", "keyfactor_provider.terraform.provider"),
        ("keyfactor_provider.terraform.late", "keyfactor_provider.dynamic.program"),
        ("keyfactor_provider.dynamic.late", "keyfactor_provider.terraform.provider"),
        ("keyfactor_provider.plugin.late", "keyfactor_provider.dynamic.forms"),
        ("keyfactor_provider.plugin.late", "tf"),
        ("keyfactor_provider.errors", "keyfactor_provider.status"),
        ("keyfactor_provider.operations.late", "keyfactor_standins.command.world"),
        ("keyfactor_standins.late", "keyfactor_provider.status"),
        ("keyfactor_provider.operations.late", "tests"),
        ("keyfactor_provider.operations.late", "pulumi"),
        ("keyfactor_provider.dynamic.late", "tf"),
        ("keyfactor_provider.terraform.late", "rich"),
    ],
)
def test_an_import_the_wrong_way_breaks_a_contract(house: Path, module: str, wrong: str) -> None:
    file = (house / module.replace(".", "/")).with_suffix(".py")
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\ndef late():\n    import {wrong}\n")
    try:
        ran = contracts(house)
    finally:
        file.write_text(before) if before is not None else file.unlink()
    told = " ".join(ran.stdout.split())
    assert (ran.returncode, "1 broken" in told) == (1, True), ran.stdout + ran.stderr
    assert f"{module} -> {wrong}" in told, ran.stdout


def test_a_module_without_a_place_in_the_house_breaks_a_contract(house: Path) -> None:
    (house / "keyfactor_provider" / "attic.py").write_text("")
    try:
        ran = contracts(house)
    finally:
        (house / "keyfactor_provider" / "attic.py").unlink()
    assert (ran.returncode, "keyfactor_provider.attic" in ran.stdout) == (1, True), ran.stdout + ran.stderr


def loaded(statement: str, *modules: str) -> set[str]:
    """Those of the modules that a new interpreter has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*{{*{modules!r}}} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_every_public_name_is_there() -> None:
    for name in keyfactor_provider.__all__:
        assert getattr(keyfactor_provider, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Orchestrators'"):
        _ = keyfactor_provider.Orchestrators


SCHEMA = (
    "from keyfactor_provider.terraform.servicer import Servicer\n"
    "from keyfactor_provider.terraform.provider import CommandProvider\n"
    "Servicer(CommandProvider()).GetProviderSchema(None, None)"
)
"""Terraform's first request to the plugin in every run."""

CHECK = (
    "from keyfactor_provider.dynamic.host import HOST\n"
    "import os; os.environ['KEYFACTOR_AUTH_ACCESS_TOKEN'] = 't'; os.environ['KEYFACTOR_HOSTNAME'] = 'h'\n"
    "assert HOST.operations().before.check_settings(required=True) == []"
)
"""What every run of a Pulumi program has to do for its fleets; if nothing changes, it asks Command nothing."""


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import keyfactor_provider", ("pulumi", "httpx", "msgspec")),
        ("import keyfactor_provider.dynamic", ("httpx", "tenacity")),
        (CHECK, ("httpx", "tenacity", "truststore")),
        ("import keyfactor_provider.command.client", ("click", "pygments", "rich")),
        (SCHEMA, ("httpx",)),
        (f"{SCHEMA}\nimport keyfactor_provider.operations.run", ("pulumi",)),
    ],
    ids=[
        "the package",
        "a program with fleets",
        "a run without changes",
        "a request",
        "Terraform's schema",
        "a run of Terraform's",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str, modules: tuple[str, ...]) -> None:
    assert loaded(statement, *modules) == set()


def _filters_of_the_command() -> set[str]:
    from keyfactor_provider.cli.app import orchestrators

    return {str(option.name) for option in orchestrators.params} - {"form"}


def _filters_of_terraform() -> set[str]:
    from keyfactor_provider.terraform.orchestrators import Orchestrators

    arguments = {attribute.name for attribute in Orchestrators.get_schema().attributes if attribute.optional}
    return {name.removesuffix("_hours") for name in arguments}


@pytest.mark.parametrize(
    "offered",
    [
        lambda: set(inspect.signature(keyfactor_provider.orchestrators).parameters),
        _filters_of_the_command,
        _filters_of_terraform,
    ],
    ids=["dynamic", "cli", "terraform"],
)
def test_every_front_end_offers_every_filter_of_a_look_up(offered: Callable[[], set[str]]) -> None:
    assert offered() == {field.name for field in dataclasses.fields(Filter)}
