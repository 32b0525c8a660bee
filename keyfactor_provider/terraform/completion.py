"""keyfactorcommand_reenrollment_completion."""

import time
import uuid
from concurrent import futures
from typing import Any, Final

from tf.schema import Attribute, Schema
from tf.types import Map, Number, String
from tf.utils import Diagnostics

from keyfactor_provider.errors import ProviderError
from keyfactor_provider.operations.waiting import MOST_SECONDS, Look, Wait
from keyfactor_provider.reenrollment.completion import round_of
from keyfactor_provider.terraform.calls import Call, Planned, State
from keyfactor_provider.terraform.fleetstate import MEMBER
from keyfactor_provider.terraform.logs import LOG
from keyfactor_provider.terraform.shared import Shared
from keyfactor_provider.terraform.values import UNKNOWN, has_unknown, is_unknown

_DEFAULT_SECONDS: Final = 3600
_TURN: Final = 0.01
"""Seconds between two looks of different completions."""


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
                    "`members` of a keyfactorcommand_orchestrator_reenrollment. A new round waits anew.",
                    required=True,
                ),
                Attribute(
                    "timeout",
                    Number(),
                    f"Seconds to wait at most, {_DEFAULT_SECONDS} by default; then the apply fails, naming those still "
                    "to come, and the next one waits again.",
                    optional=True,
                ),
                Attribute("id", String(), "Random.", computed=True),
            ],
            version=1,
            description="The completion of a re-enrollment, for the next wave to depend on.",
        )

    def validate(self, diagnostics: Diagnostics, config: State) -> None:
        """Refuses a time that is none."""
        timeout = config["timeout"]
        if timeout is not None and not is_unknown(timeout) and not 0 < timeout <= MOST_SECONDS:
            diagnostics.add_error(
                "Wrong value for timeout",
                f"{timeout} is not a time to wait; expected seconds above 0, up to 7 days ({MOST_SECONDS}).",
                path=["timeout"],
            )

    def plan(self, _call: Call, prior: State | None, config: State | None) -> Planned:
        """A new round is waited for; the progress of one that is complete is no change."""
        if config is None:
            return Planned(None)
        if prior is None:
            return Planned({**config, "id": UNKNOWN})
        return Planned({**config, "members": _awaited(prior["members"], config["members"]), "id": prior["id"]})

    def create(self, call: Call, planned: State) -> State:
        """Waits; where that fails there is no state, so that the next apply waits again."""
        self._wait(call, planned)
        return {**planned, "id": str(uuid.uuid4())}

    def read(self, _call: Call, state: State) -> State:
        """As it is: it tells of something that has happened."""
        return state

    def update(self, call: Call, prior: State, planned: State) -> State:
        """Waits where the round is a new one."""
        if planned["members"] != prior["members"]:
            self._wait(call, planned)
        return planned

    def delete(self, _call: Call, _prior: State) -> None:
        """Nothing of it is anywhere but in the state."""

    def import_(self, _call: Call, _ids: str) -> None:
        """Nothing to take over."""
        raise ProviderError(
            "A keyfactorcommand_reenrollment_completion can't be imported",
            "there is nothing in Command that it stands for",
            "Declare it: it is created at once when the round is complete.",
        )

    def _wait(self, call: Call, planned: State) -> None:
        members: dict[str, Any] = {
            member_id: {name: value for name, value in member.items() if value is not None}
            for member_id, member in planned["members"].items()
        }
        timeout = float(planned["timeout"] or _DEFAULT_SECONDS)
        wait = Wait(self._shared.operations.progress, "The re-enrollment", members, timeout, time.monotonic)
        progress = "it is not complete"
        while True:
            looking = self._shared.looks.submit(_look, wait)
            either: list[futures.Future[Any]] = [looking, self._shared.stopping]
            futures.wait(either, return_when=futures.FIRST_COMPLETED)
            if not looking.done():
                # Nothing is lost with a look that nobody waits for: it changes nothing.
                looking.cancel()
                raise _interrupted(progress)
            look = looking.result()
            progress = look.news or progress
            for warning in look.warnings:
                call.diagnostics.add_warning("Completed with warnings", warning)
            if look.news:
                LOG.info("Waiting for a completion: %s", look.news)
            if look.pause is None:
                return
            futures.wait([self._shared.stopping], look.pause)
            if self._shared.stopping.done():
                raise _interrupted(progress)


def _look(wait: Wait) -> Look:
    try:
        return wait.look()
    finally:
        # A call that needs Command now gets its turn before the look of the next completion.
        time.sleep(_TURN)


def _interrupted(progress: str) -> ProviderError:
    return ProviderError("The wait for the re-enrollment was interrupted", progress, "The next apply waits again.")


def _awaited(prior: Any, config: Any) -> Any:
    """The members of a plan: those of the round that was waited for, until a new one begins."""
    if is_unknown(config) or any(map(is_unknown, config.values())):
        return config
    if any(has_unknown([each["status"], each["baseline"]]) for each in config.values()):
        return config
    return prior if round_of(config) == round_of(prior) else config
