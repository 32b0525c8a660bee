"""`make audit`: is a package of this environment known to be vulnerable?

It fails on a finding alone. What could not be audited, because the data about it can't be reached from here, is named
and fails nothing: CI may have no way out.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions

_SECONDS = 180
_LINE = ["--local", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]


def verdict(answer: str, complaint: str, installed: Sequence[str]) -> tuple[int, list[str]]:
    """The exit code and the lines for what pip-audit said.

    Args:
        answer: its stdout; JSON, unless it could not come to an end.
        complaint: its stderr.
        installed: name and version of each package of this environment.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = complaint.strip().splitlines() or ["it said nothing"]
        return 0, [f"not audited: {', '.join(sorted(installed))} (the audit came to no end: {said[-1][:200]})"]
    lines, skipped, findings = [], dict[str, list[str]](), 0
    for package in packages:
        if reason := package.get("skip_reason"):
            skipped.setdefault(reason.partition(":")[0], []).append(package["name"])
        for finding in package.get("vulns", ()):
            findings += 1
            mended = ", ".join(finding["fix_versions"]) or "no version"
            lines.append(f"vulnerable: {package['name']} {package['version']}, {finding['id']}; mended in {mended}")
    audited = len(packages) - sum(map(len, skipped.values()))
    lines.append(f"audited: {audited} packages, {findings} known vulnerabilities")
    lines += [f"not audited: {', '.join(sorted(names))} ({reason})" for reason, names in skipped.items()]
    return min(findings, 1), lines


def main() -> int:
    """Audit; 1 on a finding."""
    installed = [f"{each.name} {each.version}" for each in distributions()]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *_LINE], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        code, lines = verdict(done.stdout, done.stderr, installed)
    except subprocess.TimeoutExpired:
        code, lines = verdict("", f"it took longer than {_SECONDS} s", installed)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
