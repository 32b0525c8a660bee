"""What the audit of the dependencies makes of pip-audit's answers."""

import json
from typing import Any

import pytest

from tools.audit import verdict

FINE = {"name": "idna", "version": "3.20", "vulns": []}
BAD = {
    "name": "httpx",
    "version": "0.1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["0.28.1"], "aliases": [], "description": "..."}],
}
HOPELESS = BAD | {"vulns": [{"id": "PYSEC-2026-2", "fix_versions": [], "aliases": [], "description": "..."}]}
UNKNOWN = {"name": "anyio", "skip_reason": "Dependency not found and could not be audited: anyio (4.16.0)"}


@pytest.mark.parametrize(
    ("packages", "exit_code", "lines"),
    [
        ([FINE], 0, ["audited: 1 packages, 0 known vulnerabilities"]),
        (
            [FINE, BAD],
            1,
            [
                "vulnerable: httpx 0.1.0, PYSEC-2026-1; mended in 0.28.1",
                "audited: 2 packages, 1 known vulnerabilities",
            ],
        ),
        (
            [HOPELESS, UNKNOWN],
            1,
            [
                "vulnerable: httpx 0.1.0, PYSEC-2026-2; mended in no version",
                "audited: 1 packages, 1 known vulnerabilities",
                "not audited: anyio (Dependency not found and could not be audited)",
            ],
        ),
    ],
)
def test_a_finding_fails_and_what_was_not_audited_is_named(
    packages: list[dict[str, Any]], exit_code: int, lines: list[str]
) -> None:
    assert verdict(json.dumps({"dependencies": packages, "fixes": []}), "", []) == (exit_code, lines)


@pytest.mark.parametrize("answer", ["", "Traceback ...", "{}", "[]"])
def test_an_audit_that_reaches_nothing_names_every_package_and_fails_nothing(answer: str) -> None:
    code, lines = verdict(answer, "a warning\nConnectionError: no such host\n", ["httpx 0.28.1", "anyio 4.16.0"])
    told = "not audited: anyio 4.16.0, httpx 0.28.1 (the audit came to no end: ConnectionError: no such host)"
    assert (code, lines) == (0, [told])
