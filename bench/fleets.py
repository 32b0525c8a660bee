"""Whole runs of large fleets: the requests to Command, the provider's own time, and the size of the state."""

import json
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.measure import Goal, Row, Section, seconds
from bench.stack import Stack
from keyfactor_provider.command.roster import PAGE_SIZE
from keyfactor_standins.command.process import Command, running

HOW = """`up` on `keyfactor_standins/engine` of a new stack with one fleet of 10,000 members, all that Command has. The
requests are counted in Command's journal. The provider's own time is taken in its host process: its check, diff and
create, without the time in httpx's transport (connecting, sending, waiting, receiving). Each repetition is a new stack
and requests the other status. The 200 fleets share the 10,000 members, 50 each; the number of list reads is how often
the first page was requested. A preview has one provider process. Sizes are those of the exported state, divided by the
number of members: the fleet's inputs and outputs together without `__provider`, as compact JSON (UTF-8), and the whole
export, indented as `pulumi stack export` prints it; `__provider` is one of the two copies of a resource."""

SIZE = 10_000
FLEETS = 200
_BATCH = 500
_REPETITIONS = 5


def large_fleets() -> Section:
    """The section."""
    with running("--orchestrators", str(SIZE)) as command, TemporaryDirectory() as folder:
        rows = [*_one_fleet(command, Path(folder)), *_many_fleets(command, Path(folder))]
    return Section("Large fleets", HOW, rows)


def _one_fleet(command: Command, folder: Path) -> list[Row]:
    ids = command.ids()
    reads, posts, own, http = [], [], [], []
    for repetition in range(_REPETITIONS):
        times = folder / "times.json"
        stack = Stack(
            folder / f"one-{repetition}",
            command,
            "bench.timed",
            "TimedReenrollment",
            {"BENCH_TIMES": str(times)},
        )
        stack.declare([{"name": "all", "orchestrator_ids": ids, "status": ("Requested", "Required")[repetition % 2]}])
        command.forget()
        stack.run("up")
        journal = command.journal()
        reads.append(sum(entry["method"] == "GET" for entry in journal))
        posts.append(sum(entry["method"] == "POST" for entry in journal))
        sums = json.loads(times.read_text())
        own.append(sums["provider"] - sums["http"])
        http.append(sums["http"])
    pages = ceil(SIZE / PAGE_SIZE)
    return [
        Row(f"up of {SIZE:,} members: reads ({pages} pages)", reads, "", Goal("at most", 2 * (pages + 1))),
        Row(f"up of {SIZE:,} members: posts", posts, "", Goal("exactly", ceil(SIZE / _BATCH))),
        Row(
            f"up of {SIZE:,} members: the provider's own time",
            own,
            "s",
            Goal("at most", 1),
            f"besides {seconds(median(http))} of HTTP calls",
        ),
        *_sizes(stack),
    ]


def _sizes(stack: Stack) -> list[Row]:
    (resource,) = stack.resources()
    sealed = {bag: resource[bag].pop("__provider", "") for bag in ("inputs", "outputs")}
    compact = sum(len(_compact(resource[bag])) for bag in sealed)
    provider = max(len(text.encode()) for text in sealed.values())
    return [
        Row("__provider in the state", [provider], "bytes", Goal("at most", 199)),
        Row("state per member, compact JSON", [compact / SIZE], "bytes", Goal("at most", 399)),
        Row("state per member, as exported", [len(stack.exported().encode()) / SIZE], "bytes"),
    ]


def _many_fleets(command: Command, folder: Path) -> list[Row]:
    ids = command.ids()
    share = SIZE // FLEETS
    stack = Stack(folder / "many", command, "keyfactor_provider", "OrchestratorReenrollment")
    stack.declare(
        [
            {
                "name": f"fleet-{number:03}",
                "orchestrator_ids": ids[number * share : (number + 1) * share],
                "status": "Requested",
            }
            for number in range(FLEETS)
        ]
    )
    stack.run("up")
    lists, reads = [], []
    for _ in range(3):
        command.forget()
        stack.run("preview", "--expect-no-changes")
        asked = [entry for entry in command.journal() if entry["method"] == "GET"]
        lists.append(sum(_page(entry) == "1" for entry in asked))
        reads.append(len(asked))
    what = f"no-change preview of {FLEETS} fleets that share {SIZE:,} agents"
    return [
        Row(f"{what}: times that the list is read", lists, "", Goal("at most", 1)),
        Row(f"{what}: requests", reads, ""),
    ]


def _page(entry: dict[str, Any]) -> str:
    page: str = entry["query"].get("PageReturned", "")
    return page


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
