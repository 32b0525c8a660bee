"""The resource keyfactorcommand_orchestrator_reenrollment."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Bool, List, Map, Set, String
from tf.utils import Diagnostics

from keyfactor_provider import guid
from keyfactor_provider.errors import Problem, ProviderError, ReenrollmentFailed
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.desired import check, duration
from keyfactor_provider.reenrollment.fleet import forecast
from keyfactor_provider.reenrollment.record import Phase, Record
from keyfactor_provider.reenrollment.state import VERSION
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.terraform import fleetstate
from keyfactor_provider.terraform.calls import Call, Planned, State
from keyfactor_provider.terraform.diagnostics import add_error, add_failure, add_problems
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import has_unknown, is_unknown, known_of
from keyfactor_provider.text import listed

_ENDS_WELL: Final = (
    ' This apply still succeeds, unless the resource has a postcondition on self.failure == "" (see its documentation).'
)
"""A creation can't end with an error, because Terraform would then destroy and re-create the resource."""

_GIVEN: Final = [
    Attribute(
        "orchestrator_ids",
        Set(String()),
        "GUIDs of the orchestrators; case and braces do not matter. Never empty.",
        required=True,
    ),
    Attribute(
        "status",
        String(),
        "`Requested` (1): enroll at the next session, keep working. `Required` (2): no work before a new certificate. "
        "`None` (0): clear the flag.",
        required=True,
    ),
    Attribute("triggers", Map(String()), "Any strings; a change starts a new round for all members.", optional=True),
    Attribute(
        "on_removal",
        String(),
        "What happens to an orchestrator's flag when it is removed or the resource is destroyed: `unset` (default) "
        "clears it, `retain` keeps it.",
        optional=True,
    ),
    Attribute(
        "on_failure",
        String(),
        "How failed orchestrators end an apply: `error` (default) or `warn`. On creation both are a warning, so add "
        "the documented postcondition.",
        optional=True,
    ),
    Attribute(
        "waves",
        List(String()),
        'Sizes of the waves in which orchestrators are requested, such as `[5, "10%", "100%"]`: numbers, or percents '
        "of the members; the last size repeats. Without waves all are requested at once.",
        optional=True,
    ),
    Attribute(
        "canary_ids",
        Set(String()),
        "GUIDs of the members that are requested first; the others follow once each of them has re-enrolled.",
        optional=True,
    ),
    Attribute(
        "max_failed",
        String(),
        "How many orchestrators may be bad (rejected, not found or overdue) before the roll-out halts: a number, or a "
        "percent of those started so far; `0` by default.",
        optional=True,
    ),
    Attribute(
        "overdue_after",
        String(),
        "After how long a requested orchestrator is overdue, such as `48h` or `2d`, or seconds; by default `7d` with "
        "waves or canaries, otherwise never.",
        optional=True,
    ),
    Attribute("paused", Bool(), "Whether to request no further members; `false` by default.", optional=True),
]


class Reenrollment:
    """A set of orchestrators that are to enroll for a new client-authentication certificate."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "orchestrator_reenrollment"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes; the version is that of the record."""
        return Schema(
            attributes=[*_GIVEN, *fleetstate.COMPUTED],
            version=VERSION,
            description="Orchestrators that are to enroll for a new client-authentication certificate.",
        )

    def validate(self, diagnostics: Diagnostics, config: State) -> None:
        """Refuses invalid values, as far as they are known."""
        add_problems(diagnostics, check("", fleetstate.given(config)).problems)

    def plan(self, call: Call, prior: State | None, config: State | None) -> Planned:
        """What an apply would do, decided from the state alone; Command is read only for warnings."""
        if config is None:
            return Planned(None)
        # The second plan of a replacement has no prior state, but the private data of the first one.
        name = prior["id"] if prior else call.private.get("owner") or str(uuid.uuid4())
        record = fleetstate.record_of(prior) if prior else Record(name)
        checked = check(name, fleetstate.given(config))
        before = self._shared.operations.before
        problems = [
            *checked.problems,
            *before.claim(name, checked.known_members),
            *self._claimed_by_others(checked.known_members),
        ]
        if problems:
            add_problems(call.diagnostics, problems)
            return Planned(prior)
        planned = _as_written(prior, config)
        if checked.desired is None:
            return Planned(planned | fleetstate.unknown(*([name] if prior else [])), {"owner": name})
        ahead = forecast(record, checked.desired)
        private = {"owner": name, "first": list(ahead.first)}
        # An apply plans again, where warnings would come too late. Only a plan refreshes first.
        if (prior is None or ahead.changes) and (prior is None or self._shared.was_read(name)):
            with self._shared.tell.into(call.diagnostics):
                before.announce(record, checked.desired, ahead, looks=False)
        if prior is None:
            return Planned(planned | fleetstate.unknown(), private)
        if not ahead.changes:
            return Planned(prior | planned, private)
        if checked.desired.on_failure == "warn":
            # Failed members are not an error then, and Terraform accepts no result that differs from the plan.
            return Planned(planned | fleetstate.unknown(name), private)
        return Planned(planned | fleetstate.expected(record, checked.desired, ahead), private)

    def create(self, call: Call, planned: State) -> State:
        """Requests the members that the plan named; failed ones are in the state, with a warning."""
        name = call.private.get("owner") or str(uuid.uuid4())
        desired = fleetstate.desired_of(planned, name)
        with self._shared.tell.into(call.diagnostics):
            record = self._shared.operations.run.apply(Record(name), desired, only=call.private.get("first"))
            self._shared.tell(report.outcome(record, None))
        failure = report.failure(record)
        if failure is not None and record.trouble and not record.having(*set(Phase) - {Phase.DUE}):
            failure.next_step = "Nothing was requested and nothing is recorded. The next apply starts over."
            raise failure
        if failure is not None:
            add_failure(call.diagnostics, failure, _ENDS_WELL if record.on_failure == "error" else "")
        return planned | fleetstate.computed(record)

    def read(self, call: Call, state: State) -> State:
        """Observes the members; the resource stays even if all of them are gone."""
        if not self._shared.readable:
            return state
        self._shared.note_read(state["id"])
        with self._shared.tell.into(call.diagnostics):
            record, _ = self._shared.operations.run.read(fleetstate.record_of(state))
        return state | fleetstate.computed(record)

    def update(self, call: Call, prior: State, planned: State) -> State:
        """Requests and clears as planned."""
        name = prior["id"]
        desired = fleetstate.desired_of(planned, name)
        with self._shared.tell.into(call.diagnostics):
            before = fleetstate.record_of(prior)
            record = self._shared.operations.run.apply(
                before, desired, only=call.private.get("first"), elsewhere=self._shared.claimed_elsewhere()
            )
            self._shared.tell(report.outcome(record, before))
        after: State = planned | fleetstate.computed(record)
        failure = report.failure(record)
        if failure is not None and (record.on_failure == "error" or not is_unknown(planned["members"])):
            add_error(call.diagnostics, failure)
            return after
        if failure is not None:
            add_failure(call.diagnostics, failure)
        return fleetstate.settled({name: known_of(planned[name], after[name]) for name in after})

    def delete(self, call: Call, prior: State) -> None:
        """Clears the owned flags that are still set."""
        with self._shared.tell.into(call.diagnostics):
            try:
                elsewhere = self._shared.claimed_elsewhere()
                self._shared.operations.run.destroy(fleetstate.record_of(prior), elsewhere=elsewhere)
            except ReenrollmentFailed as error:
                add_error(call.diagnostics, error)

    def import_(self, call: Call, ids: str) -> State | None:
        """Adopts orchestrators in their current state, by their GUIDs separated by commas."""
        invalid, members = [], []
        for text in ids.split(","):
            try:
                members.append(guid.canonical(text.strip()))
            except ValueError:
                invalid.append(repr(text.strip()))
        if invalid:
            raise ProviderError(
                "Invalid import ID",
                f"not an orchestrator's GUID: {listed(invalid)}",
                "Expected GUIDs such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301, separated by commas.",
            )
        with self._shared.tell.into(call.diagnostics):
            record = self._shared.operations.run.adopt(str(uuid.uuid4()), members)
        return {
            **dict.fromkeys(fleetstate.GIVEN),
            "orchestrator_ids": sorted(record.members),
            "status": record.status.value,
            **fleetstate.computed(record),
        }

    def _claimed_by_others(self, members: frozenset[str]) -> list[Problem]:
        """A problem for each member that another provider configuration (alias) has claimed in this run."""
        reason = "also in a fleet of another provider configuration (alias); expected each orchestrator in one"
        claimed = sorted(self._shared.claim(members))
        return [Problem("orchestrator_ids", f"{member_id} is {reason}") for member_id in claimed]


def _as_written(prior: State | None, config: State) -> State:
    """The planned values of the given attributes; another spelling of the same value is not a change."""
    planned = {}
    for name in fleetstate.GIVEN:
        old, new = prior[name] if prior else None, config[name]
        comparable = old is not None and new is not None and not has_unknown(new)
        planned[name] = old if comparable and _parsed(name, old) == _parsed(name, new) else new
    return planned


def _parsed(name: str, value: Any) -> Any:
    if name in ("orchestrator_ids", "canary_ids"):
        return set(map(guid.canonical, value))
    if name == "status":
        return ReenrollmentStatus.parse(value)
    if name == "overdue_after":
        return duration(value)
    return dict(value) if isinstance(value, Mapping) else value
