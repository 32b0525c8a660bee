"""The loop and the schedule of the roll-out example over simulated days."""

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.recipes.shell import Shell, phases, project
from tests.support.commands import fresh
from tests.support.days import ERROR, Life, scheduled
from tests.support.stacks import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

DAY = 24 * 3600


@pytest.fixture
def command() -> Iterator[Command]:
    """A Command with twelve orchestrators, on a Monday morning."""
    with fresh(12) as command:
        command.world(now="2027-03-01T08:00:00Z")
        yield command


def test_the_loop_stops_when_too_many_are_bad_and_ends_when_nobody_is_queued_or_pending(
    command: Command, tmp_path: Path
) -> None:
    ids = command.ids()
    daily, dead, failing = [ids[2], ids[5], ids[11]], ids[3], ids[6]
    life = Life(
        control=command.said["control_url"],
        hourly=[each for each in ids if each not in (*daily, dead)],
        daily=daily,
        failing=[failing],
    )
    config = {
        "orchestrators": ids,
        "canaries": ids[:1],
        "waves": [3, "50%", "100%"],
        "max-failed": "1",
        "overdue-after": "1d",
    }
    folder = project("rollout", tmp_path / "project", config)
    shell = Shell(folder, command, {"PULUMI_CONFIG_PASSPHRASE": "x", "PULUMI_BACKEND_URL": f"file://{tmp_path}"})

    def run(script: str) -> "subprocess.CompletedProcess[str]":
        given = life.sleep(tmp_path / "sleep")
        return shell.run(script, {**given, "PATH": f"{tmp_path / 'sleep'}{os.pathsep}{shell.environment['PATH']}"})

    loop, schedule = f"sh loop.sh prod {DAY}", scheduled(ROOT / "examples" / "rollout" / "README.md")
    waves = [(1, tuple(ids[:1])), (1, tuple(ids[1:4])), (1, tuple(ids[4:10]))]

    # The canary, a wave with one dead member, and a wave with one that fails to renew, which exceeds the budget.
    ran = run(loop)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert command.posts() == waves, ran.stdout + ran.stderr
    assert (command.now() - datetime.fromisoformat("2027-03-01T08:00:00Z")).days == 5
    assert f"({failing})" in ran.stdout
    assert ERROR in ran.stdout

    # The roll-out stays halted, and the schedule mails the reason.
    ran = run(schedule)
    assert f"({failing})" in ran.stdout
    assert command.posts() == waves

    # After the repair the rest starts; the dead member is within the budget, so the loop ends.
    life.failing.clear()
    life.passes(DAY)
    ran = run(loop)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert command.posts() == [*waves, (1, tuple(ids[10:]))]
    found = phases(shell)
    assert found.pop(dead) == "pending"
    assert set(found.values()) == {"re-enrolled"}

    # A schedule whose runs succeed mails nothing.
    ran = run(schedule)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    assert len(command.posts()) == 4
