"""What a Terraform user reads: errors and warnings as a heading, and what there is to know below it."""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from tf.utils import Diagnostics

from keyfactor_provider.errors import Problem, ProviderError, SettingsError
from keyfactor_provider.reenrollment.report import MOST_NAMED, title
from keyfactor_provider.terraform.logs import LOG

_LONGEST_HEADING: Final = 110


class Telling:
    """Takes what operations say in a call of Terraform's into the answer to that call.

    Calls come on several threads, and an operation speaks on the thread of its call.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def into(self, diagnostics: Diagnostics, fleet: str = "") -> Iterator[None]:
        """For the length of a call; Terraform itself says which resource it is for, so the fleet's name goes."""
        self._here.diagnostics, self._here.fleet = diagnostics, fleet
        try:
            yield
        finally:
            self._here.diagnostics = None

    def __call__(self, severity: str, message: str) -> None:
        """Shows a message: a warning to the user, anything else in the log."""
        message = _unnamed(message, getattr(self._here, "fleet", ""))
        diagnostics: Diagnostics | None = getattr(self._here, "diagnostics", None)
        if severity == "warning" and diagnostics is not None:
            heading, detail = _split(message)
            diagnostics.add_warning(heading, detail)
        else:
            LOG.info(message)


def add_error(diagnostics: Diagnostics, error: ProviderError, fleet: str = "", path: Iterable[str] = ()) -> None:
    """An error of the project's, its four parts in the places where Terraform shows them."""
    heading = _unnamed(error.what, fleet)
    diagnostics.add_error(heading, _below(error), path=list(path))


def add_failure(diagnostics: Diagnostics, error: ProviderError, fleet: str, more: str = "") -> None:
    """Failed members where the run goes on."""
    diagnostics.add_warning(_unnamed(error.what, fleet), f"{_below(error)}{more}")


def add_problems(diagnostics: Diagnostics, problems: Iterable[Problem]) -> None:
    """Wrong values, each with the path of its attribute; a set's elements have none (Terraform)."""
    by_attribute: dict[str, list[str]] = {}
    for problem in problems:
        by_attribute.setdefault(re.split(r"\W", problem.property, maxsplit=1)[0], []).append(problem.reason)
    for attribute, reasons in by_attribute.items():
        for reason in sorted(reasons)[:MOST_NAMED]:
            diagnostics.add_error(f"Wrong value for {attribute}", _sentence(reason), path=[attribute])
        if (more := len(reasons) - MOST_NAMED) > 0:
            diagnostics.add_error(f"Wrong value for {attribute}", f"So are {more} more.", path=[attribute])


def add_settings_error(diagnostics: Diagnostics, error: SettingsError, attributes: dict[str, str]) -> None:
    """A wrong setting, with the path of its attribute where it stands in the provider block."""
    diagnostics.add_error(error.what, _below(error), path=[attributes[error.key]] if error.key in attributes else [])


def add_settings_warning(diagnostics: Diagnostics, error: SettingsError, more: str) -> None:
    """A setting that is still missing."""
    diagnostics.add_warning(error.what, f"{_below(error)}{more}")


def _below(error: ProviderError) -> str:
    return f"{_sentence(error.came_back)} {error.next_step}".strip()


def _sentence(text: str) -> str:
    text = _capitalised(text.rstrip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unnamed(message: str, fleet: str) -> str:
    return _capitalised(message.removeprefix(title(fleet)))


def _capitalised(text: str) -> str:
    """With a capital, unless it begins with a machine's name, which a GUID in parentheses follows."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+,? (?!\()", text) else text


def _split(message: str) -> tuple[str, str]:
    heading, colon, detail = message.partition(": ")
    if colon and len(heading) <= _LONGEST_HEADING:
        return heading, _capitalised(detail)
    heading, stop, detail = message.partition(". ")
    if stop and len(heading) <= _LONGEST_HEADING:
        return heading, detail
    return ("What to know of these orchestrators", message) if len(message) > _LONGEST_HEADING else (message, "")
