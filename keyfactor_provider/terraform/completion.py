"""The resource keyfactorcommand_reenrollment_completion."""

import time
import uuid
from concurrent import futures
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Map, Number, String
from tf.utils import Diagnostics

from keyfactor_provider.errors import ProviderError
from keyfactor_provider.operations.waiting import MOST_SECONDS, Step, Wait
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.reenrollment.desired import amount
from keyfactor_provider.reenrollment.record import Phase
from keyfactor_provider.reenrollment.state import VERSION
from keyfactor_provider.terraform.calls import Call, Planned, State
from keyfactor_provider.terraform.fleetstate import MEMBER, members_of
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import UNKNOWN, has_unknown, is_unknown

_DEFAULT_SECONDS: Final = 3600
_TURN: Final = 0.01
"""Seconds between the observations of two completions."""


class Completion:
    """Created once every member of a round has re-enrolled and uses its new certificate."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @classmethod
    def get_name(cls) -> str:
        """Its type, without the provider's prefix."""
        return "reenrollment_completion"

    @classmethod
    def get_schema(cls) -> Schema:
        """Its attributes."""
        return Schema(
            attributes=[
                Attribute(
                    "members",
                    Map(MEMBER),
                    "`members` of a keyfactorcommand_orchestrator_reenrollment. A new round is waited for again.",
                    required=True,
                ),
                Attribute(
                    "timeout",
                    Number(),
                    f"Seconds to wait at most, {_DEFAULT_SECONDS} by default; then the apply fails, naming the members "
                    "that are not complete, and the next one waits again. 0 checks once.",
                    optional=True,
                ),
                Attribute(
                    "max_failed",
                    String(),
                    "How many members may be bad (rejected, not found or overdue): a number, or a percent of the "
                    "members; `0` by default.",
                    optional=True,
                ),
                Attribute("id", String(), "Random.", computed=True),
            ],
            version=VERSION,
            description="The completion of a re-enrollment, for the next wave to depend on.",
        )

    def validate(self, diagnostics: Diagnostics, config: State) -> None:
        """Refuses an invalid timeout or budget."""
        timeout, max_failed = config["timeout"], config["max_failed"]
        if timeout is not None and not is_unknown(timeout) and not 0 <= timeout <= MOST_SECONDS:
            diagnostics.add_error(
                "Invalid value for timeout",
                f"{timeout} is not a time to wait; expected seconds from 0 up to {MOST_SECONDS} (7 days).",
                path=["timeout"],
            )
        if max_failed is not None and not is_unknown(max_failed) and amount(max_failed) is None:
            diagnostics.add_error(
                "Invalid value for max_failed",
                f'{max_failed!r} is not a number of orchestrators; expected such as 2, or "5%".',
                path=["max_failed"],
            )

    def plan(self, _call: Call, prior: State | None, config: State | None) -> Planned:
        """Plans to wait for a new round. Progress of a complete round is not a change."""
        if config is None:
            return Planned(None)
        if prior is None:
            return Planned({**config, "id": UNKNOWN})
        return Planned({**config, "members": _awaited(prior["members"], config["members"]), "id": prior["id"]})

    def create(self, call: Call, planned: State) -> State:
        """Waits. If that fails there is no state, so the next apply waits again."""
        self._wait(call, planned)
        return {**planned, "id": str(uuid.uuid4())}

    def read(self, _call: Call, state: State) -> State:
        """Unchanged, because it records a past event."""
        return state

    def update(self, call: Call, prior: State, planned: State) -> State:
        """Waits if there is a new round."""
        if planned["members"] != prior["members"]:
            self._wait(call, planned)
        return planned

    def delete(self, _call: Call, _prior: State) -> None:
        """Does nothing, because a completion exists only in the state."""

    def import_(self, _call: Call, _ids: str) -> None:
        """Refused, because there is nothing to import."""
        raise ProviderError(
            "A keyfactorcommand_reenrollment_completion can't be imported",
            "it has no counterpart in Command",
            "Declare it instead: it is created at once if the round is complete.",
        )

    def _wait(self, call: Call, planned: State) -> None:
        members = members_of(planned["members"])
        timeout = float(_DEFAULT_SECONDS if planned["timeout"] is None else planned["timeout"])
        budget = amount(planned["max_failed"] or "0") or "0"
        wait = Wait(self._shared.operations.run.progress, "", members, timeout, time.monotonic, budget)
        progress = "it is not complete"
        while True:
            observation = self._shared.looks.submit(_observe, wait)
            either: list[futures.Future[Any]] = [observation, self._shared.stopping]
            futures.wait(either, return_when=futures.FIRST_COMPLETED)
            if not observation.done():
                # It only reads, so it can be abandoned.
                observation.cancel()
                raise _interrupted(progress)
            step = observation.result()
            for message in step.messages:
                progress = message.detail
                with self._shared.tell.into(call.diagnostics):
                    self._shared.tell(message)
            if step.pause is None:
                return
            futures.wait([self._shared.stopping], step.pause)
            if self._shared.stopping.done():
                raise _interrupted(progress)


def _observe(wait: Wait) -> Step:
    try:
        return wait.step()
    finally:
        # Lets calls that need Command run before the observation of the next completion.
        time.sleep(_TURN)


def _interrupted(progress: str) -> ProviderError:
    return ProviderError("The wait for the re-enrollment was interrupted", progress, "The next apply waits again.")


def _awaited(prior: Any, config: Any) -> Any:
    """The planned members: the prior ones, unless a new round has begun."""
    if is_unknown(config) or any(map(is_unknown, config.values())):
        return config
    if any(has_unknown([member["status"], member["baseline_thumbprint"]]) for member in config.values()):
        return config
    return prior if _rounds(config) == _rounds(prior) else config


def _rounds(members: State) -> dict[str, str]:
    """The rounds of members whose other attributes may be unknown."""
    known = {
        member_id: {
            "status": member["status"],
            "phase": Phase.PENDING.value if is_unknown(member["phase"]) else member["phase"],
            "baseline_thumbprint": member["baseline_thumbprint"],
        }
        for member_id, member in members.items()
    }
    return round_of(members_of(known))
