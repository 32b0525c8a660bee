"""`make audit`: checks the packages of this environment for known vulnerabilities.

Its exit code is 1 if there is one, and 2 if no package could be audited, because the vulnerability data can't be
reached. Single packages that could not be audited are named, without an error.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions

FINDING, NOTHING_AUDITED = 1, 2

_SECONDS = 180
_LINE = ["--local", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]


def verdict(answer: str, complaint: str, installed: Sequence[str]) -> tuple[int, list[str]]:
    """The exit code and the lines for the output of pip-audit.

    Args:
        answer: its stdout; JSON unless it failed.
        complaint: its stderr.
        installed: the name and version of each package of this environment.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reasons = complaint.strip().splitlines() or ["pip-audit printed no reason"]
        return NOTHING_AUDITED, [
            f"not audited: {', '.join(sorted(installed))} ({reasons[-1][:200]})",
            "NOTHING WAS AUDITED. Run `make audit` where the package index can be reached.",
        ]
    lines, skipped, findings = [], dict[str, list[str]](), 0
    for package in packages:
        if reason := package.get("skip_reason"):
            skipped.setdefault(reason.partition(":")[0], []).append(package["name"])
        for finding in package.get("vulns", ()):
            findings += 1
            fixed = ", ".join(finding["fix_versions"]) or "no version"
            lines.append(f"vulnerable: {package['name']} {package['version']}, {finding['id']}; fixed in {fixed}")
    audited = len(packages) - sum(map(len, skipped.values()))
    lines += [f"not audited: {', '.join(sorted(names))} ({reason})" for reason, names in skipped.items()]
    if not audited:
        return NOTHING_AUDITED, [*lines, "NOTHING WAS AUDITED. Every package was skipped for the reasons above."]
    return FINDING if findings else 0, [*lines, f"audited: {audited} packages, {findings} known vulnerabilities"]


def main() -> int:
    """Audit; returns 1 on a finding, 2 if nothing could be audited."""
    installed = [f"{package.name} {package.version}" for package in distributions()]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *_LINE], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        code, lines = verdict(done.stdout, done.stderr, installed)
    except subprocess.TimeoutExpired:
        code, lines = verdict("", f"pip-audit took longer than {_SECONDS} s", installed)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
