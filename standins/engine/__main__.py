"""The command line: `python -m standins.engine {preview,up,refresh,destroy,export} --stack NAME ...`."""

import argparse
import json
import os
import sys
from pathlib import Path

from standins.engine.deployment import Options
from standins.engine.engine import Command, execute, open_stack
from standins.engine.errors import EngineError
from standins.engine.project import load_project
from standins.engine.secrets import passphrase
from standins.engine.state import VERSION
from standins.engine.store import state_folder
from standins.engine.versions import satisfies

_NO_CHANGES = 7
"""`pkg/cmd/pulumi/cmd/exit_codes.go`."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m standins.engine",
        description="A stand-in for the Pulumi engine: runs Pulumi Python programs with dynamic resources.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("preview", "up", "refresh", "destroy", "export"):
        command = commands.add_parser(name)
        command.add_argument("--stack", "-s", required=True)
        command.add_argument("--cwd", "-C", default=".", metavar="DIR")
        command.add_argument("--state-dir", metavar="DIR")
        if name == "export":
            continue
        command.add_argument("--diff", action="store_true")
        command.add_argument("--parallel", "-p", type=int, default=4 * (os.cpu_count() or 1), metavar="N")
        if name != "destroy":
            command.add_argument("--expect-no-changes", action="store_true")
        if name in ("preview", "up"):
            command.add_argument("--refresh", "-r", action="store_true")
            command.add_argument("--replace", action="append", default=[], metavar="URN")
        if name in ("up", "destroy"):
            command.add_argument("--continue-on-error", action="store_true")
        if name in ("refresh", "destroy"):
            command.add_argument("--run-program", action="store_true")
        if name != "preview":
            command.add_argument("--yes", "-y", action="store_true")
            command.add_argument("--skip-preview", "-f", action="store_true")
    return parser


def main() -> int:
    """Run the command; its exit code."""
    given = _parser().parse_args()
    try:
        project = load_project(Path(given.cwd).resolve())
        folder = state_folder(
            project.root, given.state_dir, os.environ.get("PULUMI_BACKEND_URL") or project.backend
        )
        phrase = passphrase(os.environ)
        if given.command == "export":
            store, _, vault, _ = open_stack(project, given.stack, folder, phrase)
            print(json.dumps(store.export(vault), indent=4))
            return 0
        print("standins.engine: a stand-in for the Pulumi engine, not the Pulumi CLI", flush=True)
        if project.version_range and not satisfies(VERSION, project.version_range):
            raise EngineError(
                f"Pulumi.yaml requires Pulumi {project.version_range}; this engine follows {VERSION}: use the real"
                " pulumi CLI"
            )
        command = Command(
            name=given.command,
            options=Options(
                preview=given.command == "preview",
                parallel=max(given.parallel, 1),
                continue_on_error=getattr(given, "continue_on_error", False),
                replace=tuple(getattr(given, "replace", ())),
            ),
            diff=given.diff,
            refresh=getattr(given, "refresh", False),
            run_program=getattr(given, "run_program", False),
        )
        outcomes = execute(command, project, given.stack, folder, phrase)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    last = outcomes[-1]
    if last.failed:
        return 1
    if getattr(given, "expect_no_changes", False) and last.changes:
        print("error: no changes were expected but changes were proposed", file=sys.stderr, flush=True)
        return _NO_CHANGES
    return 0


if __name__ == "__main__":
    sys.exit(main())
