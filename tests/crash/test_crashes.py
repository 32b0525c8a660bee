"""kill -9 at random moments of an `up`: the next one finishes the job and requests no re-enrolled member again."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.crash import processes
from tests.crash.job import BATCHES, Base, Run, members

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

VICTIMS = ("engine", "program", "host", "command")
JOBS = ("asking", "waiting")
FIRST = int(os.environ.get("CRASH_SEED", "0"))
"""Set another number to test other moments."""
SEEDS = [FIRST, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(FIRST + 1, FIRST + 25))]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base.make(tmp_path_factory.mktemp("crash") / "base")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_kill_the_next_up_finishes_the_job(base: Base, folder: Path, job: str, victim: str, seed: int) -> None:
    chance = random.Random(f"{job} {victim} {seed}")
    # Some moments are before the first call, the others between two calls or during the wait after the last one.
    moment = chance.randint(-15, BATCHES - 6)
    with base.copied(folder, job) as run:
        begun_and_left_alone(run, moment, base.seconds, chance)
        result = run.kill(victim, chance)
        code, output = run.ended()
        print(f"{job}, {victim}, seed {seed}: at call {moment}: {result}, exit code {code}\n{output}")
        saved = run.stack.resources()
        assert set(re.findall(r"OrchestratorReenrollment (\S+) created\b", output)) <= saved.keys()
        finishes(run, members(saved), chance)


@pytest.mark.parametrize("job", JOBS)
def test_ctrl_c_stops_cleanly_with_every_request_in_the_state(base: Base, folder: Path, job: str) -> None:
    chance = random.Random(job)
    with base.copied(folder, job) as run:
        begun_and_left_alone(run, BATCHES // 2, base.seconds, chance)
        assert processes.hit(run.stack.folder, "engine", signal.SIGINT)
        code, output = run.ended(deadline=15)
        assert code == 8, output
        assert "pending_operations" not in run.stack.export()["deployment"]
        saved = members(run.stack.resources())
        assert standing(run) <= saved.keys()
        finishes(run, saved, chance)


def begun_and_left_alone(run: Run, moment: int, first_call: float, chance: random.Random) -> None:
    """Run the job for this many calls while some orchestrators re-enroll; below 1, stop before the first call."""
    run.start()
    if moment < 1:
        until = time.monotonic() + chance.uniform(0.0, first_call)
        while time.monotonic() < until and not run.command.posts():
            time.sleep(0.02)
        return
    calls = min(moment, run.calls)
    run.wait_for_calls(calls // 2)
    run.life_goes_on(chance)
    run.wait_for_calls(calls)
    time.sleep(chance.uniform(0.0, 0.05 if moment < run.calls else 1.5))


def finishes(run: Run, saved: dict[str, dict[str, str]], chance: random.Random) -> None:
    """Assert that the next `up` finishes the job, as the state at its end allows."""
    run.life_goes_on(chance)
    run.canary_reenrolls()
    before, flags = run.thumbprints(), run.command.flags()
    claims_no_more_than_happened(run, saved, before, flags)
    run.command.faults(faults=[])
    run.command.forget()

    run.start()
    code, output = run.ended()
    assert code == 0, output
    requested = [member_id for status, batch in run.command.posts() if status for member_id in batch]
    assert len(requested) == len(set(requested))
    done = {member_id for member_id, member in saved.items() if reenrolled(member, before[member_id])}
    assert not done & set(requested), "known to have re-enrolled, but requested again"
    assert standing(run) <= run.desired_of.keys()

    ran = run.stack.run("up", "--refresh")
    assert (ran.exit_code, ran.posts) == (0, []), ran.text
    recorded, now = members(run.stack.trace[-1][-1]), run.thumbprints()
    assert recorded.keys() == run.desired_of.keys()
    for member_id, member in recorded.items():
        phase = "re-enrolled" if reenrolled(member, now[member_id]) else "pending"
        assert (member_id, member["phase"]) == (member_id, phase)
        # The limit: a member without a recorded baseline may have re-enrolled before its first observation.
        assert member["baseline_thumbprint"] == saved.get(member_id, {}).get("baseline_thumbprint", before[member_id])

    ran = run.stack.run("destroy")
    assert (ran.exit_code, run.stack.trace[-1][-1]) == (0, {}), ran.text
    # The limit again: a request of the killed run may be carried out just after its orchestrator re-enrolled.
    overtaken = {member_id for member_id in done if flags[member_id] != "None"}
    assert standing(run) <= overtaken
    assert not standing(run) or ran.says(*standing(run), "not set by this stack")


def standing(run: Run) -> set[str]:
    """The orchestrators whose flag is set."""
    return {member_id for member_id, flag in run.command.flags().items() if flag != "None"}


def reenrolled(member: dict[str, str], thumbprint: str) -> bool:
    """Whether a recorded member has re-enrolled, by its phase or its certificate."""
    return member["phase"] == "re-enrolled" or member.get("baseline_thumbprint", thumbprint) != thumbprint


def claims_no_more_than_happened(
    run: Run, saved: dict[str, dict[str, str]], thumbprints: dict[str, str], flags: dict[str, str]
) -> None:
    """Assert that the recorded phases are true; a member that the job changes may have changed since."""
    for member_id, member in saved.items():
        if member["phase"] == "re-enrolled":
            assert thumbprints[member_id] != member["baseline_thumbprint"]
        if member["phase"] == "pending" and member["status"] == run.desired_of.get(member_id):
            assert flags[member_id] == member["status"] or thumbprints[member_id] != member["baseline_thumbprint"]
