"""keyfactorcommand_orchestrator_reenrollment."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Map, Set, String
from tf.utils import Diagnostics

from keyfactor_provider import guid
from keyfactor_provider.errors import Problem, ProviderError, ReenrollmentFailed
from keyfactor_provider.reenrollment import report
from keyfactor_provider.reenrollment.desired import Desired, check
from keyfactor_provider.reenrollment.record import VERSION, Record
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.terraform import fleetstate
from keyfactor_provider.terraform.calls import Call, Planned, State
from keyfactor_provider.terraform.diagnostics import add_error, add_failure, add_problems
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import has_unknown, is_unknown, known_of

_ENDS_WELL: Final = (
    " Terraform ends this apply with success all the same, unless the resource has a postcondition on"
    " failed_orchestrator_ids (see its documentation)."
)
"""An error on a creation would make Terraform destroy and create the resource next."""

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
        "`Requested` (1): enroll at the next session, work goes on. `Required` (2): no work before a new certificate. "
        "`None` (0): clear the flag.",
        required=True,
    ),
    Attribute("triggers", Map(String()), "Any texts; a change starts a new round for everyone.", optional=True),
    Attribute(
        "on_removal",
        String(),
        "Whether a request that still stands is taken back when an orchestrator leaves or the resource is destroyed: "
        "`unset` (default) or `retain`.",
        optional=True,
    ),
    Attribute(
        "on_failure",
        String(),
        "How failed orchestrators end an apply: `error` (default) or `warn`. On creation both are a warning: "
        "carry the documented postcondition.",
        optional=True,
    ),
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
        """Refuses what can't be meant, as far as it is known."""
        add_problems(diagnostics, check(fleetstate.given(config, "")).problems)

    def plan(self, call: Call, prior: State | None, config: State | None) -> Planned:
        """What an apply would do; decided from the state alone, with a look at Command for warnings."""
        operations = self._shared.operations
        if config is None:
            assert prior is not None
            kept = self._kept(prior["id"], prior)
            operations.has(prior["id"], ())
            return Planned(None, kept)
        # The second plan of a replacement has no prior state, but what the first one left.
        name = prior["id"] if prior else call.private.get("owner") or str(uuid.uuid4())
        record = Record.from_state(fleetstate.to_operations(prior)) if prior else Record(name)
        # An apply plans again, and its warnings would follow the result; only a plan reads first.
        speaks = prior is None or self._shared.was_read(name)
        with self._shared.tell.into(call.diagnostics, name):
            old = record.desired().to_inputs() if prior else {}
            checked = operations.check(fleetstate.given(config, name), old, preview=speaks, settings=False)
            add_problems(call.diagnostics, checked.problems)
            if checked.problems:
                return Planned(prior)
            if taken := self._shared.claim(checked.known_members):
                reason = "also in a fleet of another provider configuration (alias); expected each orchestrator in one"
                add_problems(
                    call.diagnostics, [Problem("orchestrator_ids", f"{each}: {reason}") for each in sorted(taken)]
                )
                return Planned(prior)
            private = {"owner": name, "wanted": sorted(checked.known_members)}
            planned = _as_written(prior, config)
            if prior is None or checked.desired is None:
                return Planned(planned | fleetstate.unknown(*([name] if prior else [])), private)
            ahead = operations.forecast(fleetstate.to_operations(prior), checked.desired.to_inputs())
            if speaks and (drift := report.drifted(record, ahead.again)):
                self._shared.tell("warning", drift)
        if not ahead.changes:
            return Planned(prior | planned, private)
        if checked.desired.on_failure == "warn":
            # Failed members are no error then, and Terraform takes no result but the planned one.
            return Planned(planned | fleetstate.unknown(name), private | self._kept(name, prior))
        planned |= fleetstate.expected(record, checked.desired, ahead)
        return Planned(planned, private | self._kept(name, prior))

    def create(self, call: Call, planned: State) -> State:
        """Asks everyone; members that failed are in the state, and a warning says so."""
        name = call.private.get("owner") or str(uuid.uuid4())
        call.fleet = name
        with self._shared.tell.into(call.diagnostics, name):
            state = self._shared.operations.create(_wish(planned, name).to_inputs(), or_nothing=True)
        record = Record.from_state(state)
        failure = report.failure(record)
        if failure is not None:
            more = _ENDS_WELL if record.on_failure == "error" else ""
            add_failure(call.diagnostics, failure, name, more)
        return planned | fleetstate.from_operations(state)

    def read(self, call: Call, state: State) -> State:
        """What Command shows of the members; the resource stays even if they are all gone."""
        if not self._shared.readable:
            return state
        call.fleet = state["id"]
        self._shared.note_read(call.fleet)
        self._shared.operations.has(call.fleet, map(guid.canonical, state["orchestrator_ids"]))
        with self._shared.tell.into(call.diagnostics, call.fleet):
            read, _ = self._shared.operations.read(fleetstate.to_operations(state))
        return state | fleetstate.from_operations(read)

    def update(self, call: Call, prior: State, planned: State) -> State:
        """Brings the members to the planned desired."""
        name = call.fleet = prior["id"]
        with self._shared.tell.into(call.diagnostics, name):
            state = self._shared.operations.update(
                fleetstate.to_operations(prior),
                _wish(planned, name).to_inputs(),
                {*call.private.get("keep", ()), *self._shared.claimed_elsewhere()},
            )
        record = Record.from_state(state)
        after: State = planned | fleetstate.from_operations(state)
        failure = report.failure(record)
        if failure is None:
            return {each: known_of(planned[each], after[each]) for each in after}
        if record.on_failure == "warn" and is_unknown(planned["members"]):
            add_failure(call.diagnostics, failure, name)
        else:
            add_error(call.diagnostics, failure, name)
        return after

    def delete(self, call: Call, prior: State) -> None:
        """Takes back the requests that still stand, but for those that a replacement wants."""
        call.fleet = prior["id"]
        keep = {*call.private.get("keep", ()), *call.private.get("wanted", ()), *self._shared.claimed_elsewhere()}
        with self._shared.tell.into(call.diagnostics, call.fleet):
            try:
                self._shared.operations.delete(fleetstate.to_operations(prior), keep)
            except ReenrollmentFailed as error:
                add_error(call.diagnostics, error, call.fleet)

    def import_(self, call: Call, ids: str) -> State | None:
        """Takes over orchestrators as they stand, by their GUIDs separated by commas."""
        wrong, members = [], []
        for each in ids.split(","):
            try:
                members.append(guid.canonical(each.strip()))
            except ValueError:
                wrong.append(repr(each.strip()))
        if wrong:
            raise ProviderError(
                "The import ID can't be used as written",
                f"no orchestrator's GUID: {report.listed(wrong)}",
                "Expected GUIDs such as 3f2504e0-4f89-11d3-9a0c-0305e82c3301, separated by commas.",
            )
        name = call.fleet = str(uuid.uuid4())
        with self._shared.tell.into(call.diagnostics, name):
            state = self._shared.operations.adopt(name, members)
        desired = Record.from_state(state).desired()
        return {
            **dict.fromkeys(fleetstate.GIVEN),
            "orchestrator_ids": sorted(desired.members),
            "status": desired.status.value,
            **fleetstate.from_operations(state),
        }

    def _kept(self, name: str, prior: State) -> dict[str, Any]:
        """The members that another resource of this plan claims: if they leave here, their flag stays."""
        return {"keep": sorted(self._shared.operations.wanted_elsewhere(name, prior["members"] or ()))}


def _wish(planned: State, name: str) -> Desired:
    desired = check(fleetstate.given(planned, name)).desired
    assert desired is not None, "what an apply is given was checked by its plan, and is known by now"
    return desired


def _as_written(prior: State | None, config: State) -> State:
    """The given attributes of a plan: another spelling of the same is no change."""
    planned = {}
    for name in fleetstate.GIVEN:
        old, new = prior[name] if prior else None, config[name]
        keeps = old is not None and new is not None and not has_unknown(new) and _meant(name, old) == _meant(name, new)
        planned[name] = old if keeps else new
    return planned


def _meant(name: str, value: Any) -> Any:
    if name == "orchestrator_ids":
        return {guid.canonical(each) for each in value}
    if name == "status":
        return ReenrollmentStatus.parse(value)
    return dict(value) if isinstance(value, Mapping) else value
