"""What a run does with a fleet: create, update, read, import and destroy it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError, LookupRefused, ProviderError, SettingsError
from keyfactor_provider.operations.context import Context, observations
from keyfactor_provider.operations.execution import carry_out
from keyfactor_provider.reenrollment import fleet, report
from keyfactor_provider.reenrollment.completion import Progress, progress
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.life import STALE_FOR, Moment
from keyfactor_provider.reenrollment.record import Member, Phase, Record
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.text import listed, safe

_REREAD_AFTER: Final = 2.0
"""Seconds to wait before reading members again when Command may still show their state before a request."""
_REREAD_TIMEOUT: Final = 60.0
"""Seconds that one request of such a reading may take with its retries."""


class Run:
    """Creates, updates, reads, imports and destroys fleets."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def apply(
        self,
        record: Record,
        desired: Desired,
        *,
        only: Collection[str] | None = None,
        elsewhere: Collection[str] = (),
        within: float | None = None,
    ) -> Record:
        """Brings a fleet to what is desired, as far as its roll-out allows in one run; raises nothing.

        Failed members are recorded; `report.failure` says whether they fail the run.

        Args:
            record: from the last run; without members for a new fleet.
            only: the members that may start in this run; None for all.
            elsewhere: members that a fleet of another process claims in this run: their flag is not cleared here.
            within: seconds after which nothing more is sent; None for no limit.
        """
        context = self._context
        members = fleet.members_of(record, desired)
        with context.lock:
            leaving = fleet.removed_from(record, desired, self._held(record, elsewhere))
            agents: Mapping[str, Agent | None] = {}
            trouble: ProviderError | None = None
            try:
                until = context.session.until(within)
                agents, observed, at = self._look(record, members, leaving, desired, until)
                plan = fleet.observe(members, leaving, observed, at)
                fleet.start(plan, desired.rollout, observed, only)
                trouble = carry_out(plan, context.session, at, until)
            except (CommandError, SettingsError) as error:
                plan, trouble = fleet.unread(members, leaving, "Command could not be read"), error
            after = fleet.recorded(desired, plan.members, str(trouble or ""))
            context.claims.clear(leaving.keys() - after.members.keys())
            context.claims.hold(desired.fleet, after.members)
        context.tell_warnings(after, plan.warnings, record)
        for message in report.stragglers(after, _about(agents, after)):
            context.tell(message)
        return after

    def read(self, record: Record) -> tuple[Record, dict[str, str]]:
        """Observes a fleet's members; requests nothing.

        Returns:
            The new record, and the current flags of members that were changed or cleared outside this stack.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        context = self._context
        staying = dict(record.staying())
        leaving = {member_id: member for member_id, member in record.members.items() if member_id not in staying}
        with context.lock:
            agents = context.session.agents(record.members)
            at = context.moment(record.rollout.deadline)
            plan = fleet.observe(staying, leaving, observations(agents), at)
        after = fleet.recorded(record.desired(), plan.members | plan.clears, "")
        context.tell_warnings(record, plan.warnings)
        for message in (
            report.outcome(after, record),
            *report.drifted(after, plan.drift),
            *report.stragglers(after, _about(agents, after)),
        ):
            context.tell(message)
        return after, plan.drift

    def destroy(self, record: Record, *, elsewhere: Collection[str] = (), within: float | None = None) -> None:
        """Clears the flags that a fleet owns, except those that another fleet of this run owns too.

        Args:
            elsewhere: see `apply`.
            within: see `apply`.

        Raises:
            ReenrollmentFailed: some flags could not be cleared; names the orchestrators. Its cause is the error from
                Command, if there was one.
        """
        context = self._context
        with context.lock:
            leaving = fleet.removed_from(record, None, self._held(record, elsewhere))
            trouble: ProviderError | None = None
            try:
                until = context.session.until(within)
                observed = observations(context.session.agents(leaving, until=until))
                at = context.moment()
                plan = fleet.observe({}, leaving, observed, at)
                cleared = sorted(plan.clears)
                trouble = carry_out(plan, context.session, at, until)
            except (CommandError, SettingsError) as error:
                plan, trouble, cleared = fleet.unread({}, leaving, "Command could not be read"), error, []
            context.claims.clear(leaving.keys() - plan.members.keys())
        context.tell_warnings(record, plan.warnings)
        rest = Record(record.fleet, members=plan.members, trouble=str(trouble or "") if plan.members else "")
        if failure := report.failure(rest):
            raise failure from trouble
        context.tell(report.destroyed(record, cleared))

    def adopt(self, name: str, members: Iterable[str]) -> Record:
        """Imports orchestrators as a fleet; requests nothing.

        The desired status is the flag they have, or the most urgent one if their flags differ.

        Args:
            members: canonical GUIDs.

        Raises:
            LookupRefused: some orchestrators are not in Command; names them.
            CommandError, SettingsError: Command can't be read.
        """
        wanted = sorted(members)
        context = self._context
        with context.lock:
            observed = observations(context.session.agents(wanted))
            at = context.moment()
        if missing := [member_id for member_id in wanted if observed[member_id] is None]:
            raise LookupRefused(
                "The orchestrators can't be imported",
                f"not found in Command: {listed(missing)}",
                "Nothing was imported. Correct the GUIDs.",
            )
        status = fleet.standing(observed.values())
        fresh = {member_id: Member(status, Phase.DUE) for member_id in wanted}
        return Record(name, status, fleet.observe(fresh, {}, observed, at).members)

    def progress(self, members: Mapping[str, Member], within: float) -> Progress:
        """How far a round is, by a new observation of a fleet's members.

        Args:
            within: seconds that one request may take with its retries, unless the `timeout` setting is shorter.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        staying = {member_id: member for member_id, member in members.items() if member.phase is not Phase.LEAVING}
        with self._context.lock:
            observed = observations(self._context.session.agents_now(staying, within))
            return progress(staying, observed, self._context.moment())

    def _held(self, record: Record, elsewhere: Collection[str]) -> dict[str, frozenset[ReenrollmentStatus]]:
        return self._context.claims.held(record.members) | dict.fromkeys(elsewhere, frozenset(ReenrollmentStatus))

    def _look(
        self,
        record: Record,
        members: Mapping[str, Member],
        leaving: Mapping[str, Member],
        desired: Desired,
        until: float | None,
    ) -> tuple[Mapping[str, Agent | None], fleet.Observed, Moment]:
        """An observation that is fresh enough to begin a round with, and its moment."""
        session = self._context.session
        agents = dict(session.agents([*members, *leaving], until=until))
        observed = observations(agents)
        at = self._context.moment(desired.rollout.deadline)
        # Bounded by this machine's clock too: a response from a cache always has the same Date.
        latest = session.clock() + STALE_FOR.total_seconds()
        while (doubtful := fleet.doubtful(record, members, observed, at)) and session.clock() < latest:
            self._context.tell_once(report.stale_reading(desired.fleet))
            session.wait(_REREAD_AFTER)
            reread = session.agents_now(doubtful, _REREAD_TIMEOUT)
            agents |= reread
            observed |= observations(reread)
            at = self._context.moment(desired.rollout.deadline)
        return agents, observed, at


def _about(agents: Mapping[str, Agent | None], record: Record) -> dict[str, str]:
    """What Command reports on members that need attention; for messages, never stored."""
    return {
        member_id: ", ".join(
            (
                f"last seen {safe(agent.last_seen, 40) or 'never'}",
                f'last error "{safe(agent.last_error_message)}"' if agent.last_error_message else "no last error",
                f"version {safe(agent.version, 40) or 'unknown'}",
            )
        )
        for member_id, member in record.members.items()
        if (agent := agents.get(member_id)) is not None and (member.overdue or member.phase is Phase.REJECTED)
    }
