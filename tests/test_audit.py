"""How the audit of the dependencies reads pip-audit's output."""

import json
from typing import Any

import pytest

from tools.audit import FINDING, NOTHING_AUDITED, verdict

FINE = {"name": "idna", "version": "3.20", "vulns": []}
BAD = {
    "name": "httpx",
    "version": "0.1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["0.28.1"], "aliases": [], "description": "..."}],
}
HOPELESS = BAD | {"vulns": [{"id": "PYSEC-2026-2", "fix_versions": [], "aliases": [], "description": "..."}]}
UNKNOWN = {"name": "anyio", "skip_reason": "Dependency not found and could not be audited: anyio (4.16.0)"}


@pytest.mark.parametrize(
    ("packages", "exit_code", "named"),
    [
        ([FINE], 0, ["1 packages", "0 known"]),
        ([FINE, BAD], FINDING, ["httpx 0.1.0", "PYSEC-2026-1", "0.28.1", "2 packages", "1 known"]),
        ([HOPELESS, UNKNOWN], FINDING, ["PYSEC-2026-2", "no version", "1 packages", "not audited: anyio"]),
        ([FINE, UNKNOWN], 0, ["1 packages", "not audited: anyio"]),
        ([UNKNOWN], NOTHING_AUDITED, ["not audited: anyio", "NOTHING WAS AUDITED"]),
        ([], NOTHING_AUDITED, ["NOTHING WAS AUDITED"]),
    ],
)
def test_a_finding_fails_and_what_was_not_audited_is_named(
    packages: list[dict[str, Any]], exit_code: int, named: list[str]
) -> None:
    code, lines = verdict(json.dumps({"dependencies": packages, "fixes": []}), "", [])
    assert code == exit_code
    assert [name for name in named if name not in "\n".join(lines)] == []


@pytest.mark.parametrize("answer", ["", "Traceback ...", "{}", "[]"])
def test_an_audit_that_reaches_nothing_names_every_package_and_the_reason(answer: str) -> None:
    code, lines = verdict(answer, "a warning\nConnectionError: no such host\n", ["httpx 0.28.1", "anyio 4.16.0"])
    assert code == NOTHING_AUDITED
    assert "anyio 4.16.0, httpx 0.28.1 (ConnectionError: no such host)" in lines[0]
    assert "NOTHING WAS AUDITED" in lines[-1]
