"""Fleets that are rolled out over several runs; each scenario holds on every engine."""

from typing import Any

from tests.program.scenarios import fleet
from tests.support.stacks import Stack

DRIFT_CHECK = ("preview", "--refresh", "--expect-no-changes")
CHANGES = 7
"""The exit code of `--expect-no-changes` where there are some (the CLI of 3.260)."""


def queued(stack: Stack) -> int:
    """How many members of the fleet "edge" nobody has requested yet."""
    return list(stack.phases("edge").values()).count("due")


def canaries_go_first_and_waves_follow_run_by_run(stack: Stack) -> None:
    ids = stack.command.ids()[:10]
    canary, rest = ids[9:], ids[:9]
    stack.fleets(fleet("edge", ids, canary_ids=canary, waves=[2, "50%"]))
    ran = stack.run("preview")
    assert ran.says("re-enrollment of up to 1 orchestrator (Requested)", "9 queued", canary[0])
    assert not ran.names(*rest)
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(canary))])
    assert ran.says("1 pending", "9 queued")
    assert stack.run(*DRIFT_CHECK).exit_code == 0
    stack.command.world(reenroll=canary)
    assert stack.run(*DRIFT_CHECK).exit_code == CHANGES
    for wave in (rest[:2], rest[2:7], rest[7:]):
        # An `up` looks by itself, and opens no more than one wave.
        ran = stack.run("up")
        assert (ran.exit_code, ran.posts) == (0, [(1, tuple(wave))])
        assert queued(stack) == len(rest) - rest.index(wave[-1]) - 1
        stack.command.world(reenroll=wave[1:])
        assert stack.run(*DRIFT_CHECK).exit_code == 0
        stack.command.world(reenroll=wave[:1])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert ran.says("10 re-enrolled (10 in use)")
    assert stack.run("preview", "--expect-no-changes").exit_code == 0


def a_bad_member_halts_until_it_is_mended(stack: Stack) -> None:
    ids = stack.command.ids()[:6]
    stack.fleets(fleet("edge", ids, waves=[2]))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    assert ran.says("edge: 1 of 6 orchestrators failed", "halted", ids[0])
    stack.command.world(reenroll=[ids[1]])
    ran = stack.run(*DRIFT_CHECK)
    assert ran.exit_code == CHANGES
    assert ran.says("retry 1 orchestrator", "4 queued", "halted", ids[0])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, (ids[0],))])
    stack.command.faults(refused=[])
    ran = stack.run("up")
    # The wave had been selected while it was halted: the next run opens it.
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[0],))])
    assert stack.run(*DRIFT_CHECK).exit_code == 0
    stack.command.world(reenroll=[ids[0]])
    assert stack.run("up").posts == [(1, tuple(ids[2:4]))]


def a_budget_lets_so_many_be_bad_and_no_more(stack: Stack) -> None:
    ids = stack.command.ids()[:8]
    stack.fleets(fleet("edge", ids, waves=[4], max_failed="25%"))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[:4]))])
    stack.command.world(reenroll=ids[1:4])
    stack.command.faults(refused=[ids[0], *ids[4:6]])
    ran = stack.run("up")
    assert (ran.exit_code, sorted(ran.posts)) == (1, [(1, tuple(sorted([ids[0], *ids[4:8]])))])
    assert ran.says("edge: 3 of 8 orchestrators failed", *ids[4:6])


def a_paused_rollout_starts_nobody_and_is_no_failure(stack: Stack) -> None:
    ids = stack.command.ids()[:6]
    stack.fleets(fleet("edge", ids, waves=[2]))
    stack.run("up")
    stack.command.world(reenroll=ids[:2])
    stack.fleets(fleet("edge", ids, waves=[2], paused=True))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert ran.says("paused", "4 queued")
    assert stack.run(*DRIFT_CHECK).exit_code == 0
    stack.fleets(fleet("edge", ids, waves=[2]))
    assert stack.run(*DRIFT_CHECK).exit_code == CHANGES
    assert stack.run("up").posts == [(1, tuple(ids[2:4]))]


def an_overdue_member_halts_by_a_look_alone_and_may_still_recover(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("edge", ids, waves=[2], overdue_after="48h"))
    stack.run("up")
    stack.command.world(reenroll=ids[:1])
    stack.later(hours=49)
    # No clock is read without a look at Command.
    assert stack.phases("edge") == dict.fromkeys(ids[:2], "pending") | dict.fromkeys(ids[2:], "due")
    ran = stack.run("refresh")
    assert ran.exit_code == 0
    assert ran.says("1 overdue", ids[1])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [])
    assert ran.says("edge: 1 of 4 orchestrators failed", "overdue", "halted", ids[1], "last seen")
    stack.command.world(reenroll=ids[1:2])
    assert stack.run("up").posts == [(1, tuple(ids[2:]))]


def a_completion_of_a_rollout_under_way_fails_at_once_and_says_how_many_are_queued(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    done: dict[str, Any] = {"name": "done", "completes": "edge", "timeout": 600}
    stack.fleets(fleet("edge", ids, waves=[2]), done)
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[:2]))])
    assert ran.says("done: 1 of 3 orchestrators queued")
    stack.command.world(reenroll=ids[:2])
    stack.fleets(fleet("edge", ids, waves=[2]), done | {"timeout": 0, "max_failed": 1})
    ran = stack.run("up")
    # It looks once, and one that is pending is not bad.
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids[2:]))])
    stack.command.world(reenroll=ids[2:])
    assert stack.run("up").exit_code == 0
    assert sorted(stack.resources()) == ["done", "edge"]


ROLLOUTS = [
    canaries_go_first_and_waves_follow_run_by_run,
    a_bad_member_halts_until_it_is_mended,
    a_budget_lets_so_many_be_bad_and_no_more,
    a_paused_rollout_starts_nobody_and_is_no_failure,
    an_overdue_member_halts_by_a_look_alone_and_may_still_recover,
    a_completion_of_a_rollout_under_way_fails_at_once_and_says_how_many_are_queued,
]
