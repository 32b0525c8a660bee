"""examples/automation_api: several environments concurrently, with the real CLI if there is one."""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from examples.automation_api.__main__ import Environment, Outcome, error_line, run_all, table
from tests.support.commands import fresh
from tests.support.stacks import NO_REAL_PULUMI, REAL_PULUMI, ROOT


def environments(number: int) -> list[Environment]:
    return [Environment(f"e{place}", "h", "u", "P", []) for place in range(number)]


def test_no_more_run_at_a_time_than_is_allowed_and_the_outcomes_keep_their_order() -> None:
    both = threading.Barrier(2, timeout=20)
    lock = threading.Lock()
    running_now, most = 0, 0

    def run(environment: Environment) -> Outcome:
        nonlocal running_now, most
        with lock:
            running_now += 1
            most = max(most, running_now)
        # Fails unless two run at a time.
        both.wait()
        with lock:
            running_now -= 1
        return Outcome(environment.name, "", {})

    assert [one.environment for one in run_all(environments(6), run, at_once=2)] == ["e0", "e1", "e2", "e3", "e4", "e5"]
    assert most == 2


def test_the_table_has_a_line_for_each_environment() -> None:
    counts: dict[str, int | None] = {"requested": 5, "queued": 20, "overdue": None}
    lines = table([Outcome("north", "", counts), Outcome("south", "1 orchestrator failed", None)]).splitlines()
    assert lines[1].split() == ["north", "5", "-", "-", "20", "-", "-", "succeeded"]
    assert lines[2].split()[:7] == ["south", *"------"]
    assert lines[2].endswith("1 orchestrator failed")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("\n code: 1\n stderr:\nerror: update failed\nerror: edge: 1 failed\n", "edge: 1 failed"),
        ("\n code: 255\n", "code: 255"),
        ("", "no output"),
    ],
)
def test_a_failure_is_told_by_the_line_that_has_the_reason(output: str, told: str) -> None:
    assert error_line(output) == told


@pytest.mark.engine
@pytest.mark.timeout(180)
@pytest.mark.skipif(REAL_PULUMI is None, reason=NO_REAL_PULUMI)
def test_one_environment_that_fails_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    with ExitStack() as stack:
        north, south = (stack.enter_context(fresh(3)) for _ in range(2))
        south.faults(refused=south.ids()[:1])
        entries = [
            {
                "name": name,
                "hostname": command.url,
                "username": "{KEYFACTOR_DOMAIN}\\{KEYFACTOR_USERNAME}".format_map(command.environment()),
                "password_from": f"{name.upper()}_PASSWORD",
                "orchestrators": command.ids(),
                "waves": [2],
            }
            for name, command in (("north", north), ("south", south))
        ]
        (tmp_path / "environments.yaml").write_text(yaml.safe_dump(entries))
        ran = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "automation_api"), "environments.yaml"],
            cwd=tmp_path,
            env={
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "HOME": os.environ["HOME"],
                "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE": "x",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "NORTH_PASSWORD": north.environment()["KEYFACTOR_PASSWORD"],
                "SOUTH_PASSWORD": south.environment()["KEYFACTOR_PASSWORD"],
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert ran.returncode == 1, ran.stdout + ran.stderr
        *_, first, second = ran.stdout.splitlines()
        assert first.split()[:5] == ["north", "2", "0", "0", "1"], ran.stdout
        assert first.endswith("succeeded")
        assert second.split()[0] == "south"
        assert second.split()[6] == "1"
        assert [len(ids) for _, ids in north.posts()] == [2]
