"""`python -m standins.orchestrator`: a fleet in one process, until SIGTERM or its parent's end.

Where Command is and how to sign in comes from the environment, as it would for any client: AGENTS_URL,
KEYFACTOR_USERNAME, KEYFACTOR_PASSWORD, KEYFACTOR_DOMAIN and, for a private CA, KEYFACTOR_CA_CERT.
"""

import argparse
import os
import signal
import sys
import threading

import httpx

from standins.orchestrator.orchestrator import Orchestrator


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m standins.orchestrator",
        description="Stand-ins for Keyfactor orchestrators. They are not Keyfactor's.",
    )
    parser.add_argument("--register", type=int, default=0, metavar="N", help="so many new ones")
    parser.add_argument("--name", default="edge", help="their machines: NAME-001, NAME-002, ...")
    parser.add_argument("--adopt", nargs="*", default=[], metavar="GUID=MACHINE", help="ones that Command has already")
    parser.add_argument("--failing", nargs="*", default=[], metavar="MACHINE", help="these can't renew")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between sessions")
    parser.add_argument("--once", action="store_true", help="one session each, then end")
    return parser.parse_args()


def main() -> int:
    """Run the fleet; 0 at its end, 1 where settings are missing or, with --once, one could not register."""
    given = _arguments()
    try:
        url, password = os.environ["AGENTS_URL"], os.environ["KEYFACTOR_PASSWORD"]
        user = f"{os.environ['KEYFACTOR_DOMAIN']}\\{os.environ['KEYFACTOR_USERNAME']}"
    except KeyError as error:
        print(f"standins.orchestrator: {error.args[0]} is not set", file=sys.stderr)
        return 1
    known = [tuple(each.partition("=")[::2]) for each in given.adopt]
    known += [("", f"{given.name}-{number + 1:03}") for number in range(given.register)]
    fleet = [
        Orchestrator(
            url,
            (user, password),
            machine,
            agent_id=agent_id,
            ca=os.environ.get("KEYFACTOR_CA_CERT", ""),
            failing=machine in given.failing,
        )
        for agent_id, machine in known
    ]
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    parent, said, trouble = os.getppid(), dict[str, str](), False
    while not over.is_set() and os.getppid() == parent:
        for each in fleet:
            if over.is_set():
                break
            try:
                happened = each.session()
            except httpx.HTTPError as error:
                happened, trouble = f"no session: {type(error).__name__}", True
            if said.get(each.machine) != happened:
                print(f"{each.machine} {each.agent_id}: {happened}", flush=True)
            said[each.machine] = happened
        if given.once:
            break
        over.wait(given.every)
    for each in fleet:
        each.close()
    return 1 if given.once and trouble else 0


if __name__ == "__main__":
    sys.exit(main())
