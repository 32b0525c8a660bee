"""The loop and the schedule of the roll-out's example, over simulated days, with the real Terraform."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from keyfactor_standins.command.process import Command
from tests.support.days import ERROR, Life, scheduled
from tests.support.modules import FIRST_FOUND, Module
from tests.support.stacks import ROOT

EXAMPLE = ROOT / "examples" / "terraform" / "rollout"
DAY = 24 * 3600


@pytest.mark.engine
@pytest.mark.timeout(400)
@pytest.mark.skipif(FIRST_FOUND != "terraform", reason="no terraform on the PATH: the loop of its example was not run")
def test_the_loop_stops_when_too_many_are_bad_and_ends_when_none_is_queued_or_pending(
    command: Command, tmp_path: Path
) -> None:
    command.world(now="2027-03-01T08:00:00Z")
    ids = command.ids()[:8]
    daily, dead, failing = [ids[2], ids[7]], ids[3], ids[5]
    life = Life(
        control=command.said["control_url"],
        hourly=[member for member in ids if member not in (*daily, dead)],
        daily=daily,
        failing=[failing],
    )
    module = Module("terraform", tmp_path / "module", command)
    module.write("terraform.tf.json", "")
    for file in ("main.tf", "loop.sh"):
        shutil.copy(EXAMPLE / file, module.folder)
    variables = {
        "orchestrator_ids": ids,
        "canary_ids": ids[:1],
        "waves": ["3", "25%"],
        "max_failed": "1",
        "overdue_after": "1d",
    }
    module.write("terraform.tfvars.json", json.dumps(variables))

    def run(script: str) -> "subprocess.CompletedProcess[str]":
        environment = {**module.environment, **life.sleep(tmp_path / "sleep")}
        path = os.pathsep.join([str(tmp_path / "sleep"), module.environment["PATH"]])
        return subprocess.run(
            ["sh", "-c", script],
            cwd=module.folder,
            env={**environment, "PATH": path, "TF_CLI_ARGS_apply": "-no-color"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    waves = [(1, tuple(ids[:1])), (1, tuple(ids[1:4])), (1, tuple(ids[4:6]))]

    # The canary, a first wave with a dead member, and a second one with a member that fails to renew: one too many.
    ran = run(f"sh loop.sh {DAY}")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert command.posts() == waves, ran.stdout + ran.stderr
    text = " ".join((ran.stdout + ran.stderr).replace("│", "").split())
    assert f"({failing})" in text
    assert ERROR in text

    # Fixed: the rest starts, and the dead member, which the budget allows, does not keep the loop running.
    life.failing.clear()
    life.passes(DAY)
    ran = run(f"sh loop.sh {DAY}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert command.posts() == [*waves, (1, tuple(ids[6:]))]
    assert module.phases("edge") == {**dict.fromkeys(ids, "re-enrolled"), dead: "pending"}

    # A schedule whose runs succeed mails nothing.
    ran = run(scheduled(EXAMPLE / "README.md"))
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    assert len(command.posts()) == 4
