"""Before a run: claims members, checks the settings, and announces what the run will do."""

from collections.abc import Mapping, Sequence

from keyfactor_provider.command.wire import Agent
from keyfactor_provider.errors import CommandError, MissingSettings, Problem, SettingsError
from keyfactor_provider.messages import Message
from keyfactor_provider.operations.context import Context
from keyfactor_provider.operations.preflight import concerns
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.desired import Desired
from keyfactor_provider.reenrollment.fleet import Forecast
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.text import listed, named


class Before:
    """Checks and forecasts for a preview; changes nothing in Command."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def claim(self, fleet: str, members: frozenset[str]) -> list[Problem]:
        """Claims members for this run; returns a problem for each other fleet that claims some of them.

        Args:
            fleet: a name that is unique in the run.
            members: canonical GUIDs.
        """
        with self._context.lock:
            shared: dict[str, list[str]] = {}
            for member_id, owner in self._context.claims.claim(fleet, members).items():
                shared.setdefault(owner, []).append(member_id)
        return [
            Problem("orchestrator_ids", f"{listed(ids)} also in {owner}; expected each orchestrator in one fleet")
            for owner, ids in shared.items()
        ]

    def unchanged(self, fleet: str, record: Record) -> bool:
        """Marks a fleet's step as done without changes, so that no other fleet clears the flags that it owns.

        Args:
            fleet: its name in this run, which may differ from the recorded one.

        Returns:
            False if this run has cleared a flag that the record shows as set: the fleet has to run after all.
        """
        with self._context.lock:
            if record.status is not ReenrollmentStatus.NONE and self._context.claims.disturbed(record.members):
                return False
            self._context.claims.hold(fleet, record.members)
        return True

    def check_settings(self, *, required: bool) -> list[Problem]:
        """The problem with the settings, if there is one.

        If they are missing but not required, it warns once instead: a preview of a pull request has no secrets.
        """
        try:
            with self._context.lock:
                self._context.session.require_settings()
        except MissingSettings as error:
            if required:
                return [Problem("keyfactor", str(error))]
            words = self._context.vocabulary
            self._context.tell_once(
                Message(
                    "",
                    "warning",
                    "settings-missing",
                    error.what,
                    f"{error.next_step} The {words.preview.split()[-1]} continues; `{words.up}` will fail without it.",
                )
            )
        except SettingsError as error:
            return [Problem("keyfactor", str(error))]
        return []

    def announce(self, record: Record, desired: Desired, ahead: Forecast, *, looks: bool) -> None:
        """Shows what a run will do for a fleet, with warnings about what may go wrong.

        Args:
            record: from the last run; without members for a new fleet.
            looks: the run observes Command before it decides.
        """
        acts = ahead.first or ahead.again or ahead.cleared or ahead.removed
        agents = self._glance(desired) if acts else {}

        def name(member_id: str) -> str:
            agent = agents.get(member_id)
            return named(agent.machine, member_id) if agent and agent.machine else record.name(member_id)

        self._context.tell(report.forecast(desired, ahead, name, looks=looks))
        for warning in [
            *report.retry(record, ahead),
            *report.drifted(record, set(ahead.again).intersection(report.changed(record))),
            *concerns(desired, ahead.first + ahead.again, agents),
        ]:
            self._context.tell(warning)

    def announce_unknown(
        self, fleet: str, record: Record | None, known: frozenset[str], what: Sequence[str], after: Sequence[str]
    ) -> None:
        """Announces a fleet whose arguments are not known before the run."""
        self._context.tell(report.unknown(fleet, record, known, what, after))

    def _glance(self, desired: Desired) -> Mapping[str, Agent | None]:
        """The members as Command has them, for warnings; empty if it does not answer in time."""
        try:
            with self._context.lock:
                return self._context.session.glance(sorted(desired.members))
        except SettingsError:
            return {}
        except CommandError as error:
            self._context.tell_once(
                Message(
                    "",
                    "warning",
                    "preflight-skipped",
                    "Command is unreachable; skipped the preflight checks",
                    str(error),
                )
            )
            return {}
