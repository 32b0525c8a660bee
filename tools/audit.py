"""`make audit`: is a package of this environment known to be vulnerable?

Its exit code is 1 where one is, and 2 where nothing at all could be audited, because the data about vulnerabilities
can't be reached from here. Single packages that could not be audited are named and fail nothing.
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
    """The exit code and the lines for what pip-audit said.

    Args:
        answer: its stdout; JSON, unless it could not come to an end.
        complaint: its stderr.
        installed: name and version of each package of this environment.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reasons = complaint.strip().splitlines() or ["pip-audit printed no reason"]
        return NOTHING_AUDITED, [
            f"not audited: {', '.join(sorted(installed))} ({reasons[-1][:200]})",
            "NOTHING WAS AUDITED. Run `make audit` where the index of packages can be reached.",
        ]
    lines, skipped, findings = [], dict[str, list[str]](), 0
    for package in packages:
        if reason := package.get("skip_reason"):
            skipped.setdefault(reason.partition(":")[0], []).append(package["name"])
        for finding in package.get("vulns", ()):
            findings += 1
            mended = ", ".join(finding["fix_versions"]) or "no version"
            lines.append(f"vulnerable: {package['name']} {package['version']}, {finding['id']}; fixed in {mended}")
    audited = len(packages) - sum(map(len, skipped.values()))
    lines += [f"not audited: {', '.join(sorted(names))} ({reason})" for reason, names in skipped.items()]
    if not audited:
        return NOTHING_AUDITED, [*lines, "NOTHING WAS AUDITED. Every package was left out for the reasons above."]
    return FINDING if findings else 0, [*lines, f"audited: {audited} packages, {findings} known vulnerabilities"]


def main() -> int:
    """Audit; 1 on a finding, 2 where nothing could be audited."""
    installed = [f"{each.name} {each.version}" for each in distributions()]
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
