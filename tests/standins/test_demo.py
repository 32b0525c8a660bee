"""`make demo`: it runs, fits on a screen, and fails if something else happens than it tells."""

import subprocess
import sys
from pathlib import Path

import pytest

from keyfactor_standins import demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_the_story_goes_as_told_on_less_than_sixty_lines_and_logs_the_rest() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "keyfactor_standins.demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert len(ran.stdout.splitlines()) < 60
    log = (ROOT / ".demo" / "log.txt").read_text()
    assert str(ROOT / ".demo" / "log.txt") in ran.stdout
    assert log.count("--stack demo") == ran.stdout.count("$ pulumi ") == 8
    assert log.count("Resources:") >= 8
    assert not (ROOT / "Pulumi.demo.yaml").exists()


def test_a_story_that_goes_otherwise_fails_and_says_at_which_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "PLACE", tmp_path / "place")
    monkeypatch.setattr(demo, "CONFIG", tmp_path / "config.yaml")
    monkeypatch.setattr("keyfactor_standins.cli.find", lambda: None)
    # Every command succeeds and requests no orchestrator.
    monkeypatch.setattr(demo.Story, "run", lambda *_: demo.Ran(0, "", []))
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "only the canary is requested" in shown
    assert "went as told" not in shown


def test_what_matters_of_an_engines_output_is_shown_once() -> None:
    output = """
     +  pulumi-python:dynamic/keyfactor:OrchestratorReenrollment edge creating edge: requested 1, 11 queued.
        edge: requested 1, 11 queued.
        edge: requested 1, 11 queued.
        error: after hook "re-enrollment of edge" failed: edge: 1 of 12 failed: edge-001.
      ~ 3f2504e0-4f89-11d3-9a0c-0305e82c3301: "Requested" => "None"
      ~ 3f2504e0-4f89-11d3-9a0c-0305e82c3301: "None" => "Requested"
        edge: {
    """
    assert demo.what_matters(output) == [
        "edge: requested 1, 11 queued.",
        'error: after hook "re-enrollment of edge" failed: edge: 1 of 12 failed: edge-001.',
        '~ 3f2504e0-4f89-11d3-9a0c-0305e82c3301: "None" => "Requested"',
    ]
