"""A minimal engine in this process: check, diff, create, update, read and delete on JSON values."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from keyfactor_provider.command.client import CommandClient
from keyfactor_provider.dynamic import forms
from keyfactor_provider.messages import Tell
from keyfactor_provider.operations.operations import Operations
from keyfactor_provider.reenrollment.completion import Progress
from keyfactor_provider.reenrollment.desired import Checked, check
from keyfactor_provider.reenrollment.fleet import forecast
from keyfactor_provider.reenrollment.record import Record
from keyfactor_provider.reenrollment.state import from_state, members_from_state, to_state

State = dict[str, Any]


class Time:
    """A wall clock that a test moves by setting `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + self.seconds, UTC)


class Plain:
    """Calls the operations of one process, with JSON values."""

    def __init__(
        self, connect: Callable[[], CommandClient], tell: Tell, now: Callable[[], datetime] | None = None
    ) -> None:
        self.operations = Operations(lambda: connect().settings, tell, now=now, build=lambda _settings: connect())
        self._read: set[str] = set()

    def check(self, raw: Mapping[str, Any], old_inputs: Mapping[str, Any], *, preview: bool) -> Checked:
        """Validate the inputs, claim the members and, in a preview, announce a new fleet."""
        name = str(raw["fleet"])
        checked = check(name, {key: value for key, value in raw.items() if key not in ("fleet", "preview")})
        before = self.operations.before
        problems = (
            *checked.problems,
            *before.claim(name, checked.known_members),
            *before.check_settings(required=not preview),
        )
        if problems:
            return Checked(None, checked.known, problems, checked.unknown)
        if preview and checked.desired is not None and not old_inputs:
            record = Record(name)
            before.announce(record, checked.desired, forecast(record, checked.desired), looks=True)
        return checked

    def diff(self, state: State, inputs: Mapping[str, Any], *, preview: bool = False) -> bool:
        """Whether a run would do or record anything."""
        record, desired = from_state(state), forms.desired_of(inputs)
        ahead = forecast(record, desired)
        looks = ahead.unfinished and record.fleet not in self._read
        changes = ahead.changes or looks or not self.operations.before.unchanged(desired.fleet, record)
        if changes and preview:
            self.operations.before.announce(record, desired, ahead, looks=record.fleet not in self._read)
        return changes

    def create(self, inputs: Mapping[str, Any]) -> State:
        """The state of a new fleet."""
        desired = forms.desired_of(inputs)
        return to_state(self.operations.run.apply(Record(desired.fleet), desired))

    def update(self, state: State, inputs: Mapping[str, Any]) -> State:
        """The state after a run."""
        return to_state(self.operations.run.apply(from_state(state), forms.desired_of(inputs)))

    def read(self, state: State) -> tuple[State, dict[str, Any]]:
        """The state and the inputs after a refresh."""
        record, drift = self.operations.run.read(from_state(state))
        self._read.add(record.fleet)
        inputs = forms.inputs(record.desired())
        inputs[forms.ORCHESTRATORS] |= drift
        return to_state(record), inputs

    def delete(self, state: State) -> None:
        """Destroy a fleet."""
        self.operations.run.destroy(from_state(state))

    def progress(self, members: Mapping[str, Any], within: float) -> Progress:
        """The progress of a round."""
        return self.operations.run.progress(members_from_state(members), within)
