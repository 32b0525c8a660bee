"""What a Terraform user reads: messages and errors as a summary, and a detail below it."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from tf.utils import Diagnostics

from keyfactor_provider.errors import Problem, ProviderError, SettingsError
from keyfactor_provider.messages import Message
from keyfactor_provider.terraform.logs import LOG
from keyfactor_provider.text import MOST_NAMED


class Telling:
    """Takes what operations tell in a call of Terraform's into the answer to that call.

    Calls come on several threads, and an operation tells on the thread of its call. Terraform itself says which
    resource a diagnostic is about.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def into(self, diagnostics: Diagnostics) -> Iterator[None]:
        """For the length of a call."""
        self._here.diagnostics = diagnostics
        try:
            yield
        finally:
            self._here.diagnostics = None

    def __call__(self, message: Message) -> None:
        """Shows a message: a warning to the user, anything else in the log."""
        diagnostics: Diagnostics | None = getattr(self._here, "diagnostics", None)
        if message.severity == "info" or diagnostics is None:
            LOG.info(message.text())
        elif message.severity == "warning":
            diagnostics.add_warning(capitalised(message.summary), message.detail)
        else:
            diagnostics.add_error(capitalised(message.summary), message.detail)


def add_error(diagnostics: Diagnostics, error: ProviderError, path: Iterable[str] = ()) -> None:
    """An error of the project's, its four parts in the places where Terraform shows them."""
    diagnostics.add_error(capitalised(error.what), _detail(error), path=list(path))


def add_failure(diagnostics: Diagnostics, error: ProviderError, more: str = "") -> None:
    """Failed members where the run goes on."""
    diagnostics.add_warning(capitalised(error.what), f"{_detail(error)}{more}")


def add_problems(diagnostics: Diagnostics, problems: Iterable[Problem]) -> None:
    """Invalid values, each with the path of its attribute; a set's elements have none (Terraform)."""
    by_attribute: dict[str, list[str]] = {}
    for problem in problems:
        attribute = re.split(r"[\[.,]", problem.property)[0]
        by_attribute.setdefault(attribute, []).append(f"{problem.property}: {problem.reason}.")
    for attribute, reasons in by_attribute.items():
        for reason in sorted(reasons)[:MOST_NAMED]:
            diagnostics.add_error(f"Invalid value for {attribute}", reason, path=[attribute])
        if (more := len(reasons) - MOST_NAMED) > 0:
            diagnostics.add_error(
                f"Invalid value for {attribute}", f"{more} more values are invalid.", path=[attribute]
            )


def add_settings_error(diagnostics: Diagnostics, error: SettingsError, attributes: Mapping[str, str]) -> None:
    """A wrong setting, with the path of its attribute where it stands in the provider block."""
    add_error(diagnostics, error, [attributes[error.key]] if error.key in attributes else [])


def add_settings_warning(diagnostics: Diagnostics, error: SettingsError, more: str) -> None:
    """A setting that is still missing."""
    diagnostics.add_warning(capitalised(error.what), f"{_detail(error)}{more}")


def capitalised(text: str) -> str:
    """A summary as Terraform writes them."""
    return text[:1].upper() + text[1:]


def _detail(error: ProviderError) -> str:
    return f"{capitalised(error.came_back.rstrip('.'))}. {error.next_step}".strip()
