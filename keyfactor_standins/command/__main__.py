"""`python -m keyfactor_standins.command`: serves on loopback until SIGTERM, or until its parent is gone."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web

from keyfactor_standins.command import API_PATH, environment, jobtypes
from keyfactor_standins.command.server import Server, build
from keyfactor_standins.command.world import UnreadableStateError, World

EPILOG = """\
It prints one JSON line that says where everything is and how to sign in (the secrets are made up), then serves
until SIGTERM, or until the process that started it is gone. The Keyfactor API is at "url"/"api_path", the
orchestrators' side at "agents_url".

For a CI job whose steps are processes of their own: start it in the background with --stay --env-file FILE, wait
until FILE is there, and put its lines into the environment of the steps that follow.

POST "control_url" + /faults makes things go wrong, with the same JSON as --faults, for example
  {"refused": ["GUID"]}                            SetAuthCertificateReenrollment lists it as failed
  {"faults": [{"on": "GET /Agents", "act": "status", "status": 503, "times": 2}]}
DELETE "control_url" + /faults switches all of that back to what it was at the start.
POST "control_url" + /world lets something happen beside the API, for example
  {"populate": 5}      {"approve": ["GUID"]}      {"reenroll": ["GUID"]}
  {"now": "2026-11-28T06:00:00Z", "check_in": ["GUID", "GUID 2"], "fail": {"GUID 2": "No extension for renewals."}}
GET "control_url" + /journal lists every request so far. keyfactor_standins/command/faults.py describes all of it.

Keyfactor's Go clients want https, and most of them port 443: --tls --port 443, with "ca_cert" as their CA.
"""


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def _port(text: str) -> int:
    if _count(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535")
    return int(text)


def _job_types(text: str) -> int:
    if _count(text) > jobtypes.MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is too many; expected 0 to {jobtypes.MOST}")
    return int(text)


def _settings(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object; expected for example {{"page_cap": 10}}')
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keyfactor_standins.command",
        description="A stand-in for Keyfactor Command, for trying and testing. It is not Keyfactor Command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_port, default=0, help="on 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument(
        "--orchestrators", type=_count, default=12, metavar="N", help="a fleet to begin with, 12 unless told"
    )
    parser.add_argument("--unapproved", type=_count, default=0, metavar="N", help="so many of them not approved yet")
    parser.add_argument(
        "--without-certificate",
        type=_count,
        default=0,
        metavar="N",
        help="so many of them use no client certificate, so they never re-enroll",
    )
    parser.add_argument(
        "--job-types",
        type=_job_types,
        default=1,
        metavar="N",
        help="an orchestrator has one to so many of them: 1, the default, makes 0.6 kB, 17 up to 3 kB, 0 none at all",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same GUIDs")
    parser.add_argument(
        "--statuses",
        choices=("names", "mixed", "integers"),
        default="names",
        help="how an answer writes a re-enrollment status: as the vendor's page says (the default), as the "
        "published clients decode it (an integer, but a name in the agent), or always as an integer",
    )
    parser.add_argument(
        "--api-path",
        choices=(API_PATH, "Keyfactor/API"),
        default=API_PATH,
        help="of the API: the default of its installer, or that of the recorded server",
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="keeps its data there, and comes back with it")
    parser.add_argument("--tls", action="store_true", help='https, with a CA of its own: "ca_cert" is its file')
    parser.add_argument("--faults", type=_settings, default={}, metavar="JSON", help="what goes wrong from the start")
    parser.add_argument("--stay", action="store_true", help="serves on when the process that started it is gone")
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="writes NAME=VALUE lines for clients there once it serves, over whatever the file holds; gone at its end",
    )
    return parser


def _write_environment(file: Path, announced: dict[str, str]) -> None:
    lines = environment(announced) | {"KEYFACTOR_STANDIN_CONTROL_URL": announced["control_url"]}
    news = file.with_name(f"{file.name}.new")
    news.touch(0o600)
    news.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    # Whoever waits for the file finds it whole.
    news.replace(file)


async def _serve(server: Server, given: argparse.Namespace, ca_file: Path | None, parent: int) -> None:
    # A request that a fault holds must not hold the end.
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", given.port, ssl_context=server.tls, backlog=512)
        await site.start()
        over = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, over.set)
        if given.stay:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        announced = server.announcement(runner.addresses[0][1], ca_file)
        if given.env_file:
            _write_environment(given.env_file, announced)
        print("keyfactor_standins.command: a stand-in for Keyfactor Command, on loopback", file=sys.stderr, flush=True)
        print(json.dumps(announced), flush=True)
        while not over.is_set() and (given.stay or os.getppid() == parent):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over.wait(), 0.5)
        if given.env_file:
            given.env_file.unlink(missing_ok=True)
    finally:
        await runner.cleanup()


def main() -> int:
    """Serve; exit code 0 after SIGTERM, 1 where it can't start, 2 for a wrong flag."""
    parent, parser = os.getppid(), _parser()
    given = parser.parse_args()
    for flag in ("unapproved", "without_certificate"):
        if (some := getattr(given, flag)) > given.orchestrators:
            name = flag.replace("_", "-")
            parser.error(f"--{name} {some} is more than --orchestrators {given.orchestrators}")
    try:
        if given.env_file:
            # What an earlier run left behind must not be taken for this one's.
            given.env_file.unlink(missing_ok=True)
        world = World(given.seed, given.state)
        if world.new:
            world.populate(given.orchestrators, given.unapproved, given.without_certificate)
        server = build(world, statuses=given.statuses, tls=given.tls, api_path=given.api_path)
        try:
            server.faults.begin({"job_types": given.job_types} | given.faults)
        except (TypeError, ValueError, AttributeError) as error:
            parser.error(f"argument --faults: {error}")
        with contextlib.ExitStack() as stack:
            ca_file = None
            if given.tls:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="keyfactor_standins-command-"))
                ca_file = Path(folder) / "ca.pem"
                ca_file.write_text(server.authority.pem)
            asyncio.run(_serve(server, given, ca_file, parent))
    except (OSError, UnreadableStateError) as error:
        hint = (
            "Check that --port is free, that --state names a file that this stand-in wrote, or may write, and that the "
            "folder of --env-file is there."
        )
        print(f"keyfactor_standins.command can't start: {error}. {hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
