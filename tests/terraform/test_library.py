"""The library of the Terraform front end; without it no other test here is collected (conftest)."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.stacks import ROOT


@pytest.mark.skipif(find_spec("tf") is None, reason="no library tf, which needs Python 3.11: Terraform was not tested")
def test_the_library_is_there() -> None:
    import tf

    assert tf


@pytest.mark.parametrize("module", ["keyfactor_provider.terraform", "keyfactor_provider.terraform.install"])
def test_without_the_library_one_line_says_what_is_needed(module: str) -> None:
    without = f"import runpy, sys; sys.modules['tf'] = None; runpy.run_module({module!r}, run_name='__main__')"
    ran = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1), ran.stderr
    assert "needs its library tf" in ran.stderr
