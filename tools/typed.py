"""`python -m tools.typed`: the strict type checker over the packages, and over each program by itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def findings(*arguments: str) -> list[str]:
    """What the type checker reports for them.

    Raises:
        RuntimeError: it did not come to an end.
    """
    line = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *arguments]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode > 1:
        raise RuntimeError(ran.stdout + ran.stderr)
    return ran.stdout.splitlines()


def main() -> int:
    """Check everything; 1 where something is wrong."""
    reported = findings()
    for program in [ROOT / "__main__.py", *sorted(ROOT.glob("examples/*/__main__.py"))]:
        reported += findings(str(program))
    for line in reported:
        print(line)
    print(f"type checked: {len(reported)} findings")
    return 1 if reported else 0


if __name__ == "__main__":
    sys.exit(main())
