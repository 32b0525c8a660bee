"""Records the files in `data` with the real pulumi and terraform: `python -m tests.cli.record`.

One small history on either engine: three fleets are created, one of them in waves; one orchestrator is rejected, one
re-enrolls, one flag is cleared outside; then the program changes. The exports and previews of each engine are kept,
without details of this machine. The files named v1 were recorded likewise with an earlier release, and never change.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from keyfactor_provider.reenrollment.life import STALE_FOR
from keyfactor_standins.command import process
from tests.support.modules import Module
from tests.support.stacks import PROGRAM, Stack

DATA: Final = Path(__file__).with_name("data")
_MACHINE_DETAILS: Final = {
    "sourcePosition",
    "stackTrace",
    "created",
    "modified",
    "manifest",
    "secrets_providers",
    "config",
    "duration",
}


def record(folder: Path) -> None:
    """Runs the history on both engines."""
    for engine in ("pulumi", "terraform"):
        with process.running("--orchestrators", "10") as command:
            ids = sorted(command.ids())
            command.faults(refused=[ids[1]])
            edge = {"name": "edge", "orchestrator_ids": ids[:5], "status": "Requested"}
            lab = {"name": "lab", "orchestrator_ids": ids[5:7], "status": "Requested", "on_removal": "retain"}
            slow = {"name": "slow", "orchestrator_ids": ids[8:], "status": "Requested", "waves": ["1"]}
            run = _pulumi if engine == "pulumi" else _terraform
            run(folder / engine, command, ids, edge, lab, slow)


def _change(command: process.Command, ids: list[str]) -> None:
    # Until then Command may still show the state before a request.
    time.sleep(STALE_FOR.total_seconds() + 5)
    command.world(reenroll=[ids[0]])
    command.world(change={ids[2]: {"flag": 0}})


def _pulumi(folder: Path, command: process.Command, ids: list[str], *fleets: dict[str, Any]) -> None:
    edge, lab, slow = fleets
    stack = Stack("pulumi", folder, command)
    program = PROGRAM.replace('"on_failure")', '"on_failure", "waves")')
    (folder / "__main__.py").write_text(program)
    stack.fleets(edge, lab, slow)
    _keep("pulumi-create.json", stack.run("preview", "--json").text)
    stack.run("up")
    _change(command, ids)
    stack.run("refresh")
    _keep("pulumi-export.json", json.dumps(stack.export()))
    later = {**edge, "orchestrator_ids": [*ids[:4], ids[7]]}
    stack.fleets(later, slow)
    _keep("pulumi-preview.json", stack.run("preview", "--json").text)
    hidden = {**later, "secret_outputs": ["members"]}
    stack.fleets(hidden, {**lab, "told_by": "edge"}, slow)
    _keep("pulumi-unknown.json", stack.run("preview", "--json").text)
    stack.run("up")
    _keep("pulumi-secret.json", json.dumps(stack.export()))
    _keep("pulumi-shown.json", stack.run("stack", "export", "--show-secrets").text)
    stack.fleets({**hidden, "status": "Required"}, lab, slow)
    _keep("pulumi-secret-preview.json", stack.run("preview", "--json", "--refresh").text)


def _terraform(folder: Path, command: process.Command, ids: list[str], *fleets: dict[str, Any]) -> None:
    edge, lab, slow = fleets
    module = Module("terraform", folder, command)
    module.fleets(edge, lab, slow)
    _plan(module, "terraform-create.json")
    module.run("apply")
    _change(command, ids)
    module.run("apply", "-refresh-only")
    _keep("terraform-state.json", module.run("show", "-json").text)
    module.fleets({**edge, "orchestrator_ids": [*ids[:4], ids[7]]}, slow)
    _plan(module, "terraform-plan.json")
    module.fleets(
        edge,
        {**lab, "orchestrator_ids": "${keyfactorcommand_orchestrator_reenrollment.edge.failed_orchestrator_ids}"},
    )
    _plan(module, "terraform-unknown.json")


def _plan(module: Module, name: str) -> None:
    module.run("plan", "-out", "saved.plan")
    _keep(name, module.run("show", "-json", "saved.plan").text)


def _keep(name: str, text: str) -> None:
    start = text.index("{")
    document, _ = json.JSONDecoder().raw_decode(text[start:])
    (DATA / name).write_text(json.dumps(_cleaned(document), indent=1, sort_keys=True) + "\n")


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items() if key not in _MACHINE_DETAILS}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as scratch:
        record(Path(scratch))
    sys.exit(0)
