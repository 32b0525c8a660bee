"""The library of the Terraform front end; without it, no other test here is collected (conftest)."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.stacks import ROOT


@pytest.mark.skipif(find_spec("tf") is None, reason="no library tf, which needs Python 3.11: Terraform was not tested")
def test_the_library_is_there() -> None:
    import tf

    assert tf


def _without(then: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['tf'] = None; {then}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_library_the_script_says_in_one_line_which_extra_is_needed() -> None:
    ran = _without("from keyfactor_provider.scripts import terraform; sys.exit(terraform())")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1), ran.stderr
    assert "keyfactor-provider[terraform]" in ran.stderr


@pytest.mark.parametrize("module", ["terraform", "terraform.install"])
def test_without_the_library_an_import_raises_an_import_error(module: str) -> None:
    ran = _without(f"""exec('try: import keyfactor_provider.{module}\\nexcept ImportError as error: print(error)')""")
    assert ran.returncode == 0, ran.stderr
    assert "keyfactor-provider[terraform]" in ran.stdout
