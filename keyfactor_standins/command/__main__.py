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

from keyfactor_standins.command.server import Server, build
from keyfactor_standins.command.world import UnreadableStateError, World

EPILOG = """\
It prints one JSON line that says where everything is and how to sign in (the secrets are made up), then serves
until SIGTERM, or until the process that started it is gone. The Keyfactor API is at "url" + /KeyfactorAPI, the
orchestrators' side at "agents_url".

POST "control_url" + /faults makes things go wrong, with the same JSON as --faults, for example
  {"refused": ["GUID"]}                            SetAuthCertificateReenrollment lists it as failed
  {"faults": [{"on": "GET /Agents", "act": "status", "status": 503, "times": 2}]}
POST "control_url" + /world does what somebody else would: {"populate": 5}, {"approve": ["GUID"]}, {"reenroll": ...}.
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
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same GUIDs")
    parser.add_argument(
        "--statuses",
        choices=("names", "mixed", "integers"),
        default="names",
        help="how an answer writes a re-enrollment status: as the vendor's page says (the default), as the "
        "published clients decode it (an integer, but a name in the agent), or always as an integer",
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="keeps its data there, and comes back with it")
    parser.add_argument("--tls", action="store_true", help='https, with a CA of its own: "ca_cert" is its file')
    parser.add_argument("--faults", type=_settings, default={}, metavar="JSON", help="what goes wrong from the start")
    return parser


async def _serve(server: Server, port: int, ca_file: Path | None, parent: int) -> None:
    # A request that a fault holds must not hold the end.
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=server.tls, backlog=512)
    await site.start()
    over = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, over.set)
    print("keyfactor_standins.command: a stand-in for Keyfactor Command, on loopback", file=sys.stderr, flush=True)
    print(json.dumps(server.announcement(runner.addresses[0][1], ca_file)), flush=True)
    while not over.is_set() and os.getppid() == parent:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), 0.5)
    await runner.cleanup()


def main() -> int:
    """Serve; exit code 0 after SIGTERM, 1 where it can't start, 2 for a wrong flag."""
    parent, parser = os.getppid(), _parser()
    given = parser.parse_args()
    if given.unapproved > given.orchestrators:
        parser.error(f"--unapproved {given.unapproved} is more than --orchestrators {given.orchestrators}")
    try:
        world = World(given.seed, given.state)
        if world.new:
            world.populate(given.orchestrators, given.unapproved)
        server = build(world, statuses=given.statuses, tls=given.tls)
        try:
            server.faults.apply(given.faults)
        except (TypeError, ValueError, AttributeError) as error:
            parser.error(f"argument --faults: {error}")
        with contextlib.ExitStack() as stack:
            ca_file = None
            if given.tls:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="keyfactor_standins-command-"))
                ca_file = Path(folder) / "ca.pem"
                ca_file.write_text(server.authority.pem)
            asyncio.run(_serve(server, given.port, ca_file, parent))
    except (OSError, UnreadableStateError) as error:
        hint = "Check that --port is free and that --state names a file that this stand-in wrote, or may write."
        print(f"keyfactor_standins.command can't start: {error}. {hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
