"""The decisions carried out: check, diff, create, update, read, delete on plain values; no engine in it."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from keyfactor_provider.command.asking import Outcome, ask
from keyfactor_provider.command.client import CommandClient, Patience
from keyfactor_provider.command.roster import Roster
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import (
    CommandError,
    LookupRefused,
    MissingSettings,
    Problem,
    SettingsError,
    Unauthorized,
    Unreachable,
)
from keyfactor_provider.preflight import concerns
from keyfactor_provider.reenrollment import fleet, life, report
from keyfactor_provider.reenrollment.completion import Progress, progress
from keyfactor_provider.reenrollment.record import FAILED, Member, Phase, Record
from keyfactor_provider.reenrollment.wish import Checked, Wish, check
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.words import Words

Severity = Literal["info", "warning"]
Tell = Callable[[Severity, str], None]

PREFLIGHT_SECONDS: Final = 3.0
"""For looking at Command in all the previews of one process together."""


class Operations:
    """What one process does to one Command server, for all fleets of a stack.

    Reading, deciding and posting happen under one lock, so that no take-back overtakes the adoption of
    the same flag by another fleet, and so that fleets share their readings and an outage.

    Args:
        connect: builds the client on first use; may raise SettingsError.
        tell: shows a message to the user of the run.
        words: what messages call the things of the engine; Pulumi's when it is None.
    """

    def __init__(self, connect: Callable[[], CommandClient], tell: Tell, words: Words | None = None) -> None:
        self._connect = connect
        self._tell = tell
        self._words = words or Words()
        self._lock = threading.RLock()
        self._roster: Roster | None = None
        self._client: CommandClient | None = None
        self._outage: CommandError | None = None
        self._claims: dict[str, str] = {}
        self._held: dict[str, frozenset[str]] = {}
        self._previewed: dict[str, Wish] = {}
        self._preflight_left = PREFLIGHT_SECONDS
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
            if preview and made.wish is not None:
                self._previewed[name] = made.wish
                if not old_inputs:
                    ahead = fleet.forecast(Record(made.wish.fleet), made.wish)
                    self._tell("info", report.intent(made.wish, ahead))
                self._preflight(made.wish, old_inputs)
            return made

    def diff(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
        """Whether a run would do or record anything; from state and wish alone, never from Command.

        Raises:
            RecordError: the state can't be read.
        """
        return self.forecast(state, inputs).changes

    def forecast(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> fleet.Forecast:
        """What a run would do; like `diff`, from state and wish alone.

        Raises:
            RecordError: the state can't be read.
        """
        record, wish = Record.from_state(state), Wish.from_inputs(inputs)
        with self._lock:
            ahead = fleet.forecast(record, wish, self._claimed_by_others(wish.fleet))
            # Refresh calls diff too, with its arguments turned and without a check before it.
            if ahead.changes and self._previewed.get(wish.fleet) == wish:
                self._tell("info", report.intent(wish, ahead))
                if warning := report.retry(record, ahead.again):
                    self._tell("warning", warning)
        return ahead

    # What an engine has carried out.

    def create(self, inputs: Mapping[str, Any], *, or_nothing: bool = False) -> dict[str, Any]:
        """Asks a new fleet's members; gives the state, in which refused and unreached members stand.

        Args:
            or_nothing: the engine can end a creation with an error only where it leaves no state.

        Raises:
            ReenrollmentFailed: no call was sent and nobody is as wished, and the engine wants no state then.
        """
        wish = Wish.from_inputs(inputs)
        record, sent = self._run(Record(wish.fleet), wish)
        failure = report.failure(record)
        if or_nothing and failure and not sent and len(record.having(*FAILED)) == len(record.members):
            nothing = f"Nothing was sent and nothing is recorded: the next {self._words.up} begins anew."
            failure.next_step = f"{record.trouble} {nothing}".strip()
            raise failure
        return record.to_state()

    def update(self, state: Mapping[str, Any], inputs: Mapping[str, Any], keep: Collection[str] = ()) -> dict[str, Any]:
        """Brings a fleet from its record to its wish; gives the new state.

        Args:
            keep: members whose flag stays, should they leave: another fleet was seen to claim them.

        Raises:
            RecordError: the state can't be read.
        """
        record, _ = self._run(Record.from_state(state), Wish.from_inputs(inputs), keep)
        return record.to_state()

    def adopt(self, name: str, members: Iterable[str]) -> dict[str, Any]:
        """The state of a fleet that takes over orchestrators as they stand; nothing is asked.

        Its wish is the flag that stands, the more urgent one where two do.

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
        taken = Record(name, status, {member_id: Member(status) for member_id in wanted})
        return replace(taken, members=fleet.plan(taken.members, {}, seen).members).to_state()

    def read(self, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads a fleet's members without asking anything.

        Returns:
            The new state, and the inputs that it stands for: the real flag for members that somebody
            else changed, the recorded wish for all others.

        Raises:
            RecordError: the state can't be read.
            CommandError, SettingsError: Command can't be read; the state stands as it was.
        """
        record = Record.from_state(state)
        staying = dict(record.staying())
        with self._lock:
            made = fleet.plan(staying, {}, self._look(staying))
        self._tell_warnings(record, made.warnings)
        leaving = {member_id: member for member_id, member in record.members.items() if member_id not in staying}
        inputs = record.wish().to_inputs()
        inputs["orchestrators"] |= made.drift
        return replace(record, members=made.members | leaving).to_state(), inputs

    def delete(self, state: Mapping[str, Any], keep: Collection[str] = ()) -> None:
        """Takes back the flags of ours that stand, but for those that a fleet of this run claims.

        Args:
            keep: members whose flag stays: another fleet was seen to claim them.

        Raises:
            RecordError: the state can't be read.
            ReenrollmentFailed: a flag of ours could not be taken back; names the orchestrators.
        """
        record = Record.from_state(state)
        with self._lock:
            leaving = fleet.goers(record, None, {*self._claims, *keep})
            made, trouble = self._plan({}, leaving)
            trouble = self._carry_out(made) or trouble
        self._tell_warnings(record, made.warnings)
        left = replace(record, members=made.members, trouble=str(trouble or ""))
        if failure := report.failure(left):
            raise failure

    def progress(self, members: Mapping[str, Any]) -> Progress:
        """How far a round is, by a new reading of the members that a fleet's state holds.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        awaited = {member_id: Member.from_state(member) for member_id, member in members.items()}
        staying = {member_id: member for member_id, member in awaited.items() if member.phase is not Phase.LEAVING}
        with self._lock:
            self._connected().forget(staying)
            self._outage = None
            return progress(staying, self._look(staying))

    def everyone(self) -> Sequence[Agent]:
        """Every agent that Command lists, from a reading that is fresh enough to decide by.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._lock:
            roster = self._connected()
            if self._outage is not None:
                raise self._outage
            try:
                return roster.everyone_lately()
            except CommandError as error:
                self._note_outage(error)
                raise

    def agent(self, agent_id: str) -> Agent | None:
        """One agent by its canonical GUID; None where Command has none.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        with self._lock:
            return self._agents([agent_id])[agent_id]

    def connect(self) -> None:
        """Builds the client now, so that wrong settings show, and a warning about them, before anything else.

        Raises:
            SettingsError: they are wrong or missing.
        """
        with self._lock:
            self._connected()

    def close(self) -> None:
        """Closes the connections, if there are any."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def hold(self, name: str, members: Iterable[str]) -> None:
        """Notes whom a fleet has by its state, until it claims whom it wants."""
        with self._lock:
            self._held[name] = frozenset(members)

    def wanted_elsewhere(self, name: str) -> set[str]:
        """The members that other fleets than this one claim in this run, or have and have not claimed yet."""
        with self._lock:
            held = (members for owner, members in self._held.items() if owner != name)
            return self._claimed_by_others(name).union(*held)

    def _run(self, record: Record, wish: Wish, keep: Collection[str] = ()) -> tuple[Record, bool]:
        """The record that a run leaves, and whether it sent anything."""
        members = fleet.members_of(record, wish)
        with self._lock:
            leaving = fleet.goers(record, wish, {*self._claimed_by_others(wish.fleet), *keep})
            made, trouble = self._plan(members, leaving)
            trouble = self._carry_out(made) or trouble
        after = fleet.recorded(wish, made, str(trouble or ""))
        self._tell_warnings(after, made.warnings, record)
        return after, made.sent

    def _plan(
        self, members: Mapping[str, Member], leaving: Mapping[str, Member]
    ) -> tuple[fleet.Plan, CommandError | SettingsError | None]:
        try:
            return fleet.plan(members, leaving, self._look([*members, *leaving])), None
        except (CommandError, SettingsError) as error:
            return fleet.plan_unread(members, leaving, "Command could not be read"), error

    def _look(self, wanted: Iterable[str], patience: Patience | None = None) -> dict[str, life.Seen | None]:
        found = self._agents(wanted, patience)
        return {agent_id: _seen(agent) if agent else None for agent_id, agent in found.items()}

    def _agents(self, wanted: Iterable[str], patience: Patience | None = None) -> Mapping[str, Agent | None]:
        if not (wanted := list(wanted)):
            return {}
        roster = self._connected()
        if self._outage is not None:
            raise self._outage
        try:
            return roster.look(wanted, patience=patience)
        except CommandError as error:
            self._note_outage(error)
            raise

    def _carry_out(self, made: fleet.Plan) -> CommandError | None:
        """Posts what a plan asks for, and records in it what became of each member."""
        trouble: CommandError | None = None
        for status in reversed(ReenrollmentStatus):
            wanted = [member_id for member_id, asked in made.asks.items() if asked is status]
            if status is life.NONE:
                wanted += made.take_backs
            if not wanted:
                continue
            outcome = self._ask(made, sorted(wanted), status)
            trouble = trouble or outcome.trouble
            self._settle(made, outcome, status)
        return trouble

    def _ask(self, made: fleet.Plan, wanted: Sequence[str], status: ReenrollmentStatus) -> Outcome:
        roster = self._connected()
        assert self._client is not None
        if self._outage is not None:
            return Outcome(unreached=dict.fromkeys(wanted, False), trouble=self._outage)

        def still_due(asked: Sequence[str], patience: Patience) -> list[str]:
            for member_id, seen in self._look(asked, patience).items():
                if member_id in made.members:
                    made.judge(member_id, seen)
                elif not life.depart(made.take_backs[member_id], seen).take_back:
                    del made.take_backs[member_id]
            return [member_id for member_id in asked if member_id in made.asks or member_id in made.take_backs]

        def written(members: Sequence[str]) -> None:
            made.sent = True
            roster.forget(members)

        outcome = ask(self._client, wanted, status, still_due=still_due, written=written)
        if outcome.trouble is not None:
            self._note_outage(outcome.trouble)
        return outcome

    def _settle(self, made: fleet.Plan, outcome: Outcome, status: ReenrollmentStatus) -> None:
        for member_id in outcome.accepted:
            if member_id in made.members:
                made.members[member_id] = life.accepted(made.members[member_id], status)
        for member_id, reason in outcome.refused.items():
            if member_id in made.members:
                made.members[member_id] = life.refused(made.members[member_id], reason)
            else:
                made.members[member_id] = life.leaving(made.take_backs[member_id], f"refused: {reason}")
        for member_id, outcome_open in outcome.unreached.items():
            reason = "its call got no answer" if outcome_open else "its call failed or was not sent"
            if member_id in made.members:
                made.members[member_id] = life.unreached(made.members[member_id], reason, outcome_open=outcome_open)
            elif member_id in made.take_backs:
                made.members[member_id] = life.leaving(made.take_backs[member_id], reason)

    # Claims, settings, preflight.

    def _claim(self, name: str, members: Iterable[str]) -> list[Problem]:
        self._held.pop(name, None)
        for member_id in [member_id for member_id, owner in self._claims.items() if owner == name]:
            del self._claims[member_id]
        shared: dict[str, list[str]] = {}
        for member_id in sorted(members):
            owner = self._claims.setdefault(member_id, name)
            if owner != name:
                shared.setdefault(owner, []).append(member_id)
        return [
            Problem("orchestrator_ids", self._words.claimed_twice(report.listed(ids), len(ids), owner, name))
            for owner, ids in shared.items()
        ]

    def _claimed_by_others(self, name: str) -> set[str]:
        return {member_id for member_id, owner in self._claims.items() if owner != name}

    def _check_settings(self, preview: bool) -> list[Problem]:
        try:
            self._connected()
        except MissingSettings as error:
            if not preview:
                return [Problem("keyfactor", str(error))]
            self._tell_once("warning", f"{error} A {self._words.preview} goes on without; {self._words.up} will fail.")
        except SettingsError as error:
            return [Problem("keyfactor", str(error))]
        return []

    def _connected(self) -> Roster:
        if self._roster is None:
            self._client = self._connect()
            self._roster = Roster(self._client)
            naming = self._client.settings.naming
            if self._client.settings.skip_verify:
                self._tell_once(
                    "warning",
                    f"The certificate of {self._client.settings.base_url} is not verified "
                    f"({naming.short('skipVerify')}): anyone on the way can read the credentials. "
                    f"Set {naming.short('caCert')} instead.",
                )
        return self._roster

    def _preflight(self, wish: Wish, old_inputs: Mapping[str, Any]) -> None:
        if self._preflight_left <= 0 or self._outage is not None:
            return
        try:
            roster = self._connected()
        except SettingsError:
            return
        assert self._client is not None
        began = self._client.clock()
        try:
            agents = roster.look(sorted(wish.members), patience=Patience(began + self._preflight_left, retries=False))
        except CommandError as error:
            self._preflight_left = 0
            self._tell_once("warning", f"{self._words.preview.capitalize()} without a look at Command. {error}")
            return
        self._preflight_left -= self._client.clock() - began
        for concern in concerns(wish, old_inputs, agents):
            self._tell("warning", concern)

    def _note_outage(self, error: CommandError) -> None:
        # A wrong password tried once for each of many fleets would lock the account.
        if isinstance(error, (Unreachable, Unauthorized)):
            self._outage = error

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
            self._tell("warning", f"{report.title(record.fleet)}{report.listed(names)} {warning}.")


def _seen(agent: Agent) -> life.Seen:
    return life.Seen(
        flag=agent.flag,
        thumbprint=agent.thumbprint,
        machine=agent.machine,
        last_used=agent.last_thumbprint_used,
        legacy=agent.legacy_thumbprint,
    )
