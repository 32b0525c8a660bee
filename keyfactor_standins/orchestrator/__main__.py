"""`python -m keyfactor_standins.orchestrator`: a fleet in one process, until SIGTERM or until its parent ends.

The address and the credentials come from the environment: AGENTS_URL, KEYFACTOR_USERNAME, KEYFACTOR_PASSWORD,
KEYFACTOR_DOMAIN and, for a private CA, KEYFACTOR_CA_CERT.
"""

import argparse
import os
import signal
import sys
import threading

import httpx

from keyfactor_standins.orchestrator.orchestrator import Orchestrator

NEEDED = ("AGENTS_URL", "KEYFACTOR_USERNAME", "KEYFACTOR_PASSWORD", "KEYFACTOR_DOMAIN")


def _known(text: str) -> tuple[str, str]:
    agent_id, equals, machine = text.partition("=")
    if not (agent_id and equals and machine):
        raise argparse.ArgumentTypeError(f"{text!r} is not GUID=MACHINE")
    return agent_id, machine


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keyfactor_standins.orchestrator",
        description="Stand-ins for Keyfactor orchestrators. They are not Keyfactor's orchestrators.",
    )
    parser.add_argument("--register", type=int, default=0, metavar="N", help="how many new orchestrators to register")
    parser.add_argument("--name", default="edge", help="names their machines NAME-001, NAME-002, ...")
    parser.add_argument(
        "--adopt",
        type=_known,
        nargs="*",
        default=[],
        metavar="GUID=MACHINE",
        help="orchestrators that Command has already",
    )
    parser.add_argument("--failing", nargs="*", default=[], metavar="MACHINE", help="machines whose renewals fail")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="time between sessions")
    parser.add_argument("--once", action="store_true", help="run one session each, then exit")
    return parser


def _fleet(given: argparse.Namespace) -> list[Orchestrator]:
    url, user, password, domain = (os.environ[name] for name in NEEDED)
    known = [*given.adopt, *(("", f"{given.name}-{number + 1:03}") for number in range(given.register))]
    return [
        Orchestrator(
            url,
            (f"{domain}\\{user}", password),
            machine,
            agent_id=agent_id,
            ca=os.environ.get("KEYFACTOR_CA_CERT", ""),
            failing=machine in given.failing,
        )
        for agent_id, machine in known
    ]


def _session(orchestrator: Orchestrator) -> tuple[str, bool]:
    try:
        return orchestrator.session(), True
    except httpx.HTTPStatusError as error:
        return f"no session: HTTP {error.response.status_code}", False
    except httpx.HTTPError as error:
        return f"no session: {type(error).__name__}: {error}", False


def main() -> int:
    """Run the fleet; returns 1 if it cannot start or, with --once, if one could not reach Command, otherwise 0."""
    parent, parser = os.getppid(), _parser()
    given = parser.parse_args()
    if missing := [name for name in NEEDED if name not in os.environ]:
        print(f"The orchestrator can't start: {', '.join(missing)} not set in the environment", file=sys.stderr)
        return 1
    if not given.adopt and given.register < 1:
        parser.error("no orchestrators: expected --register N or --adopt GUID=MACHINE")
    try:
        fleet = _fleet(given)
    except OSError as error:
        ca = os.environ.get("KEYFACTOR_CA_CERT")
        print(f"The orchestrator can't start: KEYFACTOR_CA_CERT {ca!r} can't be used: {error}", file=sys.stderr)
        return 1
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    printed, trouble = dict[Orchestrator, str](), False
    while not over.is_set() and os.getppid() == parent:
        for orchestrator in fleet:
            if over.is_set():
                break
            result, reached = _session(orchestrator)
            trouble |= not reached
            if printed.get(orchestrator) != result:
                print(f"{orchestrator.machine} {orchestrator.agent_id}: {result}", flush=True)
            printed[orchestrator] = result
        if given.once:
            break
        over.wait(given.every)
    for orchestrator in fleet:
        orchestrator.close()
    return 1 if given.once and trouble else 0


if __name__ == "__main__":
    sys.exit(main())
