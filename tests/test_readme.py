"""The README leaves out no argument, no output, no setting and no phase."""

import inspect
import re
from pathlib import Path

from keyfactor_provider import OrchestratorReenrollment, ReenrollmentCompletion, orchestrators
from keyfactor_provider.command.settings import ENVIRONMENT
from keyfactor_provider.reenrollment.record import Phase

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_every_setting_is_there_with_its_variables() -> None:
    for key, variables in ENVIRONMENT.items():
        assert key == "port" or f"`{key}`" in README, key
        for variable in variables:
            assert f"`{variable}`" in README, variable


def test_every_variable_named_is_one_that_is_read() -> None:
    read = {variable for variables in ENVIRONMENT.values() for variable in variables}
    assert set(re.findall(r"`(KEYFACTOR_\w+)`", README)) <= read


def test_every_argument_and_output_is_there() -> None:
    for declared in (OrchestratorReenrollment.__init__, ReenrollmentCompletion.__init__, orchestrators):
        for name in inspect.signature(declared).parameters:
            assert name in ("self", "name", "opts") or re.search(rf"\b{name}\b", README), name
    for name in OrchestratorReenrollment.__annotations__:
        assert f"`{name}`" in README


def test_every_phase_is_there() -> None:
    for phase in Phase:
        assert re.search(rf"\b{phase.value}\b", README), phase
