"""Small programs on the stand-in, compared with the real CLI if there is one."""

from pathlib import Path

import pytest

from tests.engine.cases import CASES, REFUSED, Run, up
from tests.engine.engines import REAL, Stage

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_case(case: list[Run], tmp_path: Path) -> None:
    """The exit code, the changing calls and the output of each run."""
    stage = Stage(tmp_path)
    for number, run in enumerate(case):
        told = stage.tell(run)
        changing = sorted(told.changing) if run.at_once else told.changing
        assert (number, told.exit_code, ", ".join(changing)) == (number, run.exit_code, run.calls), told.text
        assert "not the Pulumi CLI" in told.text
        for each in run.says:
            assert each in told.text


@pytest.mark.parametrize(("before", "program", "says"), REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_support_is_refused_by_name(tmp_path: Path, before: str, program: str, says: str) -> None:
    stage = Stage(tmp_path)
    if before:
        assert stage.tell(up(program=before)).exit_code == 0
    told = stage.tell(up(program=program))
    assert (told.exit_code, told.changing) == (1, [])
    assert says in told.text
    assert "is not supported by this stand-in" in told.text


@pytest.mark.skipif(REAL is None, reason="no pulumi CLI on the PATH: exit codes, calls and states were not compared")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_the_cli(case: list[Run], tmp_path: Path) -> None:
    """Exit codes, provider calls and states are the same after each run."""
    ours, real = Stage(tmp_path / "ours"), Stage(tmp_path / "real", real=True)
    for number, run in enumerate(case):
        mine, theirs = ours.tell(run), real.tell(run)
        assert (number, mine.trace) == (number, theirs.trace), f"{mine.text}\n--- the CLI\n{theirs.text}"
