"""`make dist` packages the right files, and builds the same bytes every time."""

import os
import shutil
import tarfile
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import keyfactor_provider
from keyfactor_provider.version import RELEASE
from tests.packages.conftest import build
from tests.support.stacks import ROOT

PACKAGES = ("keyfactor_provider", "keyfactor_standins")
BESIDE = {"README.md", "CHANGELOG.md", "SECURITY.md"}


def sources() -> set[str]:
    """The files of both packages in this checkout."""
    return {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_version_is_one(dist: Path) -> None:
    assert keyfactor_provider.__version__ == RELEASE
    assert {file.name for file in dist.iterdir()} == {
        f"keyfactor_provider-{RELEASE}-py3-none-any.whl",
        f"keyfactor_provider-{RELEASE}.tar.gz",
    }


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    info = f"keyfactor_provider-{RELEASE}.dist-info/"
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if not name.startswith(info)} == sources()
    assert {"keyfactor_provider/py.typed", "keyfactor_standins/py.typed"} <= set(names)


def test_the_source_package_holds_what_the_wheel_is_built_from_and_nothing_else(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert names == sources() | BESIDE | {"pyproject.toml", ".gitignore", "PKG-INFO"}


def test_each_front_end_has_an_extra_and_all_has_every_one(wheel: Path) -> None:
    metadata = PathDistribution(zipfile.Path(wheel, f"keyfactor_provider-{RELEASE}.dist-info/")).metadata
    extras = set(metadata.get_all("Provides-Extra") or ())
    assert extras == {"all", "cli", "plugin", "pulumi", "terraform", "testing"}
    requirements = [Requirement(each) for each in metadata.get_all("Requires-Dist") or ()]

    def needs(extra: str) -> set[str]:
        return {f"{each.name}{each.specifier}" for each in requirements if each.marker and extra in str(each.marker)}

    assert needs("all") == set().union(*(needs(extra) for extra in extras))


@pytest.mark.parametrize("again", ["touched and with other rights", "from the source package"])
def test_a_second_build_has_the_same_bytes(dist: Path, wheel: Path, tmp_path: Path, again: str) -> None:
    if again == "from the source package":
        (archive,) = dist.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(tmp_path, filter="data")
        (tree,) = tmp_path.iterdir()
    else:
        tree = tmp_path / "elsewhere"
        for package in PACKAGES:
            shutil.copytree(ROOT / package, tree / package, copy_function=shutil.copyfile)
        for name in (*BESIDE, "pyproject.toml", ".gitignore"):
            shutil.copyfile(ROOT / name, tree / name)
        (tree / "notes.txt").write_text("not for others")
        for file in tree.rglob("*.py"):
            file.chmod(0o600)
            os.utime(file, (0, 0))
    rebuilt = build(tree, tmp_path / "dist")
    for file in [wheel] if again == "from the source package" else list(dist.iterdir()):
        assert (rebuilt / file.name).read_bytes() == file.read_bytes(), file.name
