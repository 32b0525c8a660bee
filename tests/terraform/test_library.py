"""The library of the Terraform front end; without it no other test here is collected (conftest)."""

import subprocess
import sys

import pytest

from tests.support.stacks import ROOT

OLD = sys.version_info < (3, 11)


@pytest.mark.skipif(OLD, reason="the library tf needs Python 3.11: the Terraform front end was not tested")
def test_the_library_is_there() -> None:
    import tf

    assert tf


@pytest.mark.skipif(not OLD, reason="this Python has the library tf: what happens without it was not tested")
@pytest.mark.parametrize("module", ["keyfactor_provider.terraform", "keyfactor_provider.terraform.install"])
def test_with_an_older_python_one_line_says_what_is_needed(module: str) -> None:
    ran = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert "needs Python 3.11 or newer" in ran.stderr
