"""`python -m tests.typed`: the strict type checker over the packages, and over each program by itself.

The library of the Terraform front end needs Python 3.11: with an older one its rooms are not checked, and named.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WITH_TF = (
    "keyfactor_provider/terraform/",
    "tests/terraform/",
    "tests/support/plugin.py",
    "tests/support/modules.py",
    "bench/served.py",
    "bench/terraform.py",
)


def findings(*arguments: str, left_out: tuple[str, ...] = ()) -> list[str]:
    """What the type checker says against them.

    Raises:
        RuntimeError: it did not come to an end.
    """
    line = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *arguments]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode > 1:
        raise RuntimeError(ran.stdout + ran.stderr)
    return [said for said in ran.stdout.splitlines() if not said.startswith(left_out)]


def main() -> int:
    """Check everything; 1 where something is wrong."""
    left_out = WITH_TF if find_spec("tf") is None else ()
    said = findings(left_out=left_out)
    for program in [ROOT / "__main__.py", *sorted(ROOT.glob("examples/*/__main__.py"))]:
        said += findings(str(program))
    for each in said:
        print(each)
    if left_out:
        print(f"not type checked, for want of tf, which needs Python 3.11: {', '.join(left_out)}")
    print(f"type checked: {len(said)} findings")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
