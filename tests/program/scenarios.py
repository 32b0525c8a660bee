"""What happens to fleets over several runs; each scenario holds on every engine."""

from typing import Any

from tests.support.stacks import Stack


def fleet(name: str, ids: list[str], status: str | int = "Requested", **more: Any) -> dict[str, Any]:
    """A fleet as the program declares it."""
    return {"name": name, "orchestrator_ids": ids, "status": status, **more}


def rejected_members_fail_the_run_and_alone_are_requested_again(stack: Stack) -> None:
    ids = stack.command.ids()[:6]
    stack.fleets(fleet("edge", ids), fleet("after", stack.command.ids()[6:8], after=["edge"]))
    stack.command.faults(refused=ids[:2])
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says("edge: 2 of 6 orchestrators failed", ids[0], ids[1], "4 pending")
    assert not ran.names(ids[2])
    assert ran.posts == [(1, tuple(ids))]
    assert "after" not in stack.resources()
    assert stack.phases("edge") == dict.fromkeys(ids[:2], "rejected") | dict.fromkeys(ids[2:], "pending")
    ran = stack.run("preview")
    assert ran.says("retry 2", "2 orchestrators failed in the last run", ids[0], ids[1])
    stack.command.faults(refused=[])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[:2])), (1, tuple(stack.command.ids()[6:8]))])
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    assert stack.run("up").posts == []


def reenrolled_members_are_no_drift_and_are_left_alone(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.command.world(reenroll=ids[:2])
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    ran = stack.run("up", "--refresh")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert stack.phases("edge") == dict.fromkeys(ids[:2], "re-enrolled") | dict.fromkeys(ids[2:], "pending")


def cleared_and_changed_flags_are_drift_and_asked_again(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.later(minutes=2)
    stack.command.world(change={ids[0]: {"flag": 0}, ids[1]: {"flag": 2}})
    assert stack.run("preview", "--expect-no-changes").exit_code == 0
    ran = stack.run("preview", "--refresh", "--expect-no-changes", "--diff")
    assert ran.exit_code == 7
    assert ran.says(f'~ {ids[0]}: "None" => "Requested"', f'~ {ids[1]}: "Required" => "Requested"')
    ran = stack.run("up", "--refresh")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[:2]))])
    assert {stack.command.flags()[each] for each in ids} == {"Requested"}


def one_member_more_is_one_line_and_one_asked(stack: Stack) -> None:
    ids = stack.command.ids()[:5]
    stack.fleets(fleet("edge", ids[1:]))
    stack.run("up")
    stack.fleets(fleet("edge", [f"{{{each.upper()}}}" for each in ids] + ids[:2]))
    ran = stack.run("preview", "--diff")
    assert [line.strip() for line in ran.text.splitlines() if line.strip().startswith(("+ ", "- ", "~ "))][-2:]
    assert ran.says(f'+ {ids[0]}: "Requested"', "re-enrollment of 1 orchestrator (Requested)", "4 unchanged")
    assert not [line for line in ran.text.splitlines() if ids[2] in line and line.strip()[0] in "+-~"]
    assert stack.run("up").posts == [(1, (ids[0],))]


def members_and_status_may_be_outputs_that_a_preview_does_not_know(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("first", ids[:2], as_set=True), fleet("second", ids[2:], told_by="first"))
    ran = stack.run("preview")
    assert (ran.exit_code, ran.posts) == (0, [])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, tuple(ids[:2])), (1, tuple(ids[2:]))])
    assert stack.run("preview", "--expect-no-changes").exit_code == 0


def a_fleet_told_by_a_failed_one_is_held_back(stack: Stack) -> None:
    ids = stack.command.ids()[:5]
    stack.fleets(fleet("first", ids[:2]), fleet("second", ids[2:4], told_by="first"), fleet("apart", ids[4:]))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up", "--continue-on-error")
    assert ran.exit_code == 1
    assert ran.says("re-enrollment of second", "first")
    assert {each: flag for each, flag in stack.command.flags().items() if flag != "None"} == {
        ids[1]: "Requested",
        ids[4]: "Requested",
    }


def the_flags_of_members_that_leave_are_cleared_whatever_their_phase(stack: Stack) -> None:
    ids = stack.command.ids()[:6]
    stack.fleets(fleet("edge", ids))
    stack.command.faults(refused=ids[5:])
    stack.run("up")
    stack.command.faults(refused=[])
    stack.later(minutes=2)
    stack.command.world(reenroll=[ids[1]], change={ids[2]: {"flag": 0}, ids[3]: {"flag": 2}})
    stack.fleets(fleet("edge", [ids[4]]))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(0, (ids[0],))])
    assert ran.says(ids[3], "left at Required")
    assert stack.phases("edge") == {ids[4]: "pending"}


def destroy_clears_pending_requests(stack: Stack, *arguments: str) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("edge", ids[:2]), fleet("kept", ids[2:], on_removal="retain"))
    stack.run("up")
    stack.command.world(reenroll=[ids[0]])
    ran = stack.run("destroy", *arguments)
    assert (ran.exit_code, ran.posts) == (0, [(0, (ids[1],))])
    assert [stack.command.flags()[each] for each in ids] == ["None", "None", "Requested", "Requested"]
    assert stack.resources() == {}


def destroy_that_runs_the_program_clears_them_too(stack: Stack) -> None:
    destroy_clears_pending_requests(stack, "--run-program")


def status_none_clears_and_forgets_and_another_status_begins_a_round(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.later(minutes=2)
    stack.command.world(reenroll=[ids[0]])
    stack.fleets(fleet("edge", ids, "None"))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(0, tuple(ids[1:]))])
    assert set(stack.phases("edge").values()) == {"settled"}
    stack.fleets(fleet("edge", ids, 2))
    assert stack.run("preview").says("new round", "3 orchestrators (Required)")
    assert stack.run("up").posts == [(2, tuple(ids))]


def escalation_presses_only_those_that_have_not_reenrolled(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.command.world(reenroll=ids[:2])
    stack.run("refresh")
    stack.fleets(fleet("edge", ids, "Required"))
    ran = stack.run("preview")
    assert ran.says("retry 2 orchestrators (Required)", "2 unchanged", "triggers")
    assert stack.run("up").posts == [(2, tuple(ids[2:]))]


def changed_triggers_request_everyone_anew(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("edge", ids, triggers={}))
    stack.run("up")
    stack.command.world(reenroll=[ids[0]])
    stack.fleets(fleet("edge", ids))
    assert stack.run("preview", "--expect-no-changes").exit_code == 0
    stack.fleets(fleet("edge", ids, triggers={"issuing-ca": "2027"}))
    assert stack.run("preview").says("new round")
    ran = stack.run("up")
    # The two whose flag still stands are adopted: requesting them again would change nothing.
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[0],))])
    assert set(stack.phases("edge").values()) == {"pending"}


def a_renamed_fleet_cancels_no_request(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.fleets(fleet("rim", ids))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert set(stack.phases("rim").values()) == {"pending"}
    stack.command.world(reenroll=[ids[0]])
    stack.run("refresh")
    stack.fleets(fleet("border", ids, aliases=["rim"]))
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert sorted(stack.phases("border").values()) == ["pending", "pending", "re-enrolled"]


def a_replaced_fleet_cancels_no_request(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    urn = next(each["urn"] for each in stack.export()["deployment"]["resources"] if each["urn"].endswith("::edge"))
    ran = stack.run("up", "--replace", urn)
    assert (ran.exit_code, ran.posts) == (0, [])
    assert {stack.command.flags()[each] for each in ids} == {"Requested"}


def a_fleet_deleted_before_it_is_replaced_clears_the_flags_and_requests_them_anew(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    urn = next(each["urn"] for each in stack.export()["deployment"]["resources"] if each["urn"].endswith("::edge"))
    stack.fleets(fleet("edge", ids[:2], delete_before_replace=True))
    ran = stack.run("up", "--replace", urn)
    assert (ran.exit_code, ran.posts) == (0, [(0, tuple(ids)), (1, tuple(ids[:2]))])
    assert stack.phases("edge") == dict.fromkeys(ids[:2], "pending")
    ran = stack.run("destroy", "--run-program")
    assert (ran.exit_code, ran.posts) == (0, [(0, tuple(ids[:2]))])


def a_member_moved_between_fleets_keeps_its_request(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("one", ids[:2]), fleet("two", ids[2:], after=["one"]))
    stack.run("up")
    # The fleet that it leaves goes first, and then the one that it comes to.
    for first in (1, 2):
        stack.fleets(fleet("one", ids[:first]), fleet("two", ids[first:], after=["one"]))
        ran = stack.run("up")
        assert ran.exit_code == 0
        assert {stack.command.flags()[each] for each in ids} == {"Requested"}
        assert stack.phases("one") == dict.fromkeys(ids[:first], "pending")
        assert stack.phases("two") == dict.fromkeys(ids[first:], "pending")


def one_orchestrator_in_two_fleets_is_refused_in_preview(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(fleet("one", ids[:2]), fleet("two", ids[1:], after=["one"]))
    ran = stack.run("preview")
    assert ran.exit_code == 1
    assert ran.says(ids[1], "also in one", "resource 'two'")
    assert stack.command.posts() == []


def an_agent_deleted_after_it_reenrolled_stays_done(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    stack.command.world(reenroll=[ids[0]])
    stack.run("refresh")
    stack.command.world(remove=[ids[0]])
    ran = stack.run("preview", "--refresh", "--expect-no-changes")
    assert ran.exit_code == 0
    ran = stack.run("refresh")
    assert ran.says(ids[0], "gone from Command")
    assert stack.phases("edge") == {ids[0]: "re-enrolled", ids[1]: "pending"}


def an_unknown_guid_fails_and_is_requested_once_it_has_appeared(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    ghost = "00000000-0000-4000-8000-00000000abcd"
    stack.fleets(fleet("edge", [*ids, ghost]))
    assert stack.run("preview").says("1 orchestrator not found in Command", ghost)
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says("1 of 3 orchestrators failed", ghost)
    assert stack.phases("edge")[ghost] == "missing"
    assert stack.run("up").posts == []
    stack.command.world(add=[{"agent_id": ghost, "client_machine": "late", "status": 2, "thumbprint": "AB" * 20}])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ghost,))])


def each_of_several_fleets_that_fail_at_once_names_its_own(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(*(fleet(f"fleet-{number}", [each]) for number, each in enumerate(ids)))
    # Each of the others is under way by the time that the first one fails.
    slow = {"on": "POST", "act": "delay", "seconds": 2.0}
    stack.command.faults(refused=ids, faults=[slow])
    ran = stack.run("up")
    assert ran.exit_code == 1
    begun = list(stack.resources())
    assert begun
    for name in begun:
        assert ran.says(f"{name}: 1 of 1 orchestrator failed")


def a_failed_fleet_holds_back_its_dependents_even_under_continue_on_error(stack: Stack) -> None:
    ids = stack.command.ids()[:4]
    stack.fleets(fleet("first", ids[:1]), fleet("second", ids[1:2], after=["first"]), fleet("apart", ids[2:3]))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up", "--continue-on-error")
    assert ran.exit_code == 1
    assert ran.says("re-enrollment of second", "first")
    assert stack.command.flags()[ids[1]] == "None"
    assert stack.phases("apart") == {ids[2]: "pending"}


def a_completion_may_be_called_as_its_fleet_and_both_are_held_back(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    second = fleet("second", ids[1:], after=["first"])
    stack.fleets(fleet("first", ids[:1]), second, {"name": "second", "completes": "second", "timeout": 1})
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up", "--continue-on-error")
    assert ran.exit_code == 1
    assert ran.says("re-enrollment of second", "first")
    assert list(stack.resources()) == ["first"]


def a_warning_in_place_of_an_error_ends_with_success(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    stack.fleets(fleet("edge", ids, on_failure="warn"))
    stack.command.faults(refused=ids[:1])
    ran = stack.run("up")
    assert ran.exit_code == 0
    assert ran.says("warning", "1 of 2 orchestrators failed", ids[0])
    stack.command.faults(refused=[])
    assert stack.run("up").posts == [(1, (ids[0],))]


def a_completion_waits_fails_at_its_timeout_and_waits_again(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    stack.fleets(
        fleet("canary", ids[:2]),
        {"name": "done", "completes": "canary", "timeout": 1},
        fleet("rest", ids[2:], after=["done"]),
    )
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says("done: not complete after 1 s", "2 of 2 orchestrators", ids[0])
    assert list(stack.resources()) == ["canary"]
    stack.command.world(reenroll=ids[:2])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [(1, (ids[2],))])
    assert stack.run("up", "--refresh").posts == []
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0


def a_completion_of_members_of_whom_nothing_is_requested_is_satisfied_and_says_so(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    stack.fleets(fleet("edge", ids, "None"), {"name": "done", "completes": "edge", "timeout": 5})
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (0, [])
    assert ran.says("done: completed with warnings on 2 orchestrators", ids[0], ids[1])
    assert sorted(stack.resources()) == ["done", "edge"]


def a_new_round_makes_its_completion_wait_anew(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    done = {"name": "done", "completes": "edge", "timeout": 1}
    stack.fleets(fleet("edge", ids), done)
    stack.run("up")
    stack.command.world(reenroll=ids)
    assert stack.run("up").exit_code == 0
    stack.fleets(fleet("edge", ids, triggers={"round": "2"}), done)
    ran = stack.run("up")
    assert ran.exit_code == 1
    assert ran.says("2 of 2 orchestrators")
    stack.command.world(reenroll=ids)
    assert stack.run("up").exit_code == 0


def arguments_and_outputs_may_be_secret(stack: Stack) -> None:
    ids = stack.command.ids()[:3]
    hidden: dict[str, Any] = {"secret": ["orchestrator_ids", "status", "triggers"], "secret_outputs": ["members"]}
    done = {"name": "done", "completes": "edge", "timeout": 1, "secret": True}
    stack.command.faults(refused=ids[:1])
    stack.fleets(fleet("edge", ids, triggers={"round": "1"}, **hidden), done)
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, tuple(ids))])
    assert ran.says("1 of 3 orchestrators failed", ids[0])
    stack.command.faults(refused=[])
    ran = stack.run("up")
    assert (ran.exit_code, ran.posts) == (1, [(1, (ids[0],))])
    assert ran.says("done: not complete after 1 s", ids[0])
    stack.command.world(reenroll=ids)
    assert stack.run("up").exit_code == 0
    assert stack.run("preview", "--refresh", "--expect-no-changes").exit_code == 0
    stack.fleets(fleet("edge", ids, triggers={"round": "2"}, **hidden))
    assert stack.run("up").posts == [(1, tuple(ids))]
    assert stack.run("destroy").posts == [(0, tuple(ids))]


def a_refresh_without_command_fails_and_keeps_the_state(stack: Stack) -> None:
    ids = stack.command.ids()[:2]
    stack.fleets(fleet("edge", ids))
    stack.run("up")
    before = stack.resources()
    stack.command.faults(denied=["/agents/management/read/"])
    ran = stack.run("refresh")
    assert ran.exit_code == 1
    assert ran.says("403", "0xA0140002", "lacks a permission")
    assert stack.resources() == before
    stack.command.faults(denied=[])
    assert stack.run("refresh").exit_code == 0


SCENARIOS = [
    value
    for value in list(globals().values())
    if callable(value) and getattr(value, "__module__", "") == __name__ and value is not fleet
]
