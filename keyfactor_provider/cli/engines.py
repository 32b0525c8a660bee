"""The state of the project in a folder, from the engine that belongs to it."""

import shutil
import subprocess
from pathlib import Path

from keyfactor_provider import text
from keyfactor_provider.cli.exits import SourceError

_SECONDS = 120


def state_of(folder: Path, stack: str | None) -> tuple[bytes, str]:
    """What the engine exports, and the command that did it.

    Raises:
        SourceError: the folder holds no project, or one of each; or the engine did not export its state.
    """
    line = _command_line(folder, stack)
    shown = " ".join(line)
    try:
        ran = subprocess.run(  # noqa: S603  # the engine of the folder, with nothing of a document in its arguments
            line, cwd=folder, capture_output=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"`{shown}` failed", text.safe(str(error)), "Install it, or give a file.") from None
    if ran.returncode:
        told = text.safe(ran.stderr.decode(errors="replace") or ran.stdout.decode(errors="replace"), 500)
        raise SourceError(f"`{shown}` failed", told or f"exit code {ran.returncode}", "Make it work, or give a file.")
    return ran.stdout, f"The output of `{shown}`"


def _command_line(folder: Path, stack: str | None) -> list[str]:
    pulumi = any((folder / name).exists() for name in ("Pulumi.yaml", "Pulumi.yml"))
    terraform = any(folder.glob("*.tf")) or any(folder.glob("*.tf.json"))
    if pulumi and not (terraform and stack is None):
        return ["pulumi", "stack", "export", "--non-interactive", *(("--stack", stack) if stack else ())]
    if terraform and not pulumi and stack is None:
        return ["terraform" if shutil.which("terraform") or not shutil.which("tofu") else "tofu", "show", "-json"]
    found = "both a Pulumi project and a Terraform configuration" if pulumi else "no Pulumi project"
    if not pulumi and stack is None:
        found = "neither a Pulumi project nor a Terraform configuration"
    raise SourceError(
        "The state to report on is not clear",
        f"this folder holds {found}",
        "Run it in the project's folder, or give a file, or - for standard input.",
    )
