"""The program's process: which interpreter, which environment, and how it ended."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from standins.engine.children import Child
from standins.engine.errors import EngineError
from standins.engine.project import Project, environment_config
from standins.engine.values import Secret

_RUNNER = Path(__file__).with_name("runner.py")
ALREADY_REPORTED = 32
"""The exit code of a program that has already said why it failed (sdk/python/cmd/pulumi-language-python)."""


def interpreter(project: Project) -> tuple[str, str | None]:
    """The Python that runs the program, and the folder of its virtual environment where it has one.

    Raises:
        EngineError: Pulumi.yaml names a virtual environment that has no Python in it.
    """
    if project.virtualenv is None or not project.virtualenv.exists():
        return sys.executable, None
    folder = "Scripts" if os.name == "nt" else "bin"
    python = project.virtualenv / folder / "python"
    if not python.exists():
        raise EngineError(
            f"{project.virtualenv} is not a virtual environment: no {folder}/python in it; make it again"
            f" (python -m venv {project.virtualenv}), or mend runtime.options.virtualenv in Pulumi.yaml"
        )
    return str(python), str(project.virtualenv)


def child_environment(project: Project, stack: str, venv: str | None) -> dict[str, str]:
    """The environment of the program and of the provider host: the engine's, and what the CLI adds.

    Reads: `sdk/python/toolchain/pip.go` for the virtual environment, `pkg/resource/plugin` for PULUMI_PROJECT.
    """
    environment = dict(os.environ)
    environment.update(
        PULUMI_PROJECT=project.name,
        PULUMI_STACK=stack,
        PULUMI_ORGANIZATION="organization",
        PULUMI_ROOT_DIRECTORY=str(project.root),
    )
    if venv is not None:
        environment["VIRTUAL_ENV"] = venv
        environment["PATH"] = os.pathsep.join([str(Path(venv) / "bin"), environment.get("PATH", "")])
        environment.pop("PYTHONHOME", None)
    return environment


async def start_program(
    project: Project,
    stack: str,
    config: Mapping[str, str | Secret],
    *,
    addresses: tuple[str, str],
    preview: bool,
    parallel: int,
    out: Callable[[str], None],
    error: Callable[[str], None],
) -> Child:
    """Start the program.

    Args:
        project: the project whose program it is.
        stack: the stack's name.
        config: the stack's values.
        addresses: of the resource monitor and of the engine, as host:port.
        preview: tell the program that nothing will be made.
        parallel: how many steps run at once.
        out: called with every line of its stdout.
        error: called with every line of its stderr.
    """
    python, venv = interpreter(project)
    is_file = project.program.is_file()
    folder = project.program.parent if is_file else project.program
    if not folder.is_dir():
        raise EngineError(f"{folder} does not exist: `main` in Pulumi.yaml must name a folder or a file")
    environment = child_environment(project, stack, venv)
    environment["PULUMI_CONFIG"], environment["PULUMI_CONFIG_SECRET_KEYS"] = environment_config(config)
    settings = {
        "monitor": addresses[0],
        "engine": addresses[1],
        "project": project.name,
        "stack": stack,
        "parallel": parallel,
        "dry_run": preview,
        "organization": "organization",
        "root_directory": str(project.root),
        "program": project.program.name if is_file else ".",
    }
    child = await Child.start(python, [str(_RUNNER), json.dumps(settings)], folder, environment)
    child.follow(out, error)
    return child
