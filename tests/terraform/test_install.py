"""The installed package: it is the same on every machine, and finds the Python that has the provider."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tf

from keyfactor_provider.terraform import install
from keyfactor_provider.terraform.provider import ADDRESS
from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command
from tests.support.modules import BINARIES, FIRST_FOUND, Module
from tests.support.plugin import COOKIE
from tests.support.processes import bare_environment
from tests.support.stacks import ROOT
from tests.terraform.test_terraform import fleet

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

needs_terraform = pytest.mark.skipif(
    FIRST_FOUND is None, reason="neither terraform nor tofu on the PATH: nothing was run with them"
)
SCRIPTS = Path(sys.executable).parent
"""The folder of this environment's console script."""


def package(home: Path) -> dict[str, bytes]:
    """Every file in the mirror of a home, by its path in the mirror."""
    mirror = home / install.MIRROR
    return {str(file.relative_to(mirror)): file.read_bytes() for file in mirror.rglob("*") if file.is_file()}


def pointer(home: Path) -> Path:
    """The pointer in a home."""
    (file,) = (home / ".terraform.d" / "keyfactorcommand").iterdir()
    return file


def in_home(home: Path, command: Command, binary: str | None = FIRST_FOUND, **environment: str) -> Module:
    """A module that finds the provider through this home alone."""
    assert binary is not None
    home.mkdir(exist_ok=True)
    return Module(binary, home / "module", command, {"HOME": str(home), "TF_CLI_CONFIG_FILE": "", **environment})


def handshake(script: Path, environment: Mapping[str, str]) -> str:
    """The first output line of a plugin that is started as Terraform starts it."""
    with subprocess.Popen(
        [script], env={**COOKIE, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    return line


@pytest.mark.parametrize("binary", BINARIES)
def test_a_plain_init_in_an_empty_directory_finds_the_installed_provider(
    binary: str, command: Command, tmp_path: Path
) -> None:
    module = in_home(tmp_path, command, binary)
    shutil.rmtree(tmp_path / ".terraform.d")
    installed = subprocess.run(
        [SCRIPTS / "terraform-provider-keyfactorcommand", "install"],
        cwd=tmp_path,
        env={**bare_environment(), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Installed {ADDRESS}" in installed.stdout
    ids = command.ids()[:2]
    module.fleets(fleet("edge", ids))
    ran = module.run("init")
    assert ran.exit_code == 0, ran.text
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids))])
    assert "overrides" not in ran.text


@needs_terraform
def test_a_lock_file_made_in_one_home_holds_in_another(shared: Command, tmp_path: Path) -> None:
    one, another = in_home(tmp_path / "one", shared), in_home(tmp_path / 'it\'s "another"', shared)
    assert one.run("init").exit_code == 0
    lock = (one.folder / ".terraform.lock.hcl").read_text()
    another.write(".terraform.lock.hcl", lock)
    ran = another.run("init", "-lockfile=readonly")
    assert ran.exit_code == 0, ran.text
    assert another.run("validate").exit_code == 0
    # A team locks all its platforms, whose script is the same.
    mirror = f"-fs-mirror={tmp_path / 'one' / install.MIRROR}"
    ran = one.run("providers lock", mirror, "-platform=linux_amd64", "-platform=darwin_arm64")
    assert ran.exit_code == 0, ran.text
    assert (one.folder / ".terraform.lock.hcl").read_text() == lock


def test_a_package_is_one_script_with_the_same_bytes_in_every_home(tmp_path: Path) -> None:
    one, another = tmp_path / "one", tmp_path / "another"
    for home, python in ((one, "/usr/bin/python3"), (another, "/opt/it's here/bin/python")):
        install.install(home, python)
    assert package(one) == package(another)
    folders = {str(Path(path).parent) for path in package(one)}
    assert folders >= {f"{ADDRESS}/{RELEASE}/{each}" for each in ("linux_amd64", "darwin_arm64", install.target())}
    assert len(package(one)) == len(folders)
    (content,) = set(package(one).values())
    assert str(ROOT).encode() not in content
    assert pointer(another).read_text() == "/opt/it's here/bin/python\n"


def test_concurrent_installations_leave_complete_files_and_nothing_else(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: install.install(tmp_path, f"/python{number}"), range(24)))
    assert set(package(tmp_path).values()) == {install.SCRIPT.encode()}
    assert re.fullmatch(r"/python\d+\n", pointer(tmp_path).read_text())


@needs_terraform
@pytest.mark.parametrize("found_by", ["the pointer", "the PATH"])
def test_nothing_is_imported_from_terraforms_working_directory(shared: Command, tmp_path: Path, found_by: str) -> None:
    module = in_home(tmp_path, shared, PYTHONPATH=":.", PATH=f"{SCRIPTS}:{os.environ['PATH']}")
    if found_by == "the PATH":
        pointer(tmp_path).unlink()
    for name in ("types", "queue", "sitecustomize", "tf", "grpc", "keyfactor_provider"):
        module.write(f"{name}.py", "from pathlib import Path\nPath('executed').touch()\n")
    module.write("look.tf", 'data "keyfactorcommand_orchestrators" "all" {}\n')
    assert module.run("init").exit_code == 0
    ran = module.run("plan")
    assert ran.exit_code == 0, ran.text
    assert not (module.folder / "executed").exists()


@needs_terraform
def test_if_no_python_has_the_provider_terraform_says_how_to_install_it(shared: Command, tmp_path: Path) -> None:
    module = in_home(tmp_path, shared)
    assert module.run("init").exit_code == 0
    pointer(tmp_path).write_text("/nowhere/bin/python\n")
    module.environment["PATH"] = f"{Path(str(shutil.which(module.binary))).parent}:/usr/bin:/bin"
    ran = module.run("validate")
    assert ran.exit_code == 1
    assert ran.says("pip install", f"keyfactor-provider[terraform]=={RELEASE}")


def test_a_python_with_another_release_than_terraform_selected_is_refused(tmp_path: Path) -> None:
    script = install.install(tmp_path, sys.executable)
    script.write_text(
        script.read_text().replace(f"keyfactor_provider.terraform {RELEASE}", "keyfactor_provider.terraform 9.9.9")
    )
    line = handshake(script, {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    assert "9.9.9" in line
    assert RELEASE in line


def test_without_home_in_the_environment_the_users_home_counts(tmp_path: Path) -> None:
    script = install.install(tmp_path / "home", sys.executable)
    users = tmp_path / "getent"
    users.write_text(f"#!/bin/sh\necho 'me:x:1:1:Me:{tmp_path}/home:/bin/sh'\n")
    users.chmod(0o755)
    assert handshake(script, {"PATH": f"{tmp_path}:/usr/bin:/bin"}).startswith("1|6|unix|")


def test_a_console_script_in_the_working_directory_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = install.install(tmp_path / "home", "/nowhere/bin/python")
    stranger = tmp_path / "terraform-provider-keyfactorcommand"
    stranger.write_text("#!/bin/sh\necho stranger\n")
    stranger.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path in (".:/usr/bin:/bin", ":/usr/bin:/bin"):
        assert "is not installed" in handshake(script, {"HOME": str(tmp_path / "home"), "PATH": path})


def test_without_a_posix_shell_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert install.main("nt") == 1
    assert "POSIX shell" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert install.main() == 1
    assert "keyfactor-provider[terraform]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_not_writable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.touch()
    monkeypatch.setenv("HOME", str(home))
    assert install.main() == 1
    assert str(home) in capsys.readouterr().err


def test_an_install_names_the_machine_as_terraform_does() -> None:
    assert re.fullmatch(r"(linux|darwin)_(amd64|arm64|386)", install.target())
    if terraform := shutil.which("terraform"):
        version = subprocess.run([terraform, "version", "-json"], capture_output=True, text=True, check=True).stdout
        assert json.loads(version)["platform"] == install.target()


@needs_terraform
def test_from_a_wheel_it_installs_and_runs_without_a_checkout(command: Command, tmp_path: Path) -> None:
    wheels, python = tmp_path / "wheels", tmp_path / "environment" / "bin" / "python"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    environment = [sys.executable, "-m", "venv", str(tmp_path / "environment")]
    for command_line in (build, environment):
        subprocess.run(command_line, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    # Dependencies come from this environment, but not this checkout, because its `.pth` files are not read.
    (packages,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(tf.__file__).parents[1]}\n")
    module = in_home(tmp_path / "home", command)
    shutil.rmtree(tmp_path / "home" / ".terraform.d")
    subprocess.run(
        [python.parent / "terraform-provider-keyfactorcommand", "install"],
        cwd=tmp_path,
        env={**bare_environment(), "HOME": str(tmp_path / "home")},
        check=True,
    )
    assert pointer(tmp_path / "home").read_text() == f"{python}\n"
    module.fleets(fleet("edge", command.ids()[:2]))
    assert module.run("init").exit_code == 0
    ran = module.run("apply")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(command.ids()[:2]))]), ran.text
