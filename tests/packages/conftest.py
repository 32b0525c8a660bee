"""The packages that `make dist` builds, and environments with only these packages.

They are made in fixtures of the whole session, that is before a test's environment is emptied: pip and uv need the
proxies, the index and the cache of whoever runs the tests.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.stacks import ROOT

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Environment:
    """A Python environment outside the checkout.

    Attributes:
        folder: the environment; beside it nothing of this repository.
        outside: an empty folder to run from.
    """

    folder: Path
    outside: Path

    def run(self, *line: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of this environment, outside the checkout, with these additional variables."""
        # What the installers have not compiled is compiled by the first command, and not by each again.
        dropped = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return subprocess.run(
            [str(self.folder / "bin" / line[0]), *line[1:]],
            cwd=self.outside,
            env={**kept, "PATH": path, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def build(source: Path, into: Path) -> Path:
    """Build the source package and the wheel of a tree; returns their folder."""
    line = [sys.executable, "-m", "hatchling", "build", "--directory", str(into)]
    subprocess.run(line, cwd=source, check=True, capture_output=True, text=True)
    return into


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source package and the wheel of this checkout."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The wheel of this checkout."""
    (found,) = dist.glob("*.whl")
    return found


Make = Callable[[str, str], Environment]


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make environments by installer and extras; each is made once."""
    made: dict[tuple[str, str], Environment] = {}
    # The variables for pip and uv, before the tests clear the environment.
    variables = dict(os.environ)

    def call(*line: object) -> None:
        done = subprocess.run(
            [str(part) for part in line], env=variables, cwd=wheel.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def make(installer: str, extras: str) -> Environment:
        if (installer, extras) not in made:
            base = tmp_path_factory.mktemp(f"{installer}-environment")
            (base / "outside").mkdir()
            folder, what = base / "venv", f"{wheel}[{extras}]" if extras else wheel
            if installer == "uv":
                call(UV, "venv", "--quiet", "--no-project", "--python", sys.executable, folder)
                call(UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", what)
            else:
                call(sys.executable, "-m", "venv", folder)
                call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", what)
            made[installer, extras] = Environment(folder, base / "outside")
        return made[installer, extras]

    return make
