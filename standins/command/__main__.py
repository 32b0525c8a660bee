"""`python -m standins.command`: serves on loopback until SIGTERM, or until its parent is gone."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from standins.command.server import Server, build
from standins.command.world import World


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m standins.command",
        description="A stand-in for Keyfactor Command, for trying and testing. It is not Keyfactor Command.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--orchestrators", type=int, default=12, metavar="N", help="a fleet to begin with")
    parser.add_argument("--unapproved", type=int, default=0, metavar="N", help="of them, not approved yet")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same GUIDs")
    parser.add_argument("--statuses", choices=("names", "mixed", "integers"), default="names")
    parser.add_argument("--state", type=Path, metavar="FILE", help="comes back with its data")
    parser.add_argument("--tls", action="store_true", help="https, with a CA of its own")
    parser.add_argument("--faults", type=json.loads, default={}, metavar="JSON", help="as for POST control_url/faults")
    return parser.parse_args()


async def _serve(server: Server, port: int, folder: Path) -> None:
    # A request that a fault holds must not hold the end.
    runner = web.AppRunner(server.application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=server.tls, backlog=512)
    await site.start()
    bound = runner.addresses[0][1]
    ca_file = None
    if server.tls:
        ca_file = folder / "ca.pem"
        ca_file.write_text(server.authority.pem)
    print(json.dumps(server.announcement(bound, ca_file)), flush=True)
    print("standins.command: a stand-in for Keyfactor Command, on loopback", file=sys.stderr, flush=True)
    over = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, over.set)
    parent = os.getppid()
    while not over.is_set() and os.getppid() == parent:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), 0.5)
    await runner.cleanup()


def main() -> int:
    """Serve; exit code 0 after SIGTERM, 1 where it can't start."""
    given = _arguments()
    try:
        world = World(given.seed, given.state)
        if not world.agents:
            world.populate(given.orchestrators, given.unapproved)
        server = build(world, statuses=given.statuses, tls=given.tls)
        server.faults.apply(given.faults)
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_serve(server, given.port, Path(folder)))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        print(f"standins.command can't start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
