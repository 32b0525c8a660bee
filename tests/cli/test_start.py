"""The start of the command: its speed, its version, its help, and its errors about missing extras."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from keyfactor_provider.version import RELEASE
from tests.cli.conftest import Cli
from tests.cli.states import DATA

ROOT = Path(__file__).resolve().parents[2]
HEAVY = "{'pulumi', 'tf', 'grpc', 'httpx', 'authlib', 'rich', 'jinja2'}"


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_version_is_the_release(cli: Cli) -> None:
    assert cli("--version").out.split() == ["keyfactor-reenrollment", RELEASE]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["status", "--json", str(DATA / "pulumi-export.json")],
        ["summary", str(DATA / "pulumi-preview.json")],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_loads_no_heavy_module_that_it_does_not_need(arguments: list[str]) -> None:
    ran = _python(
        "import atexit, sys; from keyfactor_provider.cli import main; "
        f"atexit.register(lambda: print('loaded', {HEAVY} & set(sys.modules))); "
        f"sys.argv[1:] = {arguments!r}; main()"
    )
    assert ran.stdout.splitlines()[-1] == "loaded set()"


def test_it_starts_within_three_tenths_of_a_second_of_processor_time() -> None:
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "keyfactor_provider.cli", "--version"], cwd=ROOT, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("library", ["click", "rich", "jinja2"])
def test_a_missing_extra_is_named_in_one_line(library: str, tmp_path: Path) -> None:
    arguments = ["status", str(DATA / "pulumi-export.json"), "--html", str(tmp_path / "page.html")]
    ran = _python(
        f"import sys; sys.modules[{library!r}] = None; from keyfactor_provider.cli import main; "
        f"sys.argv[1:] = {arguments!r}; sys.exit(main())"
    )
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert library in last
    assert "pip install 'keyfactor-provider[cli]'" in last
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["orchestrators", "status", "summary"])
def test_every_command_has_help_with_every_option_explained(cli: Cli, command: str) -> None:
    from keyfactor_provider.cli.app import app

    assert cli(command, "--help").code == 0
    options = [option for option in app.commands[command].params if option.param_type_name == "option"]
    assert all(option.help for option in options)
