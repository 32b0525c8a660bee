"""`make demo`: a roll-out over a week on the root stack, told in under a minute.

It runs against the stand-in for Command, whose clock it sets, and uses the real Pulumi CLI if there is one. It checks
that the story is what happened, and keeps the engine's output in a file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from keyfactor_standins import cli
from keyfactor_standins.command.process import Command, running
from keyfactor_standins.plain import printable

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".demo"
CONFIG = ROOT / "Pulumi.demo.yaml"
CONSOLE = Console(highlight=False, width=max(80, shutil.get_terminal_size((100, 0)).columns))

MONDAY = datetime(2027, 3, 1, 8, tzinfo=UTC)
ERROR = "No extension for renewals is installed."
REQUESTED = 1

_MATTERS = re.compile(
    r"""
    (warning:\ |error:\ )? (after\ hook\ "[^"]*"\ failed:\ )? edge:\ [^{].*  # messages about the fleet
    | error:\ no\ changes\ were\ expected .*
    | ~\ [0-9a-f-]{36}: .*\ =>\ "Requested"  # drift of a flag
    """,
    re.VERBOSE,
)
_AFTER_MACHINE = re.compile(r" \([0-9a-f-]{36}\)")


class NotAsToldError(Exception):
    """The run did not go as the story says."""


@dataclass(frozen=True)
class Ran:
    """The result of a command: its exit code, its output, and its requests as statuses with GUIDs."""

    code: int
    text: str
    posts: list[tuple[int, tuple[str, ...]]]


class Story:
    """The demo's stack, run by one engine at the times of the story."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.real = cli.find()
        backend = PLACE / "backend"
        backend.mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEYFACTOR_")},
            **command.environment(),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_HOME": str(PLACE / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "demo",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        if self.real:
            CONSOLE.print(f"Engine: the real Pulumi CLI, {self.real}")
            self._call([str(self.real), "stack", "init", "demo", "--cwd", str(ROOT), "--non-interactive"])
        else:
            CONSOLE.print(
                "Engine: keyfactor_standins/engine, because there is no Pulumi CLI 3.238.0 or newer on the PATH. "
                "`make pulumi` installs one."
            )

    def at(self, days: float, text: str) -> None:
        """Set the clock to this many days after the beginning, and tell what happens next."""
        now = MONDAY + timedelta(days=days)
        self._command.world(now=now.isoformat())
        CONSOLE.print(f"\n[bold yellow]{now:%a %H:%M}  {text}[/]")

    def check_in(self, agent_ids: Iterable[str], failing: Mapping[str, str] | None = None) -> None:
        """Run two sessions of each: in the first it enrolls if its flag is set, the second uses the certificate."""
        for _ in range(2):
            self._command.world(check_in=list(agent_ids), fail=dict(failing or {}))

    def run(self, *arguments: str) -> Ran:
        """Run one command, show the important lines, and log its whole output."""
        before = len(self._command.posts())
        shown = f"[bold cyan]$ pulumi {' '.join(arguments)}[/]"
        where = ["--stack", "demo", "--cwd", str(ROOT)]
        confirmed = [] if arguments[0] == "preview" else ["--yes", "--skip-preview"]
        if self.real:
            line = [str(self.real), *arguments, *where, *confirmed, "--non-interactive", "--color", "never"]
        else:
            line = [sys.executable, "-m", "keyfactor_standins.engine", *arguments, *where, *confirmed]
        with CONSOLE.status(shown):
            code, text = self._call(line)
        CONSOLE.print(f"{shown}  [dim]exit code {code}[/]")
        for message in what_matters(text):
            CONSOLE.print(Padding(escape(printable(message)), (0, 0, 0, 2)))
        return Ran(code, text, self._command.posts()[before:])

    def _call(self, line: Sequence[str]) -> tuple[int, str]:
        done = subprocess.run(
            line,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (PLACE / "log.txt").open("a") as log:
            log.write(f"$ {' '.join(line)}\n{done.stdout}exit code {done.returncode}\n\n")
        return done.returncode, done.stdout


def what_matters(text: str) -> list[str]:
    """The messages about the fleet in an engine's output, without repetitions and GUIDs after machine names."""
    lines = (line.strip() for line in text.splitlines())
    return list(dict.fromkeys(_AFTER_MACHINE.sub("", line) for line in lines if _MATTERS.fullmatch(line)))


def expect(true: bool, told: str) -> None:
    """Check a statement of the story.

    Raises:
        NotAsToldError: it is not true.
    """
    if not true:
        raise NotAsToldError(told)


def declare(fleet: Mapping[str, object]) -> None:
    """Write the stack's config; JSON is valid YAML."""
    kept = [line for line in _lines(CONFIG) if line.startswith("encryptionsalt")]
    entry = f"  keyfactor-reenrollment:fleets: {json.dumps([fleet])}"
    CONFIG.write_text("\n".join([*kept, "config:", entry, ""]))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def play(command: Command) -> None:
    """Play the story.

    Raises:
        NotAsToldError: something else happened.
    """
    story = Story(command)
    command.world(now=MONDAY.isoformat())
    command.world(populate=24)
    edge = [agent["agent_id"] for agent in command.agents() if agent["client_machine"].startswith("edge")]
    canary, first, rest = edge[0], edge[1:5], edge[5:]
    bad = first[-1]
    declare(
        {
            "name": "edge",
            "rule": {"machine": "edge-*", "at_least": 12},
            "status": "Requested",
            "canaries": [canary],
            "waves": [4, "100%"],
            "overdue_after": "2d",
        }
    )

    story.at(0, "12 orchestrators must enroll for a new certificate: one canary, then 4, then the rest.")
    ran = story.run("preview")
    expect(ran.code == 0 and not ran.posts, "a preview succeeds and changes nothing")
    ran = story.run("up")
    expect(ran.code == 0 and ran.posts == [(REQUESTED, (canary,))], "only the canary is requested")

    story.check_in([canary])
    story.at(1, "The canary has re-enrolled and uses its new certificate. The first wave starts.")
    ran = story.run("up")
    expect(ran.code == 0 and ran.posts == [(REQUESTED, tuple(first))], "the four of the first wave are requested")

    story.check_in(first, {bad: ERROR})
    story.at(4, "One of the four could not renew. After more than 2 days it is overdue, and the roll-out halts.")
    ran = story.run("up")
    expect(ran.code != 0 and not ran.posts, "the run fails and requests no orchestrator")
    expect(bad in ran.text and ERROR in ran.text, "it names the overdue orchestrator with Command's error")

    story.check_in([bad])
    story.at(4.1, "It has been repaired and has re-enrolled. The next run starts the rest.")
    ran = story.run("up")
    expect(ran.code == 0 and ran.posts == [(REQUESTED, tuple(rest))], "only the rest is requested")

    story.check_in(rest[1:])
    command.world(change={rest[0]: {"flag": 0}})
    story.at(5, "All but one have re-enrolled; the flag of that one was cleared by hand. The drift check finds it.")
    ran = story.run("preview", "--refresh", "--expect-no-changes", "--diff")
    expect(ran.code != 0 and not ran.posts and rest[0] in ran.text, "drift is found")
    ran = story.run("up")
    expect(ran.code == 0 and ran.posts == [(REQUESTED, (rest[0],))], "only that one is requested again")

    story.check_in([rest[0]])
    story.at(6, "Every orchestrator has re-enrolled, which is not drift.")
    ran = story.run("preview", "--refresh", "--expect-no-changes")
    expect(ran.code == 0 and not ran.posts, "nothing has drifted")
    done = [agent for agent in command.agents() if agent["agent_id"] in edge]
    expect(all(agent["last_thumbprint_used"] == agent["thumbprint"] for agent in done), "every certificate is in use")


def main() -> int:
    """Play the demo; returns 0 if everything happened as told."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    try:
        with running("--orchestrators", "0") as command:
            CONSOLE.print("Keyfactor Command is a stand-in on loopback, whose clock the story sets.")
            play(command)
    except NotAsToldError as error:
        CONSOLE.print(f"[bold red]The demo did not go as told:[/] expected that {error}.")
        return 1
    finally:
        CONFIG.unlink(missing_ok=True)
        for kept in ("backend", "home"):
            shutil.rmtree(PLACE / kept, ignore_errors=True)
        CONSOLE.print(f"The engine's complete output: {PLACE / 'log.txt'}", soft_wrap=True)
    CONSOLE.print("[bold green]The story went as told.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
