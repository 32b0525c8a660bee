"""One process and its fleets: what it asks, shares, hands over and says; on the model of Command, without a wire."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.errors import CommandError, MissingSettings, RecordError, ReenrollmentFailed, SettingsError
from keyfactor_provider.operations.run import Operations
from keyfactor_provider.reenrollment.completion import Progress
from keyfactor_provider.reenrollment.desired import Checked
from tests.model.command import IDS, Client, World

A, B, C, D = IDS[:4]
State = dict[str, Any]


class Process:
    """A provider process, and what it said."""

    def __init__(self, world: World, *faults: str, handover: float = 0) -> None:
        self.client = Client(world, "dev", faults)
        self.warned: list[str] = []
        self.informed: list[str] = []
        self.operations = Operations(self.client.connect, self._tell, handover=handover)

    def _tell(self, severity: str, text: str) -> None:
        (self.warned if severity == "warning" else self.informed).append(text)

    def check(
        self, name: str, ids: Sequence[str], old: State | None = None, preview: bool = False, status: str = "Requested"
    ) -> Checked:
        raw = {"fleet": name, "orchestrator_ids": list(ids), "status": status}
        return self.operations.check(raw, old or {}, preview=preview)

    def create(self, name: str, ids: Sequence[str], status: str = "Requested", **more: Any) -> State:
        """Check and create, as an engine does them."""
        self.check(name, ids)
        return self.operations.create(desired(name, ids, status, **more))

    def posts(self) -> list[tuple[str, tuple[str, ...]]]:
        """What was asked until now."""
        return [(event.status, event.ids) for event in self.client.events if event.ids]


def desired(name: str, ids: Sequence[str], status: str = "Requested", **more: Any) -> State:
    """A fleet's inputs, as a check gives them."""
    options = {"on_removal": "unset", "on_failure": "error"}
    return {"fleet": name, "orchestrators": dict.fromkeys(ids, status), "status": status, **options, **more}


def phases(state: State) -> dict[str, str]:
    return {agent_id: member["phase"] for agent_id, member in state["members"].items()}


@pytest.fixture
def world() -> World:
    made = World()
    for agent_id in IDS:
        made.add(agent_id)
    return made


# Claims: who an orchestrator belongs to while a run goes on.


def test_one_orchestrator_in_two_fleets_is_refused_with_both_names(world: World) -> None:
    process = Process(world)
    assert process.check("edge", [A, B]).problems == ()
    (problem,) = process.check("rim", [B, C]).problems
    assert problem.property == "orchestrator_ids"
    assert problem.reason == f'{B} is in fleet "edge" and in fleet "rim"; expected each orchestrator in one fleet'


def test_a_fleet_checked_again_claims_what_it_names_now(world: World) -> None:
    process = Process(world)
    process.check("edge", [A, B])
    assert process.check("edge", [A]).problems == ()
    assert process.check("rim", [B]).problems == ()


def test_a_claim_that_was_refused_takes_nothing_from_whoever_had_it(world: World) -> None:
    process = Process(world)
    process.check("edge", [A])
    process.check("rim", [A])
    process.check("rim", [B])
    assert len(process.check("core", [A]).problems) == 1


def test_a_renamed_fleets_requests_are_adopted_and_none_is_cancelled(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    assert phases(process.create("rim", [A, B])) == {A: "pending", B: "pending"}
    process.operations.delete(state)
    assert process.posts() == []


def test_a_fleet_deleted_before_it_is_replaced_cancels_no_request_and_knows_its_flags(world: World) -> None:
    state = Process(world).create("edge", [A, B, C])
    process = Process(world)
    process.check("edge", [A, B])
    process.operations.delete(state)
    assert process.posts() == [("None", (C,))]
    world.refused = {A, B}
    state = process.operations.create(desired("edge", [A, B], "Required"))
    assert {agent_id: (member["phase"], member["ours"]) for agent_id, member in state["members"].items()} == {
        A: ("refused", ["Requested"]),
        B: ("refused", ["Requested"]),
    }


def test_a_flag_that_the_new_owner_could_not_replace_is_taken_back_by_the_old(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", "refused-all")
    assert phases(process.create("rim", [A], "Required")) == {A: "unreached"}
    process.operations.delete(state)
    assert world.agents[A].flag == "None"


@pytest.mark.parametrize("leaves", ["update", "delete"])
def test_a_claim_that_was_not_met_keeps_no_request_standing(world: World, leaves: str) -> None:
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    process.check("rim", [A])
    process.check("edge", [B])
    if leaves == "update":
        assert phases(process.operations.update(state, desired("edge", [B]))) == {B: "pending"}
    else:
        process.operations.delete(state)
    assert world.agents[A].flag == "None"


@pytest.mark.parametrize(("of_one", "of_two"), [([B], [A, C, D]), ([B, C], [A, D])], ids=["one moves", "two swap"])
def test_a_member_that_moves_waits_for_its_new_fleet_and_keeps_its_request(
    world: World, of_one: list[str], of_two: list[str]
) -> None:
    one = Process(world).create("one", [A, B])
    two = Process(world).create("two", [C, D])
    process = Process(world, handover=60)
    process.check("one", of_one)
    process.check("two", of_two)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(process.operations.update, one, desired("one", of_one))
        second = pool.submit(process.operations.update, two, desired("two", of_two))
        assert phases(first.result(30)) == dict.fromkeys(of_one, "pending")
        assert phases(second.result(30)) == dict.fromkeys(of_two, "pending")
    assert process.posts() == []


def test_what_an_unchanged_fleet_has_is_not_taken_back_by_another(world: World) -> None:
    stuck = Process(world).create("edge", [A, B])
    theirs = Process(world).create("rim", [A])
    process = Process(world)
    process.check("rim", [A])
    assert not process.operations.diff(theirs, desired("rim", [A]))
    process.operations.update(stuck, desired("edge", [B]))
    assert process.posts() == []


def test_what_was_taken_back_from_under_a_fleet_is_asked_anew_in_the_same_run(world: World) -> None:
    stuck = Process(world).create("edge", [A, B])
    theirs = Process(world).create("rim", [A])
    process = Process(world)
    process.check("edge", [B])
    process.operations.update(stuck, desired("edge", [B]))
    process.check("rim", [A])
    assert process.operations.diff(theirs, desired("rim", [A]))
    assert phases(process.operations.update(theirs, desired("rim", [A]))) == {A: "pending"}
    assert process.posts() == [("None", (A,)), ("Requested", (A,))]
    assert not process.operations.diff(theirs, desired("rim", [A]))


# Calls that go wrong.


@pytest.mark.parametrize(
    ("faults", "ours"),
    [
        (("fine", "lost", "fine", "down"), []),
        (("fine", "lost", "down"), ["Requested"]),
        (("fine", "lost-applied", "down"), ["Requested"]),
        (("fine", "lost", "fine", "lost", "down"), ["Requested"]),
    ],
)
def test_a_lost_request_is_ours_until_a_reading_shows_that_it_came_to_nothing(
    world: World, faults: tuple[str, ...], ours: list[str]
) -> None:
    state = Process(world, *faults).create("edge", [A])
    assert phases(state) == {A: "unreached"}
    assert state["members"][A].get("ours", []) == ours


def test_whoever_is_seen_done_after_a_lost_answer_is_not_asked_again_when_the_rest_is_refused(world: World) -> None:
    process = Process(world, "fine", "fine", "lost-applied", "fine", "refused-all")

    def somebody_interferes(_seconds: float) -> None:
        world.reenroll(A)
        world.set_flag(B, "None")

    process.client.sleep = somebody_interferes  # type: ignore[method-assign, assignment]
    state = process.create("edge", [A, B])
    assert phases(state) == {A: "re-enrolled", B: "unreached"}
    assert process.posts() == [("Requested", (A, B)), ("Requested", (B,))]


@pytest.mark.parametrize("then", ["forbidden", "down"])
def test_a_flag_that_a_lost_call_may_have_set_is_ours_although_it_could_not_be_read(world: World, then: str) -> None:
    process = Process(world, "fine", "lost-applied", then)
    state = process.create("edge", [A])
    assert state["members"][A] == {
        "status": "Requested",
        "phase": "unreached",
        "baseline": world.agents[A].thumbprint,
        "ours": ["Requested"],
        "machine": f"machine-{A[-2:]}",
        "reason": "its call got no answer",
    }
    Process(world).operations.delete(state)
    assert world.agents[A].flag == "None"


def test_a_flag_set_by_a_lost_call_is_ours_also_on_one_that_had_renewed_by_itself(world: World) -> None:
    state = Process(world, "fine", "lost-renewed").create("edge", [A])
    assert phases(state) == {A: "re-enrolled"}
    Process(world).operations.delete(state)
    assert world.agents[A].flag == "None"


@pytest.mark.parametrize(("fault", "posts"), [("lost-applied", 1), ("lost", 2)])
def test_a_take_back_whose_answer_was_lost_is_sent_again_only_if_the_flag_still_stands(
    world: World, fault: str, posts: int
) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", fault)
    process.operations.delete(state)
    assert process.posts() == [("None", (A,))] * posts


@pytest.mark.parametrize(
    ("faults", "shared"), [(["down"], True), (["unauthorized"], True), (["forbidden"], False), (["fine", "down"], True)]
)
def test_an_outage_is_shared_by_the_fleets_of_a_run(world: World, faults: list[str], shared: bool) -> None:
    process = Process(world, *faults)
    first = process.create("edge", [A])
    assert phases(first) == {A: "unreached"}
    assert first["trouble"]
    calls = len(process.client.events)
    assert phases(process.create("rim", [B])) == {B: "unreached" if shared else "pending"}
    assert (len(process.client.events) == calls) == shared


def test_after_an_outage_while_asking_nobody_is_taken_back_and_nobody_forgotten(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", "fine", "down")
    state = process.operations.update(state, desired("edge", [B]))
    assert phases(state) == {A: "leaving", B: "unreached"}
    assert process.posts() == [("Requested", (B,))]


def test_a_call_that_fails_fails_its_members_with_the_reason(world: World) -> None:
    process = Process(world, "fine", "forbidden")
    state = process.create("edge", [A])
    assert state["members"][A]["reason"] == "its call failed or was not sent"
    assert "forbidden" in state["trouble"]


@pytest.mark.parametrize("faults", [["down"], ["fine", "fine", "forbidden"]])
def test_a_fleet_that_could_not_release_says_whom_when_it_is_destroyed(world: World, faults: list[str]) -> None:
    world.refused = {B}
    state = Process(world).create("edge", [A, B])
    process = Process(world, *faults)
    with pytest.raises(ReenrollmentFailed, match="1 orchestrator that left could not be released") as caught:
        process.operations.delete(state)
    assert A in str(caught.value)
    assert B not in str(caught.value)


def test_a_retained_fleet_is_destroyed_without_a_call(world: World) -> None:
    state = Process(world).create("edge", [A], on_removal="retain")
    process = Process(world)
    process.operations.delete(state)
    assert process.client.events == []


@pytest.mark.parametrize("call", ["read", "update", "delete", "diff"])
def test_a_state_that_cannot_be_read_is_refused_before_any_call(world: World, call: str) -> None:
    process = Process(world)
    arguments = [{"version": 99}, desired("edge", [A])][: 2 if call in ("update", "diff") else 1]
    with pytest.raises(RecordError, match="its version is 99"):
        getattr(process.operations, call)(*arguments)
    assert process.client.events == []


# Reading.


def test_a_refresh_shows_the_real_flag_of_drifted_members_and_asks_nobody(world: World) -> None:
    state = Process(world).create("edge", [A, B, C, D])
    world.set_flag(A, "None")
    world.set_flag(B, "Required")
    world.reenroll(C)
    process = Process(world)
    state, inputs = process.operations.read(state)
    assert inputs["orchestrators"] == {A: "None", B: "Required", C: "Requested", D: "Requested"}
    assert phases(state) == {A: "cleared", B: "changed", C: "re-enrolled", D: "pending"}
    assert process.posts() == []
    assert process.operations.diff(state, desired("edge", [A, B, C, D]))


def test_a_refresh_that_cannot_read_raises(world: World) -> None:
    state = Process(world).create("edge", [A])
    with pytest.raises(CommandError):
        Process(world, "forbidden").operations.read(state)


@pytest.mark.parametrize(
    ("happens", "left", "says"),
    [
        (lambda world: world.set_flag(D, "Required"), {A: "leaving", B: "pending"}, ""),
        (lambda world: world.reenroll(A), {B: "pending"}, ""),
        (lambda world: world.remove(A), {B: "pending"}, "is gone from Command"),
        (lambda world: world.set_flag(A, "Required"), {B: "pending"}, "keeps its flag Required"),
    ],
)
def test_a_refresh_forgets_a_leaving_member_that_carries_no_flag_of_ours_any_more(
    world: World, happens: Callable[[World], None], left: dict[str, str], says: str
) -> None:
    state = Process(world).create("edge", [A, B])
    world.refused = {A}
    state = Process(world).operations.update(state, desired("edge", [B]))
    happens(world)
    process = Process(world)
    state, inputs = process.operations.read(state)
    assert phases(state) == left
    assert set(inputs["orchestrators"]) == {B}
    assert says in " ".join(process.warned)


def test_fleets_share_their_reading(world: World) -> None:
    process = Process(world)
    for number, agent_id in enumerate(IDS):
        process.create(f"fleet {number}", [agent_id])
    reads = [event for event in process.client.events if event.kind == "read"]
    assert len(reads) <= 5


def test_waiting_reads_anew_and_forgives_an_outage(world: World) -> None:
    process = Process(world, "fine", "fine", "down")
    state = process.create("edge", [A])
    world.reenroll(A)
    with pytest.raises(CommandError):
        process.operations.progress(state["members"], 60)
    leaving = {B: {"status": "Requested", "phase": "leaving"}}
    assert process.operations.progress(state["members"] | leaving, 60) == Progress(done=[A])


# What a user reads.


def test_a_preview_says_what_up_will_do_and_warns_of_those_it_will_ask(world: World) -> None:
    world.remove(C)
    world.agents[B].approved = False
    process = Process(world)
    process.check("edge", [A, B, C], preview=True)
    assert process.informed == ['Fleet "edge": asks 3 orchestrators (Requested).']
    assert [C in process.warned[0], B in process.warned[1]] == [True, True]
    assert "1 orchestrator not found in Command" in process.warned[0]
    assert "1 orchestrator is not approved" in process.warned[1]


def test_a_preview_does_not_warn_of_members_that_are_left_alone(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    world.reenroll(A)
    state, inputs = Process(world).operations.read(state)
    world.remove(A)
    world.remove(C)
    process = Process(world)
    process.check("edge", [A, B, C], inputs, preview=True)
    assert process.operations.diff(state, desired("edge", [A, B, C]))
    assert process.informed == ['Fleet "edge": asks 1 orchestrator (Requested), leaves 2 alone.']
    (warning,) = process.warned
    assert C in warning
    assert A not in warning


def test_a_renamed_fleet_is_previewed_by_its_new_name(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world)
    process.check("rim", [A, B], desired("edge", [A]), preview=True)
    assert process.operations.diff(state, desired("rim", [A, B]))
    assert process.informed == ['Fleet "rim": asks 1 orchestrator (Requested), leaves 1 alone.']


def test_failed_members_are_named_before_they_are_asked_again(world: World) -> None:
    world.refused = {A}
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    process.check("edge", [A, B], desired("edge", [A, B]), preview=True)
    assert process.operations.diff(state, desired("edge", [A, B]))
    assert process.informed == ['Fleet "edge": asks 1 again (Requested), leaves 1 alone.']
    assert "1 orchestrator failed in the last run and will be asked again: 1 refused by Command" in process.warned[0]
    assert A in process.warned[0]


def test_failed_members_are_named_also_when_their_flag_is_to_be_cleared(world: World) -> None:
    world.refused = {A}
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    process.check("edge", [A, B], desired("edge", [A, B], status="None"), preview=True, status="None")
    assert process.operations.diff(state, desired("edge", [A, B], status="None"))
    assert "1 orchestrator failed in the last run and will be asked again: 1 refused by Command" in process.warned[0]


def test_members_that_could_not_be_released_are_named_before_that_is_tried_again(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    world.refused = {A}
    state = Process(world).operations.update(state, desired("edge", [B]))
    process = Process(world)
    process.check("edge", [B], desired("edge", [B]), preview=True)
    assert process.operations.diff(state, desired("edge", [B]))
    assert "1 orchestrator could not be released in the last run, which will be tried again" in process.warned[0]
    assert A in process.warned[0]


def test_nothing_is_said_where_nothing_is_previewed(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world)
    process.check("edge", [A, B], desired("edge", [A]))
    assert process.operations.diff(state, desired("edge", [A, B]))
    assert (process.informed, process.warned) == ([], [])


def test_a_preview_without_command_says_so_once_and_looks_no_more(world: World) -> None:
    process = Process(world, "down")
    process.check("edge", [A], preview=True)
    process.check("rim", [B], preview=True)
    (warning,) = process.warned
    assert "Preview without a look at Command" in warning
    assert len(process.client.events) == 1


def test_the_looks_of_a_preview_share_three_seconds(world: World) -> None:
    process = Process(world)
    slow = process.client.agent

    def takes_two_seconds(agent_id: str, **more: Any) -> Any:
        process.client.sleep(2)
        return slow(agent_id, **more)

    process.client.agent = takes_two_seconds  # type: ignore[method-assign]
    for name, agent_id in (("edge", A), ("rim", B), ("core", C)):
        process.check(name, [agent_id], preview=True)
    assert len(process.client.events) == 2


def test_what_is_odd_is_told_once_for_all_members_by_machine(world: World) -> None:
    state = Process(world).create("edge", [A, B, C])
    for agent_id in (A, B):
        world.set_flag(agent_id, "Required")
    process = Process(world)
    process.operations.update(state, desired("edge", [C]))
    assert process.warned == [
        'Fleet "edge": each of 2 orchestrators keeps its flag Required: somebody else set it. '
        f"They are machine-{A[-2:]} ({A}), machine-{B[-2:]} ({B})."
    ]


# Settings.


def refuses(error: SettingsError) -> Operations:
    def connect() -> CommandClient:
        raise error

    said: list[str] = []
    operations = Operations(connect, lambda _severity, text: said.append(text))
    operations.said = said  # type: ignore[attr-defined]
    return operations


RAW = {"fleet": "edge", "orchestrator_ids": [A], "status": "Requested"}


def test_missing_settings_warn_once_in_preview_and_are_refused_by_up() -> None:
    operations = refuses(MissingSettings("Settings", "no host", "Set it."))
    for name in ("edge", "rim"):
        raw = {**RAW, "fleet": name, "orchestrator_ids": [A if name == "edge" else B]}
        assert operations.check(raw, {}, preview=True).problems == ()
    told = [text for text in operations.said if "no host" in text]  # type: ignore[attr-defined]
    assert told == ["Settings: no host. Set it. A preview goes on without; up will fail."]
    (problem,) = operations.check(RAW, {}, preview=False).problems
    assert (problem.property, problem.reason) == ("keyfactor", "Settings: no host. Set it.")


@pytest.mark.parametrize("preview", [True, False])
def test_wrong_settings_are_refused(preview: bool) -> None:
    operations = refuses(SettingsError("Settings", "two methods", "Name one."))
    (problem,) = operations.check(RAW, {}, preview=preview).problems
    assert "two methods" in problem.reason


def test_settings_that_are_wrong_by_now_fail_the_members_and_lose_none() -> None:
    operations = refuses(SettingsError("Settings", "two methods", "Name one."))
    state = operations.create(desired("edge", [A]))
    assert phases(state) == {A: "unreached"}
    assert "two methods" in state["trouble"]


def test_a_server_that_is_not_verified_is_warned_about_once_in_every_run(world: World) -> None:
    process = Process(world)
    process.client.settings = replace(process.client.settings, skip_verify=True)
    process.check("edge", [A])
    process.check("rim", [B])
    (warning,) = process.warned
    assert "is not verified (skipVerify)" in warning
