"""What becomes of fleets over several runs, whoever runs them: one table for every engine and front end.

Members are numbered in their order in the row; a GUID that Command does not have at first is number 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Posts = list[tuple[int, tuple[int, ...]]]

GHOST = 9


@dataclass(frozen=True)
class Step:
    """One run, and what comes before it.

    Attributes:
        members: that the fleet declares; empty removes it.
        status, more, canaries: how it declares them.
        refused: members that Command refuses in this run.
        rejected: members for which it answers the whole call with 400.
        change: flags that somebody else sets before it.
        reenroll: members that re-enroll before it.
        appear: the ghost is added before it.
        posts: what has to be asked, in order.
        phases: what has to be recorded.
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
    """The members all in one phase."""
    return dict.fromkeys(members or (0, 1, 2, 3), phase)


ASKED = Step("0123", [(1, (0, 1, 2, 3))], every("pending"))
WAVES = {"waves": ["1", "2", "100%"], "max_failed": "0"}
FIRST = Step("0123", [(1, (0,))], every("pending", 0) | every("due", 1, 2, 3), more=WAVES)

ROWS: dict[str, tuple[Step, ...]] = {
    "asked once": (ASKED, Step("0123", [], every("pending"))),
    "refused members alone are asked again": (
        Step("0123", [(1, (0, 1, 2, 3))], every("rejected", 0, 1) | every("pending", 2, 3), refused=(0, 1)),
        Step("0123", [(1, (0, 1))], every("rejected", 0) | every("pending", 1, 2, 3), refused=(0,)),
        Step("0123", [(1, (0,))], every("pending")),
    ),
    "a member that spoils the call is found and the others are asked": (
        Step(
            "0123",
            [(1, (0, 1, 2, 3)), (1, (0,)), (1, (1,)), (1, (2,)), (1, (3,))],
            every("pending", 0, 1, 3) | every("rejected", 2),
            rejected=(2,),
        ),
        Step("0123", [(1, (2,))], every("pending")),
    ),
    "re-enrolled members are left alone": (
        ASKED,
        Step("0123", [], every("re-enrolled", 0, 1) | every("pending", 2, 3), reenroll=(0, 1)),
        Step("0123", [], every("re-enrolled"), reenroll=(2, 3)),
    ),
    "cleared and changed flags are set again": (
        ASKED,
        Step("0123", [(1, (0, 1))], every("pending"), change={0: 0, 1: 2}),
    ),
    "one joins and one leaves": (
        Step("012", [(1, (0, 1, 2))], every("pending", 0, 1, 2)),
        Step("123", [(1, (3,)), (0, (0,))], every("pending", 1, 2, 3)),
        Step("3", [(0, (2,))], every("pending", 3), reenroll=(1,)),
    ),
    "a flag of somebody else is left alone": (
        ASKED,
        Step("3", [(0, (0,))], every("pending", 3), change={1: 0, 2: 2}),
    ),
    "retained requests stay": (
        Step("0123", [(1, (0, 1, 2, 3))], every("pending"), more={"on_removal": "retain"}),
        Step("01", [], every("pending", 0, 1), more={"on_removal": "retain"}),
    ),
    "Required presses those that have not re-enrolled": (
        ASKED,
        Step(
            "0123",
            [(2, (2, 3))],
            every("re-enrolled", 0, 1) | every("pending", 2, 3),
            status="Required",
            reenroll=(0, 1),
        ),
    ),
    "None clears, and a new desired begins a round": (
        ASKED,
        Step("0123", [(0, (1, 2, 3))], every("settled"), status="None", reenroll=(0,)),
        Step("0123", [(2, (0, 1, 2, 3))], every("pending"), status="2"),
    ),
    "triggers begin a round": (
        ASKED,
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
    "a missing one is asked once it is there": (
        Step("0129", [(1, (0, 1, 2))], every("pending", 0, 1, 2) | every("missing", GHOST)),
        Step("0129", [], every("pending", 0, 1, 2) | every("missing", GHOST)),
        Step("0129", [(1, (GHOST,))], every("pending", 0, 1, 2, GHOST), appear=True),
    ),
    "a release that fails is tried again": (
        ASKED,
        Step("123", [(0, (0,))], every("pending", 1, 2, 3) | every("leaving", 0), refused=(0,)),
        Step("123", [(0, (0,))], every("pending", 1, 2, 3)),
    ),
    "a removed fleet takes its requests back": (
        ASKED,
        Step("", [(0, (1, 2, 3))], {}, reenroll=(0,)),
    ),
    "a wave is requested once the one before is re-enrolled and in use": (
        FIRST,
        replace(FIRST, posts=[]),
        Step(
            "0123",
            [(1, (1, 2))],
            every("re-enrolled", 0) | every("pending", 1, 2) | every("due", 3),
            more=WAVES,
            reenroll=(0,),
        ),
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
        Step(
            "0123",
            [(1, (1, 2))],
            every("re-enrolled", 0) | every("pending", 1, 2) | every("due", 3),
            more=WAVES,
            reenroll=(0,),
        ),
    ),
    "an overdue member halts the waves until it re-enrolls": (
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}),
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}, posts=[]),
        replace(FIRST, more=WAVES | {"overdue_after": "90m"}, posts=[]),
        Step(
            "0123",
            [(1, (1, 2))],
            every("re-enrolled", 0) | every("pending", 1, 2) | every("due", 3),
            more=WAVES | {"overdue_after": "90m"},
            reenroll=(0,),
        ),
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
        Step("0123", [(1, (1, 2))], every("re-enrolled", 0) | every("pending", 1, 2) | every("due", 3), more=WAVES),
    ),
    "members that leave in mid-roll-out are cleared only where they were requested": (
        FIRST,
        Step("23", [(1, (2,)), (0, (0,))], every("pending", 2) | every("due", 3), more=WAVES),
    ),
}
