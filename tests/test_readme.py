"""The README leaves out no argument, no output and no phase."""

import inspect
import re
from pathlib import Path

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion, orchestrators
from keyfactor_provider.reenrollment.record import Phase

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_every_argument_and_output_is_there() -> None:
    for declared in (OrchestratorReenrollment.__init__, ReenrollmentCompletion.__init__, orchestrators):
        for name in inspect.signature(declared).parameters:
            assert name in ("self", "name", "opts") or re.search(rf"\b{name}\b", README), name
    for name in OrchestratorReenrollment.__annotations__:
        assert f"`{name}`" in README


def test_every_phase_is_there() -> None:
    for phase in Phase:
        assert re.search(rf"\b{phase.value}\b", README), phase
