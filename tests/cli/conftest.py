"""Runs the command in this process, as a shell would."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from keyfactor_provider.cli import main


@dataclass(frozen=True)
class Ran:
    """How the command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command with arguments and standard input."""

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["keyfactor-reenrollment", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            code: object = main()
        except SystemExit as end:
            code = end.code
        output = capsys.readouterr()
        return Ran(int(code or 0), output.out, output.err)  # type: ignore[call-overload]

    return run
