"""The outcomes of fleets over several runs: one table for every engine and front end.

Members are numbered by their order in the row; number 9 is a GUID that Command does not have at first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Posts = list[tuple[int, tuple[int, ...]]]

GHOST = 9


@dataclass(frozen=True)
class Step:
    """One run, and the events before it.

    Attributes:
        members: of the fleet; empty removes the fleet.
        posts: the expected calls, in order.
        phases: the expected phases in the record.
        status, more, canaries: the other arguments of the fleet.
        refused: members that Command lists in FailedOrchestratorIds in this run.
        rejected: members for which it answers the whole call with 400.
        change: flags that are changed outside the stack before the run.
        reenroll: members that re-enroll before the run.
        appear: whether the ghost is added before the run.
    """

    members: str
    posts: Posts
    phases: Mapping[int, str]
    status: str = "Requested"
    more: Mapping[str, Any] = field(default_factory=dict)
    canaries: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()
    change: Mapping[int, int] = field(default_factory=dict)
    reenroll: tuple[int, ...] = ()
    appear: bool = False


def every(phase: str, *members: int) -> dict[int, str]:
    """These members, or all of them, in one phase."""
    return dict.fromkeys(members or (0, 1, 2, 3), phase)


REQUESTED = Step("0123", [(1, (0, 1, 2, 3))], every("pending"))
WAVES = {"waves": ["1", "2", "100%"], "max_failed": "0"}
FIRST = Step("0123", [(1, (0,))], every("pending", 0) | every("due", 1, 2, 3), more=WAVES)
SECOND = Step(
    "0123",
    [(1, (1, 2))],
    every("re-enrolled", 0) | every("pending", 1, 2) | every("due", 3),
    more=WAVES,
    reenroll=(0,),
)

ROWS: dict[str, tuple[Step, ...]] = {
    "requested once": (REQUESTED, Step("0123", [], every("pending"))),
    "only rejected members are retried": (
        Step("0123", [(1, (0, 1, 2, 3))], every("rejected", 0, 1) | every("pending", 2, 3), refused=(0, 1)),
        Step("0123", [(1, (0, 1))], every("rejected", 0) | every("pending", 1, 2, 3), refused=(0,)),
        Step("0123", [(1, (0,))], every("pending")),
    ),
    "a member that fails the call is isolated and the others are requested": (
        Step(
            "0123",
            [(1, (0, 1, 2, 3)), (1, (0,)), (1, (1,)), (1, (2,)), (1, (3,))],
            every("pending", 0, 1, 3) | every("rejected", 2),
            rejected=(2,),
        ),
        Step("0123", [(1, (2,))], every("pending")),
    ),
    "re-enrolled members are not requested again": (
        REQUESTED,
        Step("0123", [], every("re-enrolled", 0, 1) | every("pending", 2, 3), reenroll=(0, 1)),
        Step("0123", [], every("re-enrolled"), reenroll=(2, 3)),
    ),
    "cleared and changed flags are requested again": (
        REQUESTED,
        Step("0123", [(1, (0, 1))], every("pending"), change={0: 0, 1: 2}),
    ),
    "members are added and removed": (
        Step("012", [(1, (0, 1, 2))], every("pending", 0, 1, 2)),
        Step("123", [(1, (3,)), (0, (0,))], every("pending", 1, 2, 3)),
        Step("3", [(0, (2,))], every("pending", 3), reenroll=(1,)),
    ),
    "a flag changed outside is kept": (
        REQUESTED,
        Step("3", [(0, (0,))], every("pending", 3), change={1: 0, 2: 2}),
    ),
    "retained flags are kept": (
        Step("0123", [(1, (0, 1, 2, 3))], every("pending"), more={"on_removal": "retain"}),
        Step("01", [], every("pending", 0, 1), more={"on_removal": "retain"}),
    ),
    "Required is requested of members that have not re-enrolled": (
        REQUESTED,
        Step(
            "0123",
            [(2, (2, 3))],
            every("re-enrolled", 0, 1) | every("pending", 2, 3),
            status="Required",
            reenroll=(0, 1),
        ),
    ),
    "None clears, and a new desired status starts a round": (
        REQUESTED,
        Step("0123", [(0, (1, 2, 3))], every("settled"), status="None", reenroll=(0,)),
        Step("0123", [(2, (0, 1, 2, 3))], every("pending"), status="2"),
    ),
    "triggers start a round": (
        REQUESTED,
        Step("0123", [(1, (0, 1))], every("pending"), more={"triggers": {"ca": "2"}}, reenroll=(0, 1)),
    ),
    "a warning in place of an error": (
        Step(
            "0123",
            [(1, (0, 1, 2, 3))],
            every("rejected", 3) | every("pending", 0, 1, 2),
            more={"on_failure": "warn"},
            refused=(3,),
        ),
        Step(
            "0123",
            [(1, (3,))],
            every("rejected", 3) | every("pending", 0, 1, 2),
            more={"on_failure": "warn"},
            refused=(3,),
        ),
        Step("0123", [(1, (3,))], every("pending"), more={"on_failure": "warn"}),
    ),
    "a missing member is requested once Command has it": (
        Step("0129", [(1, (0, 1, 2))], every("pending", 0, 1, 2) | every("missing", GHOST)),
        Step("0129", [], every("pending", 0, 1, 2) | every("missing", GHOST)),
        Step("0129", [(1, (GHOST,))], every("pending", 0, 1, 2, GHOST), appear=True),
    ),
    "a flag that was not cleared is retried": (
        REQUESTED,
        Step("123", [(0, (0,))], every("pending", 1, 2, 3) | every("leaving", 0), refused=(0,)),
        Step("123", [(0, (0,))], every("pending", 1, 2, 3)),
    ),
    "a removed fleet clears its flags": (
        REQUESTED,
        Step("", [(0, (1, 2, 3))], {}, reenroll=(0,)),
    ),
    "a wave is requested once the one before is re-enrolled and in use": (
        FIRST,
        replace(FIRST, posts=[]),
        SECOND,
        Step("0123", [], every("re-enrolled", 0, 1) | every("pending", 2) | every("due", 3), more=WAVES, reenroll=(1,)),
        Step("0123", [(1, (3,))], every("re-enrolled", 0, 1, 2) | every("pending", 3), more=WAVES, reenroll=(2,)),
    ),
    "canaries are requested before everybody else": (
        Step("0123", [(1, (2,))], every("pending", 2) | every("due", 0, 1, 3), canaries=(2,)),
        Step("0123", [], every("pending", 2) | every("due", 0, 1, 3), canaries=(2,)),
        Step(
            "0123", [(1, (0, 1, 3))], every("re-enrolled", 2) | every("pending", 0, 1, 3), canaries=(2,), reenroll=(2,)
        ),
    ),
    "a rejected member halts the waves, and they go on once it is mended": (
        Step("0123", [(1, (0,))], every("rejected", 0) | every("due", 1, 2, 3), more=WAVES, refused=(0,)),
        Step("0123", [(1, (0,))], every("rejected", 0) | every("due", 1, 2, 3), more=WAVES, refused=(0,)),
        FIRST,
        SECOND,
    ),
    "an overdue member halts the waves until it re-enrolls": (
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}),
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}, posts=[]),
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}, posts=[]),
        replace(SECOND, more=WAVES | {"overdue_after": "90m"}),
    ),
    "a paused roll-out requests nobody new and retries drift": (
        replace(FIRST, more=WAVES | {"paused": True}, posts=[], phases=every("due")),
        FIRST,
        Step(
            "0123",
            [(1, (0,))],
            every("pending", 0) | every("due", 1, 2, 3),
            more=WAVES | {"paused": True},
            change={0: 0},
        ),
        Step("0123", [], every("re-enrolled", 0) | every("due", 1, 2, 3), more=WAVES | {"paused": True}, reenroll=(0,)),
        replace(SECOND, reenroll=()),
    ),
    "members that leave in mid-roll-out are cleared only where they were requested": (
        FIRST,
        Step("23", [(1, (2,)), (0, (0,))], every("pending", 2) | every("due", 3), more=WAVES),
    ),
}
