"""Shows messages and errors as Terraform's diagnostics: a summary with a detail below it."""

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
    """Adds the messages of operations to the response of the call that they run in.

    Calls come on several threads, and an operation reports on the thread of its call. Terraform itself shows which
    resource a diagnostic belongs to.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def into(self, diagnostics: Diagnostics) -> Iterator[None]:
        """Takes messages into these diagnostics, for the duration of a call."""
        self._local.diagnostics = diagnostics
        try:
            yield
        finally:
            self._local.diagnostics = None

    def __call__(self, message: Message) -> None:
        """Shows a message: a warning to the user, anything else in the log."""
        diagnostics: Diagnostics | None = getattr(self._local, "diagnostics", None)
        if message.severity == "info" or diagnostics is None:
            LOG.info(message.text())
        elif message.severity == "warning":
            diagnostics.add_warning(capitalised(message.summary), message.detail)
        else:
            diagnostics.add_error(capitalised(message.summary), message.detail)


def add_error(diagnostics: Diagnostics, error: ProviderError, path: Iterable[str] = ()) -> None:
    """Adds an error, its four parts in the places where Terraform shows them."""
    diagnostics.add_error(capitalised(error.what), _detail(error), path=list(path))


def add_failure(diagnostics: Diagnostics, error: ProviderError, more: str = "") -> None:
    """Adds failed members as a warning, because the run continues."""
    diagnostics.add_warning(capitalised(error.what), f"{_detail(error)}{more}")


def add_problems(diagnostics: Diagnostics, problems: Iterable[Problem]) -> None:
    """Adds invalid values with the path of their attribute; elements of a set have no path (Terraform)."""
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
    """Adds an invalid setting, with the path of its attribute if it comes from the provider block."""
    add_error(diagnostics, error, [attributes[error.key]] if error.key in attributes else [])


def add_settings_warning(diagnostics: Diagnostics, error: SettingsError, more: str) -> None:
    """Adds a missing setting as a warning."""
    diagnostics.add_warning(capitalised(error.what), f"{_detail(error)}{more}")


def capitalised(text: str) -> str:
    """A summary with a capital, as Terraform writes them."""
    return text[:1].upper() + text[1:]


def _detail(error: ProviderError) -> str:
    return f"{capitalised(error.came_back.rstrip('.'))}. {error.next_step}".strip()
