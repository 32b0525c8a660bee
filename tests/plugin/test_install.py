"""What `--install` installs: the same bytes everywhere, and a start script that finds its Python."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from keyfactor_provider.plugin.install import SCRIPT, archive, install
from keyfactor_provider.version import RELEASE
from tests.plugin.programs import ROOT

NAME = "pulumi-resource-keyfactor"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The start script, unpacked as by Pulumi."""
    folder = tmp_path / "resource-keyfactor"
    with tarfile.open(fileobj=io.BytesIO(archive())) as tar:
        tar.extractall(folder, filter="data")
    return folder / NAME


def test_the_archive_depends_only_on_the_release(script: Path) -> None:
    assert archive() == archive()
    assert script.read_text() == SCRIPT
    assert script.stat().st_mode & 0o777 == 0o755
    assert RELEASE in SCRIPT
    assert not [part for part in (str(ROOT), sys.prefix, str(Path.home())) if part in SCRIPT]


def started(script: Path, path: str = "/usr/bin:/bin", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [script, "--version"], env={"PATH": path, **environment}, capture_output=True, text=True, check=False
    )


def test_the_script_starts_the_python_of_its_pointer(script: Path, tmp_path: Path) -> None:
    python = tmp_path / "with blanks"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH $@"\n')
    python.chmod(0o755)
    (script.parent / "python").write_text(f"{python}\n")
    ran = started(script, PYTHONPATH="/tmp/evil")
    assert ran.stdout.split() == ["-E", "-P", "-m", "keyfactor_provider.plugin", "--version"]


def test_without_a_pointer_the_script_runs_the_console_script_on_the_path(script: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    console = tmp_path / "bin" / NAME
    console.write_text("#!/bin/sh\necho console $@\n")
    console.chmod(0o755)
    assert started(script, f"{tmp_path / 'bin'}:/usr/bin:/bin").stdout.split() == ["console", "--version"]


def test_the_script_never_starts_itself(script: Path) -> None:
    ran = started(script, f"{script.parent}:/usr/bin:/bin")
    assert (ran.returncode, "--install" in ran.stderr) == (1, True)


def test_a_missing_python_is_an_error(script: Path) -> None:
    (script.parent / "python").write_text("/nowhere/bin/python\n")
    ran = started(script)
    assert (ran.returncode, f"keyfactor-provider[plugin]=={RELEASE}" in ran.stderr) == (1, True)


@pytest.mark.parametrize(("system", "told"), [("nt", "POSIX"), ("posix", "no pulumi on the PATH")])
def test_an_impossible_installation_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, system: str, told: str
) -> None:
    if system == "nt":
        (tmp_path / "pulumi").write_text("#!/bin/sh\n")
        (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install(system) == 1
    assert told in capsys.readouterr().err
