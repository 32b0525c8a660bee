"""Logs as hclog's JSON lines on stderr, so that Terraform shows them at their own level (go-plugin)."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Final

from keyfactor_provider.text import safe

LOG: Final = logging.getLogger("keyfactorcommand")

MOST_CHARACTERS: Final = 2000
"""Limit for one message or one line of a traceback."""

_LEVELS: Final = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_NAMES: Final = {"WARNING": "warn", "CRITICAL": "error"}


class Hclog(logging.Formatter):
    """One record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a traceback in a separate field."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "@level": _NAMES.get(record.levelname, record.levelname.lower()),
            "@message": safe(record.getMessage(), MOST_CHARACTERS),
            "@module": record.name,
            "@timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        if record.exc_info:
            # An exception's text may contain untrusted input.
            line["traceback"] = "\n".join(map(_indented, self.formatException(record.exc_info).split("\n")))
        return json.dumps(line)


def _indented(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" "))) + safe(line, MOST_CHARACTERS)


def _requests_are_details(record: logging.LogRecord) -> bool:
    # httpx reports each request at INFO: method, URL and status.
    if record.name == "httpx" and record.levelno == logging.INFO:
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True


def start(environment: "os._Environ[str] | dict[str, str]") -> None:
    """Sends all logs of this process to Terraform, at the level in TF_LOG_PROVIDER or TF_LOG."""
    level = environment.get("TF_LOG_PROVIDER") or environment.get("TF_LOG") or ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Hclog())
    handler.addFilter(_requests_are_details)
    handler.setLevel(_LEVELS.get(level.upper(), logging.DEBUG if level else logging.WARNING))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG, force=True)
    # Below WARNING these log every byte, including headers.
    for name in ("httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
