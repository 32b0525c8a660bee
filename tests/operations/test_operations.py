"""One process and its fleets, on the model of Command instead of HTTP."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.dynamic import forms
from keyfactor_provider.errors import CommandError, MissingSettings, RecordError, ReenrollmentFailed, SettingsError
from keyfactor_provider.messages import Message
from keyfactor_provider.reenrollment.completion import Progress
from keyfactor_provider.reenrollment.desired import Checked
from keyfactor_provider.reenrollment.record import Record
from tests.model.command import IDS, Client, World
from tests.support.plain import Plain, State

A, B, C, D = IDS[:4]


class Process:
    """A provider process with the messages it has shown."""

    def __init__(self, world: World, *faults: str) -> None:
        self.client = Client(world, "dev", faults)
        self.told: list[Message] = []
        world.time.seconds += 120
        self.plain = Plain(self.client.connect, self._tell, world.time)

    def _tell(self, message: Message) -> None:
        assert len(message.summary) <= 80
        self.told.append(message)

    def check(
        self, name: str, ids: Sequence[str], old: State | None = None, preview: bool = False, status: str = "Requested"
    ) -> Checked:
        raw = {"fleet": name, "orchestrator_ids": list(ids), "status": status}
        return self.plain.check(raw, old or {}, preview=preview)

    def create(self, name: str, ids: Sequence[str], status: str = "Requested", **more: Any) -> State:
        """Checks and creates a fleet, as an engine does."""
        self.check(name, ids)
        return self.plain.create(desired(name, ids, status, **more))

    def posts(self) -> list[tuple[str, tuple[str, ...]]]:
        """The requests sent so far."""
        return [(event.status, event.ids) for event in self.client.events if event.ids]


def desired(name: str, ids: Sequence[str], status: str = "Requested", **more: Any) -> State:
    """A fleet's inputs, as `check` returns them."""
    options = {"on_removal": "unset", "on_failure": "error"}
    return {"fleet": name, "orchestrators": dict.fromkeys(ids, status), "status": status, **options, **more}


def phases(state: State) -> dict[str, str]:
    return {agent_id: member["phase"] for agent_id, member in state["members"].items()}


@pytest.fixture
def world() -> World:
    world = World()
    for agent_id in IDS:
        world.add(agent_id)
    return world


# Claims: which fleet an orchestrator belongs to during a run.


def test_one_orchestrator_in_two_fleets_is_refused_with_both_names(world: World) -> None:
    process = Process(world)
    assert process.check("edge", [A, B]).problems == ()
    (problem,) = process.check("rim", [B, C]).problems
    assert problem.property == "orchestrator_ids"
    assert B in problem.reason
    assert "edge" in problem.reason


def test_a_fleet_checked_again_claims_what_it_names_now(world: World) -> None:
    process = Process(world)
    process.check("edge", [A, B])
    assert process.check("edge", [A]).problems == ()
    assert process.check("rim", [B]).problems == ()


def test_a_refused_claim_takes_nothing_from_its_owner(world: World) -> None:
    process = Process(world)
    process.check("edge", [A])
    process.check("rim", [A])
    process.check("rim", [B])
    assert len(process.check("core", [A]).problems) == 1


def test_a_renamed_fleets_requests_are_adopted_and_none_is_cancelled(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    assert phases(process.create("rim", [A, B])) == {A: "pending", B: "pending"}
    process.plain.delete(state)
    assert process.posts() == []


def test_a_flag_that_the_new_owner_could_not_replace_is_cleared_by_the_old(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", "refused-all")
    assert phases(process.create("rim", [A], "Required")) == {A: "unreached"}
    process.plain.delete(state)
    assert world.agents[A].flag == "None"


@pytest.mark.parametrize("leaves", ["update", "delete"])
def test_a_claim_that_was_not_met_keeps_no_request_standing(world: World, leaves: str) -> None:
    state = Process(world).create("edge", [A, B])
    process = Process(world)
    process.check("rim", [A])
    process.check("edge", [B])
    if leaves == "update":
        assert phases(process.plain.update(state, desired("edge", [B]))) == {B: "pending"}
    else:
        process.plain.delete(state)
    assert world.agents[A].flag == "None"


# Calls that go wrong.


@pytest.mark.parametrize(
    ("faults", "owned"),
    [
        (("fine", "lost", "fine", "down"), []),
        (("fine", "lost", "down"), ["Requested"]),
        (("fine", "lost-applied", "down"), ["Requested"]),
        (("fine", "lost", "fine", "lost", "down"), ["Requested"]),
    ],
)
def test_a_lost_request_is_owned_until_a_reading_shows_that_it_had_no_effect(
    world: World, faults: tuple[str, ...], owned: list[str]
) -> None:
    state = Process(world, *faults).create("edge", [A])
    assert phases(state) == {A: "unreached"}
    assert state["members"][A].get("owned_flags", []) == owned


def test_a_member_that_re_enrolled_after_a_lost_response_is_not_requested_again(
    world: World,
) -> None:
    process = Process(world, "fine", "fine", "lost-applied", "fine", "refused-all")

    def reenroll_and_clear(_seconds: float) -> None:
        world.reenroll(A)
        world.set_flag(B, "None")

    process.client.sleep = reenroll_and_clear  # type: ignore[method-assign, assignment]
    state = process.create("edge", [A, B])
    assert phases(state) == {A: "re-enrolled", B: "unreached"}
    assert process.posts() == [("Requested", (A, B)), ("Requested", (B,))]


@pytest.mark.parametrize("then", ["forbidden", "down"])
def test_a_flag_that_a_lost_call_may_have_set_is_owned_although_it_could_not_be_read(world: World, then: str) -> None:
    process = Process(world, "fine", "lost-applied", then)
    state = process.create("edge", [A])
    assert state["members"][A] == {
        "status": "Requested",
        "phase": "unreached",
        "baseline_thumbprint": world.agents[A].thumbprint,
        "owned_flags": ["Requested"],
        "machine": f"machine-{A[-2:]}",
        "reason": "its call got no answer",
    }
    Process(world).plain.delete(state)
    assert world.agents[A].flag == "None"


def test_a_flag_set_by_a_lost_call_is_owned_even_on_a_member_that_renewed_by_itself(world: World) -> None:
    state = Process(world, "fine", "lost-renewed").create("edge", [A])
    assert phases(state) == {A: "re-enrolled"}
    Process(world).plain.delete(state)
    assert world.agents[A].flag == "None"


@pytest.mark.parametrize(("fault", "posts"), [("lost-applied", 1), ("lost", 2)])
def test_a_clearing_with_a_lost_response_is_sent_again_only_if_the_flag_is_still_set(
    world: World, fault: str, posts: int
) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", fault)
    process.plain.delete(state)
    assert process.posts() == [("None", (A,))] * posts


@pytest.mark.parametrize(
    ("faults", "shared"), [(["down"], True), (["unauthorized"], True), (["forbidden"], False), (["fine", "down"], True)]
)
def test_an_outage_is_shared_by_the_fleets_of_a_run(world: World, faults: list[str], shared: bool) -> None:
    process = Process(world, *faults)
    first = process.create("edge", [A])
    assert first["trouble"]
    calls = len(process.client.events)
    assert bool(process.create("rim", [B])["trouble"]) == shared
    assert (len(process.client.events) == calls) == shared


def test_an_outage_during_requests_clears_no_flag_and_forgets_no_member(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world, "fine", "fine", "down")
    state = process.plain.update(state, desired("edge", [B]))
    assert phases(state) == {A: "leaving", B: "unreached"}
    assert process.posts() == [("Requested", (B,))]


def test_a_call_that_fails_fails_its_members_with_the_reason(world: World) -> None:
    process = Process(world, "fine", "forbidden")
    state = process.create("edge", [A])
    assert state["members"][A]["reason"] == "its call failed or was not sent"
    assert "forbidden" in state["trouble"]


@pytest.mark.parametrize("faults", [["down"], ["fine", "fine", "forbidden"]])
def test_a_destroyed_fleet_names_members_that_could_not_be_cleared(world: World, faults: list[str]) -> None:
    world.refused = {B}
    state = Process(world).create("edge", [A, B])
    process = Process(world, *faults)
    with pytest.raises(ReenrollmentFailed, match="1 orchestrator removed, but not cleared") as caught:
        process.plain.delete(state)
    assert A in str(caught.value)
    assert B not in str(caught.value)


def test_a_retained_fleet_is_destroyed_without_a_call(world: World) -> None:
    state = Process(world).create("edge", [A], on_removal="retain")
    process = Process(world)
    process.plain.delete(state)
    assert process.client.events == []


@pytest.mark.parametrize("call", ["read", "update", "delete", "diff"])
def test_a_state_that_cannot_be_read_is_refused_before_any_call(world: World, call: str) -> None:
    process = Process(world)
    arguments = [{"version": 99}, desired("edge", [A])][: 2 if call in ("update", "diff") else 1]
    with pytest.raises(RecordError, match="its version is 99"):
        getattr(process.plain, call)(*arguments)
    assert process.client.events == []


# Refresh.


def test_a_refresh_shows_the_real_flag_of_drifted_members_and_requests_nothing(world: World) -> None:
    state = Process(world).create("edge", [A, B, C, D])
    world.set_flag(A, "None")
    world.set_flag(B, "Required")
    world.reenroll(C)
    process = Process(world)
    state, inputs = process.plain.read(state)
    assert inputs["orchestrators"] == {A: "None", B: "Required", C: "Requested", D: "Requested"}
    assert phases(state) == {A: "cleared", B: "changed", C: "re-enrolled", D: "pending"}
    assert process.posts() == []
    assert process.plain.diff(state, desired("edge", [A, B, C, D]))


def test_a_refresh_that_cannot_read_raises(world: World) -> None:
    state = Process(world).create("edge", [A])
    with pytest.raises(CommandError):
        Process(world, "forbidden").plain.read(state)


@pytest.mark.parametrize(
    ("happens", "left", "says"),
    [
        (lambda world: world.set_flag(D, "Required"), {A: "leaving", B: "pending"}, ""),
        (lambda world: world.reenroll(A), {B: "pending"}, ""),
        (lambda world: world.remove(A), {B: "pending"}, "no longer in Command"),
        (lambda world: world.set_flag(A, "Required"), {B: "pending"}, "flag left at Required"),
    ],
)
def test_a_refresh_forgets_a_leaving_member_without_an_owned_flag(
    world: World, happens: Callable[[World], None], left: dict[str, str], says: str
) -> None:
    state = Process(world).create("edge", [A, B])
    world.refused = {A}
    state = Process(world).plain.update(state, desired("edge", [B]))
    happens(world)
    process = Process(world)
    state, inputs = process.plain.read(state)
    assert phases(state) == left
    assert set(inputs["orchestrators"]) == {B}
    assert says in " ".join(message.text() for message in process.told)


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
        process.plain.progress(state["members"], 60)
    leaving = {B: {"status": "Requested", "phase": "leaving"}}
    assert process.plain.progress(state["members"] | leaving, 60) == Progress(complete=[A])


def test_only_members_that_may_start_are_requested(world: World) -> None:
    process = Process(world)
    wanted = forms.desired_of(desired("edge", [A, B]))
    record = process.plain.operations.run.apply(Record("edge"), wanted, only=[B])
    assert (record.pending_ids(), record.queued_ids()) == ([B], [A])
    assert process.posts() == [("Requested", (B,))]


# Messages.


def told(process: Process) -> dict[str, Message]:
    """The messages shown, by kind."""
    return {message.kind: message for message in process.told}


def test_a_preview_names_members_to_request_and_warns_of_those_that_may_fail(world: World) -> None:
    world.remove(C)
    world.agents[B].approved = False
    process = Process(world)
    process.check("edge", [A, B, C], preview=True)
    assert all(agent_id in told(process)["forecast"].detail for agent_id in (A, B, C))
    assert f"machine-{A[-2:]} ({A})" in told(process)["forecast"].detail
    warned = [message.members for message in process.told if message.severity == "warning"]
    assert warned == [(C,), (B,)]


def test_a_preview_does_not_warn_of_members_that_stay_unchanged(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    world.reenroll(A)
    state, inputs = Process(world).plain.read(state)
    world.remove(A)
    world.remove(C)
    process = Process(world)
    process.check("edge", [A, B, C], inputs, preview=True)
    assert process.plain.diff(state, desired("edge", [A, B, C]), preview=True)
    assert [message.members for message in process.told] == [(C,), (C,)]


def test_failed_members_are_named_before_they_are_retried(world: World) -> None:
    world.refused = {A}
    state = Process(world).create("edge", [A, B])
    for status in ("Requested", "None"):
        process = Process(world)
        assert process.plain.diff(state, desired("edge", [A, B], status=status), preview=True)
        assert told(process)["retry"].members == (A,)


def test_members_that_could_not_be_cleared_are_named_before_that_is_tried_again(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    world.refused = {A}
    state = Process(world).plain.update(state, desired("edge", [B]))
    process = Process(world)
    assert process.plain.diff(state, desired("edge", [B]), preview=True)
    assert told(process)["retry"].members == (A,)


def test_drift_is_told_as_drift(world: World) -> None:
    state = Process(world).create("edge", [A, B])
    world.set_flag(A, "None")
    process = Process(world)
    state, _ = process.plain.read(state)
    assert told(process)["drift"].members == (A,)


def test_nothing_is_told_where_nothing_is_previewed(world: World) -> None:
    state = Process(world).create("edge", [A])
    process = Process(world)
    process.check("edge", [A, B], desired("edge", [A]))
    assert process.plain.diff(state, desired("edge", [A, B]))
    assert process.told == []


def test_a_preview_without_command_says_so_once_and_looks_no_more(world: World) -> None:
    process = Process(world, "down")
    process.check("edge", [A], preview=True)
    process.check("rim", [B], preview=True)
    assert [message.kind for message in process.told] == ["preflight-skipped", "forecast", "forecast"]
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


def test_the_same_warning_is_told_once_for_all_its_members(world: World) -> None:
    state = Process(world).create("edge", [A, B, C])
    for agent_id in (A, B):
        world.set_flag(agent_id, "Required")
    process = Process(world)
    process.plain.update(state, desired("edge", [C]))
    (warning,) = process.told
    assert warning.members == (A, B)
    assert f"machine-{A[-2:]} ({A}), machine-{B[-2:]} ({B})" in warning.detail
    assert "Required" in warning.detail


def test_who_is_bad_is_told_with_what_command_shows_of_it_and_none_of_that_is_recorded(world: World) -> None:
    rollout: dict[str, Any] = {"waves": ["5"], "overdue_after": 60}
    state = Process(world).create("edge", [A, B], **rollout)
    process = Process(world)
    state = process.plain.update(state, desired("edge", [A, B], **rollout))
    assert told(process)["stragglers"].members == (A, B)
    assert "last seen" in told(process)["stragglers"].detail
    assert "last seen" not in str(state)


# Rounds that begin while Command may still show the state before the last request.


def test_a_new_round_looks_again_until_command_shows_its_last_change(world: World) -> None:
    state = Process(world).create("edge", [A])
    old = world.agents[A].thumbprint
    world.time.seconds -= 110
    process = Process(world)
    world.set_flag(A, "None")

    def time_passes(seconds: float) -> None:
        world.time.seconds += seconds
        if world.agents[A].thumbprint == old:
            world.set_flag(A, "Requested")
            world.reenroll(A)

    process.client.sleep = time_passes  # type: ignore[method-assign]
    state = process.plain.update(state, desired("edge", [A], triggers={"ca": "2"}))
    assert state["members"][A]["baseline_thumbprint"] == world.agents[A].thumbprint != old
    assert phases(state) == {A: "pending"}


# Settings.


def refuses(error: SettingsError) -> tuple[Plain, list[Message]]:
    def connect() -> CommandClient:
        raise error

    told: list[Message] = []
    return Plain(connect, told.append), told


RAW = {"fleet": "edge", "orchestrator_ids": [A], "status": "Requested"}


def test_missing_settings_warn_once_in_preview_and_are_refused_by_up() -> None:
    plain, told = refuses(MissingSettings("No hostname", "no host", "Set it."))
    for name in ("edge", "rim"):
        raw = {**RAW, "fleet": name, "orchestrator_ids": [A if name == "edge" else B]}
        assert plain.check(raw, {}, preview=True).problems == ()
    assert [message.kind for message in told] == ["settings-missing", "forecast", "forecast"]
    assert "pulumi up" in told[0].detail
    (problem,) = plain.check(RAW, {}, preview=False).problems
    assert (problem.property, problem.reason) == ("keyfactor", "No hostname: no host. Set it.")


@pytest.mark.parametrize("preview", [True, False])
def test_wrong_settings_are_refused(preview: bool) -> None:
    plain, _ = refuses(SettingsError("Settings", "two methods", "Name one."))
    (problem,) = plain.check(RAW, {}, preview=preview).problems
    assert "two methods" in problem.reason


def test_settings_that_are_wrong_by_now_fail_the_run_and_lose_no_member() -> None:
    plain, _ = refuses(SettingsError("Settings", "two methods", "Name one."))
    state = plain.create(desired("edge", [A]))
    assert phases(state) == {A: "due"}
    assert "two methods" in state["trouble"]
