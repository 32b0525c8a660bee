"""examples/ci-gitlab: the scripts of its jobs, with GitLab's API replaced by a server on loopback."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from keyfactor_standins.command.process import Command
from tests.recipes.shell import Shell, phases
from tests.support.stacks import ROOT

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "ci-gitlab" / ".gitlab-ci.yml").read_text())
MARKER = "<!-- keyfactor-reenrollment summary -->"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on the PATH: the calls to GitLab were not tried"),
]


class GitLab(ThreadingHTTPServer):
    """GitLab's API for the notes of merge request 12 and the issues of project 34; requires the token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        theirs = {"id": 1, "author": {"username": "mallory"}, "body": f"{MARKER}\nlooks good to me"}
        self.collections: dict[str, list[dict[str, Any]]] = {
            "/api/v4/projects/34/merge_requests/12/notes": [theirs],
            "/api/v4/projects/34/issues": [],
        }

    @property
    def notes(self) -> list[dict[str, Any]]:
        """The notes of the merge request."""
        return next(iter(self.collections.values()))

    @property
    def issues(self) -> list[tuple[int, str]]:
        """The number and state of each issue."""
        return [(issue["iid"], issue["state"]) for issue in self.collections["/api/v4/projects/34/issues"]]


class _Handler(BaseHTTPRequestHandler):
    server: GitLab

    def _answer(self) -> None:
        place = urlsplit(self.path)
        fields = self._fields()
        status: int = 404
        answer: Any = {}
        if self.headers["PRIVATE-TOKEN"] != "glpat-x":
            status = 401
        elif (found := self.server.collections.get(place.path)) is not None:
            status, answer = self._collection(found, place, fields)
        elif (found := self.server.collections.get(place.path.rpartition("/")[0])) is not None:
            (one,) = [one for one in found if str(one.get("iid", one["id"])) == place.path.rpartition("/")[2]]
            if fields.pop("state_event", "") == "close":
                one["state"] = "closed"
            status, answer = 200, one
            one |= fields
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  # the server looks for these names

    def _fields(self) -> dict[str, str]:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        return {name: values[0] for name, values in parse_qs(content, strict_parsing=bool(content)).items()}

    def _collection(self, found: list[dict[str, Any]], place: Any, fields: dict[str, str]) -> tuple[int, Any]:
        if self.command == "POST":
            number = len(found) + 1
            found.append({"id": number, "author": {"username": "bot"}, **fields})
            if "title" in fields:
                found[-1] |= {"iid": number, "state": "opened"}
            return 201, found[-1]
        state = parse_qs(place.query).get("state", [""])[0]
        return 200, [one for one in found if not state or one["state"] == state]

    def log_message(self, *_: Any) -> None:
        """Write nothing to stderr."""


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    """A GitLab server on loopback."""
    server = GitLab()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run_job(shell: Shell, gitlab: GitLab, name: str, **variables: str) -> "CompletedProcess[str]":
    """Run a job as a runner does: `before_script` with `script`, then `after_script`, whose exit code is ignored."""
    environment = {
        **{key: value for key, value in PIPELINE["variables"].items() if "$" not in value},
        "CI_API_V4_URL": f"http://127.0.0.1:{gitlab.server_port}/api/v4",
        "CI_PROJECT_ID": "34",
        "CI_MERGE_REQUEST_IID": "12",
        "CI_JOB_URL": "https://gitlab.example/acme/fleet/-/jobs/77",
        "GITLAB_API_TOKEN": "glpat-x",
        "GITLAB_API_USER": "bot",
        **variables,
    }
    job = PIPELINE[name]
    ran = shell.run("\n".join(PIPELINE["default"]["before_script"] + job["script"]), environment, "-eo", "pipefail")
    for script in job.get("after_script", ()):
        after = shell.run(script, environment)
        assert after.returncode == 0, after.stderr
    return ran


def test_a_merge_request_has_one_note_however_often_it_is_previewed(
    shell: Shell, gitlab: GitLab, command: Command
) -> None:
    for _ in range(2):
        ran = run_job(shell, gitlab, "preview")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        theirs, ours = gitlab.notes
        assert "looks good" in theirs["body"]
        assert ours["body"].startswith(MARKER)
        assert command.ids()[0] in ours["body"]
    assert command.posts() == []


def test_a_preview_of_more_than_the_limit_is_red(shell: Shell, gitlab: GitLab) -> None:
    assert run_job(shell, gitlab, "preview", MAX_REQUESTS="0").returncode == 7


def test_up_stops_before_it_requests_more_than_the_limit(shell: Shell, gitlab: GitLab, command: Command) -> None:
    shell.run("pulumi up --stack prod --yes --skip-preview", {})
    before = command.posts()
    command.world(reenroll=command.ids()[:1])
    assert run_job(shell, gitlab, "up", MAX_REQUESTS="1").returncode == 7
    assert command.posts() == before


def test_the_schedule_requests_a_wave_a_run(shell: Shell, gitlab: GitLab, command: Command) -> None:
    canary, *rest = command.ids()
    assert (first := run_job(shell, gitlab, "up")).returncode == 0, first.stdout + first.stderr
    command.world(reenroll=[canary])
    assert run_job(shell, gitlab, "up").returncode == 0
    assert [ids for _, ids in command.posts()] == [(canary,), tuple(sorted(rest)[:2])]
    assert (shell.folder / "status.html").exists()


def test_the_nightly_check_opens_one_issue_and_closes_it_when_all_is_well(
    shell: Shell, gitlab: GitLab, command: Command
) -> None:
    canary = command.ids()[0]
    assert run_job(shell, gitlab, "up").returncode == 0
    assert run_job(shell, gitlab, "check").returncode == 0
    assert gitlab.issues == []
    command.world(now="2030-01-01T00:00:00Z")
    for _ in range(2):
        assert (late := run_job(shell, gitlab, "check")).returncode == 0, late.stdout + late.stderr
        assert gitlab.issues == [(1, "opened")]
    command.world(reenroll=[canary])
    assert run_job(shell, gitlab, "check").returncode == 0
    assert gitlab.issues == [(1, "closed")]


def test_with_command_down_up_and_check_are_red_and_no_issue_is_opened(
    shell: Shell, gitlab: GitLab, command: Command
) -> None:
    command.faults(faults=[{"on": verb, "act": "status", "status": 503} for verb in ("GET", "POST")])
    assert run_job(shell, gitlab, "up").returncode == 1
    assert set(phases(shell).values()) == {"due"}
    assert run_job(shell, gitlab, "check").returncode == 6
    assert gitlab.issues == []
