"""The run: what an engine has carried out for a fleet, on what is desired and what is recorded."""

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

_WITHIN: Final = 60.0
"""Seconds that such an observation may take."""
_LOOK_AGAIN: Final = 2.0
"""Seconds between two observations of members of which Command may still show what stood before a request."""


class Run:
    """Creates, updates, reads and destroys fleets."""

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
        """Brings a fleet from its record to what is desired, as far as its roll-out allows in one run.

        Members that failed are recorded; `report.failure` tells whether the run failed by them. Nothing is raised.

        Args:
            record: without members for a new fleet.
            only: the members that may start in this run; None if all may.
            elsewhere: members that fleets of another process of this run claim: if they leave here, their flag stays.
            within: seconds after which nothing more is sent; None for no such limit.
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
        """Observes a fleet's members without requesting anything.

        Returns:
            The new record, and the real flags of members that were changed or cleared outside this stack.

        Raises:
            CommandError, SettingsError: Command can't be read; the record stands as it was.
        """
        context = self._context
        staying = dict(record.staying())
        leaving = {one: member for one, member in record.members.items() if one not in staying}
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
        """Clears the flags that a fleet owns and that stand, but for those that another fleet of this run owns.

        Args:
            elsewhere: see `apply`.
            within: see `apply`.

        Raises:
            ReenrollmentFailed: a flag could not be cleared; names the orchestrators. Its cause is what went wrong
                between this project and Command, if anything did.
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
        """The record of a fleet that takes over orchestrators as they stand; nothing is requested.

        What it desires is the flag that stands, the more urgent one where two do.

        Args:
            members: canonical GUIDs.

        Raises:
            LookupRefused: Command has no such orchestrator; names them.
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
            within: seconds that a request of the observation may take with its retries, if the setting is not less.

        Raises:
            CommandError, SettingsError: Command can't be read.
        """
        staying = {one: member for one, member in members.items() if member.phase is not Phase.LEAVING}
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
        """An observation that is fresh enough to begin rounds by, and its moment."""
        session = self._context.session
        agents = dict(session.agents([*members, *leaving], until=until))
        observed = observations(agents)
        at = self._context.moment(desired.rollout.deadline)
        # By this machine's clock too: Command's may stand still, as an answer from a cache does.
        latest = session.clock() + STALE_FOR.total_seconds()
        while (doubtful := fleet.doubtful(record, members, observed, at)) and session.clock() < latest:
            self._context.tell_once(report.stale_reading(desired.fleet))
            session.wait(_LOOK_AGAIN)
            again = session.agents_now(doubtful, _WITHIN)
            agents |= again
            observed |= observations(again)
            at = self._context.moment(desired.rollout.deadline)
        return agents, observed, at


def _about(agents: Mapping[str, Agent | None], record: Record) -> dict[str, str]:
    """What Command tells of members that a person has to look into; shown, never stored."""
    return {
        one: ", ".join(
            (
                f"last seen {safe(agent.last_seen, 40) or 'never'}",
                f'last error "{safe(agent.last_error_message)}"' if agent.last_error_message else "no last error",
                f"version {safe(agent.version, 40) or 'unknown'}",
            )
        )
        for one, member in record.members.items()
        if (agent := agents.get(one)) is not None and (member.overdue or member.phase is Phase.REJECTED)
    }
