"""Imports go one way; the rule is tried on a tree that breaks it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyfactor_provider

ROOT = Path(__file__).resolve().parents[1]
HOUSE = "keyfactor_provider"

CORE = {"errors", "guid", "status", "version", "vocabulary", "messages", "text"}
MAY_IMPORT = {
    **{module: set[str]() for module in CORE},
    "reenrollment": CORE | {"reenrollment"},
    "command": CORE | {"command"},
    "operations": CORE | {"command", "reenrollment", "operations"},
    "dynamic": CORE | {"command", "reenrollment", "operations", "dynamic"},
    "terraform": CORE | {"command", "reenrollment", "operations", "terraform"},
    "__init__": CORE | {"dynamic", "operations"},
    "scripts": {"terraform"},
}
"""What each room may import of this project; front ends never import each other."""

ENGINES = {"dynamic": "pulumi", "terraform": "tf"}


def breaches(house: Path) -> Iterator[str]:
    """Every import that goes the wrong way."""
    for file in sorted(house.rglob("*.py")):
        room = file.relative_to(house).parts[0].removesuffix(".py")
        for name in _imported(ast.parse(file.read_text())):
            top, _, rest = name.partition(".")
            if top == HOUSE:
                other = rest.split(".")[0]
                if other and other not in MAY_IMPORT[room]:
                    yield f"{file.relative_to(house)} imports {name}"
            elif top in ("keyfactor_standins", "tests") or (top in ENGINES.values() and ENGINES.get(room) != top):
                yield f"{file.relative_to(house)} imports {name}"


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == HOUSE:
                yield from (f"{HOUSE}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_imports_go_one_way() -> None:
    assert list(breaches(ROOT / HOUSE)) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("reenrollment/life.py", "from keyfactor_provider.command import wire"),
        ("reenrollment/life.py", "from keyfactor_provider import operations"),
        ("command/client.py", "from keyfactor_provider.reenrollment.record import Record"),
        ("command/client.py", "import keyfactor_provider.dynamic"),
        ("operations/run.py", "import pulumi"),
        ("operations/run.py", "from keyfactor_provider.dynamic import ReenrollmentProvider"),
        ("terraform/server.py", "from keyfactor_provider.dynamic.program import Run"),
        ("errors.py", "from keyfactor_provider.status import ReenrollmentStatus"),
        ("operations/lookup.py", "from keyfactor_standins.command.world import World"),
    ],
)
def test_an_import_the_wrong_way_is_found(tmp_path: Path, file: str, line: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"def late():\n    {line}\n")
    assert len(list(breaches(tmp_path))) == 1


def test_every_public_name_is_there_and_nothing_heavy_comes_with_the_package() -> None:
    for name in keyfactor_provider.__all__:
        assert getattr(keyfactor_provider, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Orchestrators'"):
        _ = keyfactor_provider.Orchestrators
    loaded = "import sys, keyfactor_provider; print({'pulumi', 'httpx', 'msgspec'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_a_program_that_declares_fleets_loads_no_http_client() -> None:
    loaded = "import sys, keyfactor_provider.dynamic; print({'httpx', 'tenacity', 'authlib'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_the_terraform_plugin_loads_no_pulumi_and_its_schema_no_http_client() -> None:
    loaded = (
        "import sys; from keyfactor_provider.terraform.servicer import Servicer; "
        "from keyfactor_provider.terraform.provider import CommandProvider; "
        "Servicer(CommandProvider()).GetProviderSchema(None, None); "
        "print({'httpx', 'authlib'} & set(sys.modules)); "
        "import keyfactor_provider.operations.run; print({'pulumi'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["set()", "set()"]
