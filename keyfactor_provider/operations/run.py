"""The decisions carried out: check, diff, create, update, read, delete on plain values; no engine in it."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.command.session import Session
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import (
    CommandError,
    LookupRefused,
    MissingSettings,
    Problem,
    SettingsError,
)
from keyfactor_provider.operations.execution import carry_out, observation_of
from keyfactor_provider.operations.preflight import concerns
from keyfactor_provider.reenrollment import fleet, life, report
from keyfactor_provider.reenrollment.claims import Claims
from keyfactor_provider.reenrollment.completion import Progress, progress
from keyfactor_provider.reenrollment.desired import Checked, Desired, check
from keyfactor_provider.reenrollment.record import FAILED, Member, Phase, Record, from_state
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.vocabulary import Vocabulary

Severity = Literal["info", "warning"]
Tell = Callable[[Severity, str], None]

HANDOVER_SECONDS: Final = 3.0
"""For another fleet of the run to make its own what it claims, before it is taken back from under it."""


class Operations:
    """What one process does to one Command server, for all fleets of a stack.

    Reading, deciding and posting happen under one lock, so that no take-back overtakes the adoption of
    the same flag by another fleet, and so that fleets share their readings and an outage.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        vocabulary: what messages call the things of the engine; Pulumi's when it is None.
        handover: seconds; see HANDOVER_SECONDS.
    """

    def __init__(
        self,
        connect: Callable[[], CommandClient],
        tell: Tell,
        vocabulary: Vocabulary | None = None,
        *,
        handover: float = HANDOVER_SECONDS,
    ) -> None:
        self._tell = tell
        self._vocabulary = vocabulary or Vocabulary()
        self._lock = threading.Condition(threading.RLock())
        self._handover = handover
        self._session = Session(connect, lambda warning: self._tell_once("warning", warning))
        self._claims = Claims()
        self._replaced: dict[str, dict[str, Member]] = {}
        self._previewed: dict[str, tuple[Desired, Mapping[str, Agent | None]]] = {}
        self._warned: set[str] = set()

    # What an engine asks before anything is changed.

    def check(
        self, raw: Mapping[str, Any], old_inputs: Mapping[str, Any], *, preview: bool, settings: bool = True
    ) -> Checked:
        """Validates what a program wrote for a fleet, and claims its members for this run.

        Args:
            old_inputs: the inputs of the last run; empty for a new fleet.
            preview: nothing will be changed in this process: say what `up` will do, and look whether
                Command would have something against it. Missing settings only warn.
            settings: whether to check them too; an engine may have done that before.
        """
        with self._lock:
            made = check(raw)
            name = str(raw.get("fleet", ""))
            problems = [
                *made.problems,
                *self._claim(name, made.known_members),
                *(self._check_settings(preview) if settings else ()),
            ]
            if problems:
                return Checked(None, made.known_members, tuple(problems), made.unknown)
            if preview and made.desired is not None:
                self._previewed[name] = (made.desired, self._preflight(made.desired))
                if not old_inputs:
                    self._tell_ahead(made.desired, Record(name), fleet.forecast(Record(name), made.desired))
            return made

    def diff(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
        """Whether a run would do or record anything; from state and desired alone, never from Command.

        Raises:
            RecordError: the state can't be read.
        """
        record, desired = Record.from_state(state), Desired.from_inputs(inputs)
        with self._lock:
            ahead = self._forecast(record, desired)
            # What another fleet of this run has taken back since is not pending here any more.
            changes = ahead.changes or (desired.status is not life.NONE and self._claims.lost(desired.members))
            if not changes:
                self._hold(desired.fleet, record.members)
        return changes

    def forecast(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> fleet.Forecast:
        """What a run would do; like `diff`, from state and desired alone.

        Raises:
            RecordError: the state can't be read.
        """
        with self._lock:
            return self._forecast(Record.from_state(state), Desired.from_inputs(inputs))

    def _forecast(self, record: Record, desired: Desired) -> fleet.Forecast:
        ahead = fleet.forecast(record, desired, self._claims.of_others(desired.fleet, record.members))
        # Refresh calls diff too, with its arguments turned and without a check before it.
        if ahead.changes and self._previewed.get(desired.fleet, (None,))[0] == desired:
            self._tell_ahead(desired, record, ahead)
        return ahead

    # What an engine has carried out.

    def create(self, inputs: Mapping[str, Any], *, or_nothing: bool = False) -> dict[str, Any]:
        """Asks a new fleet's members; gives the state, in which refused and unreached members stand.

        Args:
            or_nothing: the engine can end a creation with an error only where it leaves no state.

        Raises:
            ReenrollmentFailed: no call was sent and nobody is as wished, and the engine wants no state then.
        """
        desired = Desired.from_inputs(inputs)
        before = self._replaced.pop(desired.fleet, {})
        record, sent = self._run(Record(desired.fleet, members=before), desired)
        failure = report.failure(record)
        if or_nothing and failure and not sent and len(record.having(*FAILED)) == len(record.members):
            nothing = f"Nothing was sent and nothing is recorded: the next {self._vocabulary.up} begins anew."
            failure.next_step = f"{record.trouble} {nothing}".strip()
            raise failure
        return record.to_state()

    def update(self, state: Mapping[str, Any], inputs: Mapping[str, Any], keep: Collection[str] = ()) -> dict[str, Any]:
        """Brings a fleet from its record to its desired; gives the new state.

        Args:
            keep: members whose flag stays, should they leave: another fleet was seen to claim them.

        Raises:
            RecordError: the state can't be read.
        """
        record, _ = self._run(Record.from_state(state), Desired.from_inputs(inputs), keep)
        return record.to_state()

    def adopt(self, name: str, members: Iterable[str]) -> dict[str, Any]:
        """The state of a fleet that takes over orchestrators as they stand; nothing is asked.

        Its desired is the flag that stands, the more urgent one where two do.

        Args:
            members: canonical GUIDs.

        Raises:
            LookupRefused: Command has no such orchestrator; names them.
            CommandError, SettingsError: Command can't be read.
        """
        wanted = sorted(members)
        with self._lock:
            seen = self._look(wanted)
        if missing := [member_id for member_id in wanted if seen[member_id] is None]:
            raise LookupRefused(
                "Taking over orchestrators",
                f"Command has no such orchestrator: {report.listed(missing)}",
                "Nothing was taken over. Correct the GUIDs.",
            )
        status = fleet.standing(seen.values())
        taken = Record(name, status, {member_id: Member(status, Phase.DUE) for member_id in wanted})
        return replace(taken, members=fleet.plan(taken.members, {}, seen).members).to_state()

    def read(self, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads a fleet's members without asking anything.

        Returns:
            The new state, and the inputs that it stands for: the real flag for members that somebody
            else changed, the recorded desired for all others.

        Raises:
            RecordError: the state can't be read.
            CommandError, SettingsError: Command can't be read; the state stands as it was.
        """
        record = Record.from_state(state)
        staying = dict(record.staying())
        leaving = {member_id: member for member_id, member in record.members.items() if member_id not in staying}
        with self._lock:
            made = fleet.plan(staying, leaving, self._look(record.members))
        self._tell_warnings(record, made.warnings)
        inputs = record.desired().to_inputs()
        inputs["orchestrators"] |= made.drift
        return replace(record, members=made.members | made.take_backs).to_state(), inputs

    def delete(self, state: Mapping[str, Any], keep: Collection[str] = ()) -> None:
        """Takes back the flags of ours that stand, but for those that a fleet of this run has made its own.

        Members that a new fleet of the same name claims, and has not come to yet, are kept for its `create`:
        this one is deleted before it is replaced.

        Args:
            keep: members whose flag stays: another fleet was seen to claim them.

        Raises:
            RecordError: the state can't be read.
            ReenrollmentFailed: a flag of ours could not be taken back; names the orchestrators. Its cause is
                what went wrong between this project and Command, if anything did.
        """
        record = Record.from_state(state)
        with self._lock:
            awaited = self._claims.awaited(record.fleet, record.members)
            self._replaced[record.fleet] = {
                member_id: life.leaving(record.members[member_id], "") for member_id in awaited
            }
            leaving = fleet.goers(record, None, self._held(record, {*awaited, *keep}))
            made, trouble = self._plan({}, leaving)
            trouble = carry_out(made, self._session, lambda: self._claims.release(made.take_backs)) or trouble
        self._tell_warnings(record, made.warnings)
        left = replace(record, members=made.members, trouble=str(trouble or ""))
        if failure := report.failure(left):
            raise failure from trouble

    def progress(self, members: Mapping[str, Any], within: float) -> Progress:
        """How far a round is, by a new reading of the members that a fleet's state holds.

        Args:
            within: seconds that a request of the reading may take with its retries, if the setting is not less.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        staying = {
            member_id: member for member_id, member in from_state(members).items() if member.phase is not Phase.LEAVING
        }
        with self._lock:
            found = self._session.agents_now(staying, within)
        return progress(staying, {agent_id: observation_of(agent) for agent_id, agent in found.items()})

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists, from a reading that is fresh enough to decide by.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._lock:
            return self._session.everyone()

    def agent(self, agent_id: str) -> Agent | None:
        """One agent by its canonical GUID; None where Command has none.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._lock:
            return self._session.agents([agent_id])[agent_id]

    def connect(self) -> None:
        """Builds the client now, so that wrong settings show, and a warning about them, before anything else.

        Raises:
            SettingsError: they are wrong or missing.
        """
        with self._lock:
            self._session.connect()

    def close(self) -> None:
        """Closes the connections, if there are any."""
        with self._lock:
            self._session.close()

    def has(self, name: str, members: Iterable[str]) -> None:
        """Notes whom a fleet has by its state, until it claims whom it wants."""
        with self._lock:
            self._claims.has(name, members)

    def wanted_elsewhere(self, name: str, members: Iterable[str]) -> frozenset[str]:
        """Those of the members that other fleets than this one claim in this run, or have and have not claimed yet."""
        with self._lock:
            return self._claims.wanted_elsewhere(name, members)

    def _run(self, record: Record, desired: Desired, keep: Collection[str] = ()) -> tuple[Record, bool]:
        """The record that a run leaves, and whether it sent anything."""
        members = fleet.members_of(record, desired)
        with self._lock:
            leaving = fleet.goers(record, desired, self._held(record, keep))
            made, trouble = self._plan(members, leaving)
            trouble = carry_out(made, self._session, lambda: self._hand_over(record, desired, made, keep)) or trouble
            after = fleet.recorded(desired, made, str(trouble or ""))
            self._hold(desired.fleet, after.members)
        self._tell_warnings(after, made.warnings, record)
        return after, made.sent

    def _plan(
        self, members: Mapping[str, Member], leaving: Mapping[str, Member]
    ) -> tuple[fleet.Plan, CommandError | SettingsError | None]:
        try:
            return fleet.plan(members, leaving, self._look([*members, *leaving])), None
        except (CommandError, SettingsError) as error:
            return fleet.plan_unread(members, leaving, "Command could not be read"), error

    def _look(self, wanted: Iterable[str]) -> dict[str, life.Observation | None]:
        return {agent_id: observation_of(agent) for agent_id, agent in self._session.agents(wanted).items()}

    def _hold(self, name: str, members: Mapping[str, Member]) -> None:
        self._claims.hold(name, members)
        self._lock.notify_all()

    def _hand_over(self, record: Record, desired: Desired, made: fleet.Plan, keep: Collection[str]) -> None:
        """Leaves to other fleets of the run what they claim, once they have it; what they don't get, they ask anew."""
        if made.take_backs and self._claims.underway(desired.fleet, made.take_backs):
            self._wait_for_claimants(record, desired, made, keep)
        self._claims.release(made.take_backs)

    def _wait_for_claimants(self, record: Record, desired: Desired, made: fleet.Plan, keep: Collection[str]) -> None:
        # Two fleets may wait for each other's members: each has asked its own by now.
        self._hold(desired.fleet, made.members)
        self._lock.wait_for(lambda: not self._claims.underway(desired.fleet, made.take_backs), self._handover)
        left = fleet.goers(record, desired, self._held(record, keep))
        again, _ = self._plan({}, {member_id: left[member_id] for member_id in made.take_backs if member_id in left})
        made.members |= again.members
        made.take_backs = again.take_backs

    # Claims, settings, preflight.

    def _held(self, record: Record, keep: Iterable[str]) -> dict[str, frozenset[ReenrollmentStatus]]:
        return self._claims.held(record.members) | dict.fromkeys(keep, frozenset(ReenrollmentStatus))

    def _claim(self, name: str, members: frozenset[str]) -> list[Problem]:
        shared: dict[str, list[str]] = {}
        for member_id, owner in self._claims.claim(name, members).items():
            shared.setdefault(owner, []).append(member_id)
        return [
            Problem(
                "orchestrator_ids",
                f'{report.listed(ids)}: also in fleet "{owner}"; expected each orchestrator in one fleet',
            )
            for owner, ids in shared.items()
        ]

    def _check_settings(self, preview: bool) -> list[Problem]:
        try:
            self._session.connect()
        except MissingSettings as error:
            if not preview:
                return [Problem("keyfactor", str(error))]
            self._tell_once(
                "warning", f"{error} A {self._vocabulary.preview} goes on without; {self._vocabulary.up} will fail."
            )
        except SettingsError as error:
            return [Problem("keyfactor", str(error))]
        return []

    def _preflight(self, desired: Desired) -> Mapping[str, Agent | None]:
        """What Command shows of the members, for warnings; nothing where it can't be had in time."""
        try:
            return self._session.glance(sorted(desired.members))
        except SettingsError:
            return {}
        except CommandError as error:
            self._tell_once("warning", f"{self._vocabulary.preview.capitalize()} without a look at Command. {error}")
            return {}

    def _tell_ahead(self, desired: Desired, record: Record, ahead: fleet.Forecast) -> None:
        self._tell("info", report.intent(desired, ahead))
        _, agents = self._previewed[desired.fleet]
        for warning in report.retry(record, ahead):
            self._tell("warning", warning)
        for message in concerns(desired, ahead.first + ahead.again, agents):
            self._tell("warning", message.text())

    def _tell_once(self, severity: Severity, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._tell(severity, message)

    def _tell_warnings(self, record: Record, warnings: Iterable[tuple[str, str]], before: Record | None = None) -> None:
        groups: dict[str, list[str]] = {}
        for member_id, warning in warnings:
            named_by = record if before is None or member_id in record.members else before
            groups.setdefault(warning, []).append(named_by.name(member_id))
        for warning, names in groups.items():
            self._tell("warning", f"{report.title(record.fleet)}{report.each_of(names, warning)}")
