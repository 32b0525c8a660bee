"""`make demo`: the main job told as a story, on the root stack, in under a minute.

It plays against the stand-ins for Command and its orchestrators, with the real Pulumi CLI if there is one,
and checks that what it tells is what happened.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keyfactor_standins import cli
from keyfactor_standins.command.process import Command, running
from keyfactor_standins.plain import printable

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".demo"
CONFIG = ROOT / "Pulumi.demo.yaml"
CONSOLE = Console(highlight=False, soft_wrap=True, width=max(100, shutil.get_terminal_size().columns))


class NotAsToldError(Exception):
    """What happened is not what the story says."""


class Story:
    """The demo's stack, run by one engine."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.real = cli.find()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEYFACTOR_")},
            **command.environment(),
            "PULUMI_BACKEND_URL": f"file://{PLACE}",
            "PULUMI_HOME": str(PLACE / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "demo",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        if self.real:
            CONSOLE.print(f"[bold]Engine:[/] the real Pulumi CLI, {self.real}")
            self._call([str(self.real), "stack", "init", "demo", "--cwd", str(ROOT), "--non-interactive"])
        else:
            CONSOLE.print(
                "[bold]Engine:[/] keyfactor_standins/engine, since no Pulumi CLI of 3.238.0 or newer is on the PATH.\n"
                "To see it on the real one: `make pulumi`, then `make demo` again."
            )

    def run(self, *arguments: str) -> tuple[int, list[tuple[int, tuple[str, ...]]]]:
        """Runs one command before the reader's eyes; its exit code, and what Command was asked."""
        before = len(self._command.posts())
        CONSOLE.print(f"[bold cyan]$ pulumi {' '.join(arguments)} --stack demo[/]")
        where = ["--stack", "demo", "--cwd", str(ROOT)]
        confirmed = [] if arguments[0] == "preview" else ["--yes", "--skip-preview"]
        if self.real:
            line = [str(self.real), *arguments, *where, *confirmed, "--non-interactive", "--color", "never"]
        else:
            line = [sys.executable, "-m", "keyfactor_standins.engine", *arguments, *where, *confirmed]
        code = self._call(line)
        CONSOLE.print(f"[dim]exit code {code}[/]")
        return code, self._command.posts()[before:]

    def _call(self, line: Sequence[str]) -> int:
        sys.stdout.flush()
        return subprocess.run(line, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, check=False).returncode

    def orchestrators(self, agents: Sequence[dict[str, str]]) -> "subprocess.Popen[bytes]":
        """Switches orchestrators on."""
        known = [f"{agent['agent_id']}={agent['client_machine']}" for agent in agents]
        return subprocess.Popen(
            [sys.executable, "-m", "keyfactor_standins.orchestrator", "--every", "0.3", "--adopt", *known],
            cwd=ROOT,
            env={**os.environ, **self._command.environment(), "AGENTS_URL": self._command.said["agents_url"]},
        )


def declare(*fleets: dict[str, object]) -> None:
    """Writes the stack's config; JSON is YAML too."""
    kept = [line for line in _lines(CONFIG) if line.startswith("encryptionsalt")]
    entry = f"  keyfactor-reenrollment:fleets: {json.dumps(fleets)}"
    CONFIG.write_text("\n".join([*kept, "config:", entry, ""]))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def tell(text: str) -> None:
    """One paragraph of the story."""
    CONSOLE.print(f"\n[bold yellow]{text}[/]")


def expect(true: bool, told: str) -> None:
    """Holds the story to what happened.

    Raises:
        NotAsToldError: it is not so.
    """
    if not true:
        raise NotAsToldError(told)


def play(command: Command) -> None:
    """The story.

    Raises:
        NotAsToldError: something went otherwise.
    """
    story = Story(command)
    before = {agent["agent_id"]: agent for agent in command.agents()}
    edge = [each for each, agent in before.items() if agent["client_machine"].startswith("edge")]
    core = [each for each, agent in before.items() if agent["client_machine"].startswith("core")]
    fleet: dict[str, object] = {
        "name": "edge",
        "orchestrators": edge,
        "status": "Requested",
        "wait": True,
        "timeout": 30,
    }
    declare(fleet)

    tell("1. Six orchestrators are to enroll for a new certificate. What would happen?")
    code, posts = story.run("preview")
    expect(code == 0 and not posts, "a preview changes nothing")

    tell("2. It is done, but Command refuses two of them. The run fails and names them; the rest is recorded.")
    command.faults(refused=edge[:2])
    code, posts = story.run("up")
    expect(code != 0 and posts == [(1, tuple(edge))], "the run fails, and all six were asked in one call")
    if story.real:
        CONSOLE.print(
            "[dim]A KeyboardInterrupt traceback under the stack is the CLI's own: it interrupts the program of every "
            "run that fails.[/]"
        )

    tell("3. Whatever was wrong with the two is mended. The next preview names what is left to do.")
    command.faults(refused=[])
    code, _ = story.run("preview")
    expect(code == 0, "the preview succeeds")

    tell("4. The orchestrators come online, each with a new key. The run asks the two alone, and waits.")
    running_fleet = story.orchestrators([before[each] for each in edge])
    try:
        code, posts = story.run("up")
        expect(code == 0 and posts == [(1, tuple(edge[:2]))], "the two are asked, nobody else, and all complete")

        tell("5. A pipeline's drift check: re-enrolled orchestrators are no drift.")
        code, _ = story.run("preview", "--refresh", "--expect-no-changes")
        expect(code == 0, "nothing has drifted")
    finally:
        running_fleet.terminate()
        running_fleet.wait(10)

    tell("6. A second fleet, by a rule; its orchestrators are switched off, so their requests stay pending.")
    declare(fleet, {"name": "core", "rule": {"machine": "core-*", "at_least": 3}, "status": "Requested"})
    code, posts = story.run("up")
    expect(code == 0 and posts == [(1, tuple(core))], "the new fleet alone is asked")

    tell("7. Somebody clears a flag behind the stack's back. The drift check finds it.")
    command.world(change={core[0]: {"flag": 0}})
    code, _ = story.run("preview", "--refresh", "--expect-no-changes", "--diff")
    expect(code != 0, "drift is found")

    tell("8. Destroy takes back the requests that still stand, and nothing else.")
    code, posts = story.run("destroy")
    expect(code == 0 and posts == [(0, tuple(core[1:]))], "the pending requests are taken back")

    tell("What became of the fleet")
    show(command, before)


def show(command: Command, before: dict[str, dict[str, object]]) -> None:
    """The fleet at the end, next to its beginning."""
    table = Table()
    for column in ("orchestrator", "flag", "certificate before", "certificate now", "in use"):
        table.add_column(column)
    flags = command.flags()
    for agent in sorted(command.agents(), key=lambda each: str(each["client_machine"])):
        old, new = str(before[agent["agent_id"]]["thumbprint"]), str(agent["thumbprint"])
        now = new[:12] if new != old else "the same"
        used = "yes" if agent["last_thumbprint_used"] == agent["thumbprint"] else "no"
        # rich reads "[bold]" in a name as its markup.
        machine = escape(printable(str(agent["client_machine"])))
        table.add_row(machine, escape(flags[agent["agent_id"]]), old[:12], now, used)
    CONSOLE.print(table)


def main() -> int:
    """Play it; 0 when everything went as told."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    try:
        with running("--orchestrators", "12") as command:
            CONSOLE.print("Keyfactor Command and its orchestrators are stand-ins here, on loopback.")
            play(command)
    except NotAsToldError as error:
        CONSOLE.print(f"[bold red]The demo did not go as told:[/] expected that {error}.")
        return 1
    finally:
        CONFIG.unlink(missing_ok=True)
        shutil.rmtree(PLACE, ignore_errors=True)
    CONSOLE.print("[bold green]The story went as told, its failure included.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
