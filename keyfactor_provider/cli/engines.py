"""Exports the state of the project in a folder with its engine."""

import shutil
import subprocess
from pathlib import Path

from keyfactor_provider import text
from keyfactor_provider.cli.exits import SourceError

_SECONDS = 120


def state_of(folder: Path, stack: str | None) -> tuple[bytes, str]:
    """The exported state, and what messages call it.

    Raises:
        SourceError: the folder has no project, or one for each engine; or the export failed.
    """
    line = _command_line(folder, stack)
    shown = " ".join(line)
    try:
        ran = subprocess.run(  # noqa: S603  # a fixed command line apart from the name of the stack
            line, cwd=folder, capture_output=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"`{shown}` failed", text.safe(str(error)), "Install it, or name a file.") from None
    if ran.returncode:
        output = text.safe(ran.stderr.decode(errors="replace") or ran.stdout.decode(errors="replace"), 500)
        raise SourceError(f"`{shown}` failed", output or f"exit code {ran.returncode}", "Fix that, or name a file.")
    return ran.stdout, f"The output of `{shown}`"


def _command_line(folder: Path, stack: str | None) -> list[str]:
    pulumi = any((folder / name).exists() for name in ("Pulumi.yaml", "Pulumi.yml"))
    terraform = any(folder.glob("*.tf")) or any(folder.glob("*.tf.json"))
    if pulumi and not (terraform and stack is None):
        return ["pulumi", "stack", "export", "--non-interactive", *(("--stack", stack) if stack else ())]
    if terraform and not pulumi and stack is None:
        return ["terraform" if shutil.which("terraform") or not shutil.which("tofu") else "tofu", "show", "-json"]
    projects = "both a Pulumi project and a Terraform configuration" if pulumi else "no Pulumi project"
    if not pulumi and stack is None:
        projects = "neither a Pulumi project nor a Terraform configuration"
    raise SourceError(
        "Can't tell which state to report on",
        f"this folder has {projects}",
        "Run the command in the project's folder, or name a file, or - for standard input.",
    )
