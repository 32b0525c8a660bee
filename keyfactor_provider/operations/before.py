"""Before a run: what is claimed, whether the settings are complete, and what the run will do."""

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
from keyfactor_provider.text import listed, safe


class Before:
    """What an engine asks before anything is changed; nothing here changes anything in Command."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def claim(self, fleet: str, members: frozenset[str]) -> list[Problem]:
        """Claims members for this run; a problem for each other fleet that claims some of them.

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
        """Takes note that a fleet's step is done without a run, so that no other fleet clears the flags that it owns.

        Args:
            fleet: its name in this run, which may be another than the recorded one.

        Returns:
            False where a flag that it records as standing was cleared in this run: the fleet has to run after all.
        """
        with self._context.lock:
            if record.status is not ReenrollmentStatus.NONE and self._context.claims.disturbed(record.members):
                return False
            self._context.claims.hold(fleet, record.members)
        return True

    def check_settings(self, *, required: bool) -> list[Problem]:
        """A problem where the settings are wrong, or where they are missing although they are required.

        Missing settings that are not required are warned about once: a pull request has no secrets.
        """
        try:
            with self._context.lock:
                self._context.session.connect()
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
        """Tells what a run will do for a fleet, for which members, and what may make Command reject it.

        Args:
            record: as the last run left it; without members for a new fleet.
            looks: the run observes Command before it decides.
        """
        acts = ahead.first or ahead.again or ahead.cleared or ahead.removed
        agents = self._glance(desired) if acts else {}

        def named(member_id: str) -> str:
            agent = agents.get(member_id)
            return f"{safe(agent.machine)} ({member_id})" if agent and agent.machine else record.name(member_id)

        self._context.tell(report.forecast(desired, ahead, named, looks=looks))
        for warning in [
            *report.retry(record, ahead),
            *report.drifted(record, set(ahead.again).intersection(report.changed(record))),
            *concerns(desired, ahead.first + ahead.again, agents),
        ]:
            self._context.tell(warning)

    def announce_unknown(
        self, fleet: str, record: Record | None, known: frozenset[str], what: Sequence[str], after: Sequence[str]
    ) -> None:
        """Tells of a fleet whose arguments are known only during the run."""
        self._context.tell(report.unknown(fleet, record, known, what, after))

    def _glance(self, desired: Desired) -> Mapping[str, Agent | None]:
        """What Command shows of the members, for warnings; nothing where it can't be had in time."""
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
