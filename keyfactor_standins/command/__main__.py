"""`python -m keyfactor_standins.command`: serves on loopback until SIGTERM, or until its parent process ends."""

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
It prints one JSON line with its addresses and credentials (generated at the start), then serves until SIGTERM, or
until the process that started it ends. The Keyfactor API is at "url"/"api_path", the API for orchestrators at
"agents_url".

In a CI job whose steps are separate processes, start it in the background with --stay --env-file FILE, wait until FILE
exists, and put its lines into the environment of the following steps.

POST "control_url" + /faults makes requests fail, with the same JSON as --faults, for example
  {"refused": ["GUID"]}                            SetAuthCertificateReenrollment lists it as failed
  {"faults": [{"on": "GET /Agents", "act": "status", "status": 503, "times": 2}]}
DELETE "control_url" + /faults restores the settings of the start.
POST "control_url" + /world changes the server from outside the API, for example
  {"populate": 5}      {"approve": ["GUID"]}      {"reenroll": ["GUID"]}
  {"now": "2026-11-28T06:00:00Z", "check_in": ["GUID", "GUID 2"], "fail": {"GUID 2": "No extension for renewals."}}
GET "control_url" + /journal lists every request so far. keyfactor_standins/command/faults.py describes all of it.

Keyfactor's Go clients require https, and most of them port 443: use --tls --port 443, with "ca_cert" as their CA.
"""


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def _port(text: str) -> int:
    if _count(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected 0 to 65535")
    return int(text)


def _job_types(text: str) -> int:
    if _count(text) > jobtypes.MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is too many; expected 0 to {jobtypes.MOST}")
    return int(text)


def _settings(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is not a JSON object; expected for example {{"page_cap": 10}}')
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keyfactor_standins.command",
        description="A stand-in for Keyfactor Command, for trials and tests. It is not Keyfactor Command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=_port, default=0, help="on 127.0.0.1; 0, the default, picks a free one")
    parser.add_argument(
        "--orchestrators", type=_count, default=12, metavar="N", help="orchestrators to start with; default 12"
    )
    parser.add_argument("--unapproved", type=_count, default=0, metavar="N", help="how many of them are not approved")
    parser.add_argument(
        "--without-certificate",
        type=_count,
        default=0,
        metavar="N",
        help="how many of them use no client certificate, so they never re-enroll",
    )
    parser.add_argument(
        "--job-types",
        type=_job_types,
        default=1,
        metavar="N",
        help="each orchestrator has 1 to N job types: 1, the default, makes it 0.6 kB, 17 up to 3 kB; 0 for none",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same GUIDs")
    parser.add_argument(
        "--statuses",
        choices=("names", "mixed", "integers"),
        default="names",
        help="how responses write a status: by name, as on the vendor's page (the default); as the published clients "
        "decode it (an integer, but a name in the agent); or always as an integer",
    )
    parser.add_argument(
        "--api-path",
        choices=(API_PATH, "Keyfactor/API"),
        default=API_PATH,
        help="path of the API: the default of the installer, or that of the recorded server",
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the data in this file, across restarts")
    parser.add_argument("--tls", action="store_true", help='serve https with a generated CA; "ca_cert" is its file')
    parser.add_argument(
        "--faults", type=_settings, default={}, metavar="JSON", help="faults and settings from the start"
    )
    parser.add_argument("--stay", action="store_true", help="keep serving when the process that started it ends")
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="once it serves, write NAME=VALUE lines for clients to this file (overwritten); removed at the end",
    )
    return parser


def _write_environment(file: Path, announced: dict[str, str]) -> None:
    lines = environment(announced) | {"KEYFACTOR_STANDIN_CONTROL_URL": announced["control_url"]}
    news = file.with_name(f"{file.name}.new")
    news.touch(0o600)
    news.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    # Atomic, so that a step that waits for the file never reads a part of it.
    news.replace(file)


async def _serve(server: Server, given: argparse.Namespace, ca_file: Path | None, parent: int) -> None:
    # A request that a fault delays must not delay the shutdown.
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", given.port, ssl_context=server.tls, backlog=512)
        await site.start()
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
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
    """Serve; returns 0 after SIGTERM, 1 if it cannot start, 2 for a wrong option."""
    parent, parser = os.getppid(), _parser()
    given = parser.parse_args()
    for flag in ("unapproved", "without_certificate"):
        if (count := getattr(given, flag)) > given.orchestrators:
            name = flag.replace("_", "-")
            parser.error(f"--{name} {count} is more than --orchestrators {given.orchestrators}")
    try:
        if given.env_file:
            # The file of an earlier run must not be taken for that of this one.
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
            "Check that --port is free, that --state names a new file or one that this stand-in wrote, and that the "
            "folder of --env-file exists."
        )
        print(f"keyfactor_standins.command can't start: {error}. {hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
