"""Where the state lies: a snapshot, a journal beside it while a run is under way, and a lock.

Below the state folder: `stacks/PROJECT/STACK.json` (a Pulumi deployment), `.journal` (one JSON line per finished
step, so that a killed run loses at most the steps under way; the next run replays it), `.lock`.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from keyfactor_standins.engine.config import VERSION
from keyfactor_standins.engine.errors import EngineError, Unsupported
from keyfactor_standins.engine.planner import Resource, now
from keyfactor_standins.engine.secrets import Vault

_NAMES = {
    each.name: each.name.split("_")[0] + "".join(part.title() for part in each.name.split("_")[1:])
    for each in fields(Resource)
}
_LOSABLE = {"sourcePosition", "stackTrace", "customTimeouts", "refreshBeforeUpdate", "aliases"}


def state_folder(root: Path, backend: str | None) -> Path:
    """The folder of all state, from PULUMI_BACKEND_URL or `backend.url` of Pulumi.yaml."""
    if not backend:
        return root / ".pulumi-standin"
    scheme, _, path = backend.partition("://")
    if scheme != "file":
        raise Unsupported(f"the backend {backend!r}, not file://FOLDER,", "PULUMI_BACKEND_URL")
    return (root / Path(path).expanduser()).resolve() / ".pulumi-standin"


class Store:
    """The state of one stack. Each resource has a slot, its number for as long as it is recorded.

    Outside `begin` and `finish` nothing is written: a preview records into a store that was never begun.
    """

    def __init__(self, folder: Path, project: str, stack: str) -> None:
        self._stack = stack
        self._base = folder / "stacks" / project / stack
        self.file = self._base.with_name(f"{stack}.json")
        self._journal_file = self._base.with_name(f"{stack}.journal")
        self._journal: TextIO | None = None
        self.read()

    def read(self) -> None:
        """Read the snapshot, and what a killed run left in the journal."""
        self.salt: str | None = None
        self._olds: dict[int, dict[str, Any]] = {}
        self._news: dict[int, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self.pending: dict[str, dict[str, Any]] = {}
        snapshot = self.file.read_bytes() if self.file.exists() else b""
        self._digest = hashlib.sha256(snapshot).hexdigest()
        if snapshot:
            try:
                deployment = json.loads(snapshot)["deployment"]
            except (ValueError, KeyError, TypeError) as error:
                raise EngineError(
                    f"the state {self.file} is not a Pulumi deployment ({error}); restore it from a copy"
                ) from error
            self.salt = deployment.get("secrets_providers", {}).get("state", {}).get("salt")
            self._olds = dict(enumerate(deployment.get("resources", [])))
            self.pending = {each["resource"]["urn"]: each for each in deployment.get("pending_operations", [])}
        self._next = len(self._olds)
        if self._journal_file.exists():
            for line in self._journal_file.read_text(encoding="utf-8").split("\n"):
                try:
                    operations = json.loads(line)
                except ValueError:
                    break  # cut short by the kill: its step counts as under way
                if operations[0][0] == "base" and operations[0][1] != self._digest:
                    break  # killed while it finished: the snapshot has all of this, and other slots
                for operation in operations:
                    self._apply(*operation)

    def _apply(self, op: str, *given: Any) -> None:
        if op == "put":
            slot, resource = given
            part = self._olds if slot in self._olds else self._news
            part[slot] = resource
            self._next = max(self._next, slot + 1)
        elif op == "keep":
            self._news[given[0]] = self._olds.pop(given[0])
        elif op == "drop":
            self._olds.pop(given[0], None)
            self._news.pop(given[0], None)
        elif op == "name":
            self._names[given[0]] = given[1]
        elif op == "salt":
            self.salt = given[0]
        elif op == "begin":
            self.pending[given[0]["urn"]] = {"resource": given[0], "type": given[1]}
        elif op == "end":
            self.pending.pop(given[0], None)

    def _write(self, *operations: tuple[Any, ...]) -> None:
        if self._journal is not None:
            self._journal.write(json.dumps(operations, separators=(",", ":")) + "\n")
            self._journal.flush()
            for operation in operations:
                self._apply(*operation)

    def resources(self, vault: Vault) -> dict[int, Resource]:
        """All resources by their slot, in the state's order."""
        return {slot: self._from_json(found, vault) for slot, found in {**self._news, **self._olds}.items()}

    def _from_json(self, found: dict[str, Any], vault: Vault) -> Resource:
        lost = [key for key, value in found.items() if value and key not in {*_NAMES.values(), *_LOSABLE}]
        if lost:
            raise Unsupported(f"{', '.join(lost)} of {found.get('urn')}", f"the state {self.file}")
        values = {attribute: found[name] for attribute, name in _NAMES.items() if name in found}
        for bag in {"inputs", "outputs"} & values.keys():
            values[bag] = vault.revealed(values[bag])
        return Resource(**values)

    def _to_json(self, resource: Resource) -> dict[str, Any]:
        found = {
            name: self._vault.hidden(value) if attribute in ("inputs", "outputs") else value
            for attribute, name in _NAMES.items()
            if (value := getattr(resource, attribute))
        }
        return {"custom": False, **found}

    @contextmanager
    def locked(self, command: str) -> Iterator[None]:
        """Hold the stack for one run; the kernel lets go of it when the process ends, however that happens."""
        self._base.parent.mkdir(parents=True, exist_ok=True)
        with self._base.with_name(f"{self._stack}.lock").open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise EngineError(
                    f"the stack '{self._stack}' is currently locked by {lock.read() or 'another run'}; wait for that"
                    " run to end, or stop it (the lock goes with its process)"
                ) from error
            lock.truncate(0)
            lock.write(f"{command} (process {os.getpid()}, since {now()})")
            lock.flush()
            self.read()
            yield
            lock.truncate(0)

    def begin(self, vault: Vault) -> None:
        """From here on every finished step is on disk at once."""
        self._vault = vault
        if self._journal_file.exists():
            self.finish()
        self._journal = self._journal_file.open("w", encoding="utf-8")
        self._write(("base", self._digest), ("salt", vault.salt))

    def finish(self) -> None:
        """Write the snapshot, and only then let go of the journal."""
        temporary = self.file.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            # In one go and without indentation: json encodes in C only then.
            file.write(json.dumps(self.export(self._vault.salt), separators=(",", ":")))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.file)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._journal_file.unlink(missing_ok=True)
        self.read()

    def start(self, resource: Resource, kind: str) -> None:
        """Note that a call is under way ("creating", "updating", "deleting")."""
        if self._journal is not None:
            self._write(("begin", self._to_json(resource), kind))

    def end(self, urn: str) -> None:
        """The call ended without any effect."""
        self._write(("end", urn))

    def put(self, resource: Resource, slot: int | None = None, *, instead_of: int | None = None) -> int:
        """Record a resource, in the slot that it has or in a new one, in the same line letting go of another."""
        slot, self._next = (self._next, self._next + 1) if slot is None else (slot, self._next)
        if self._journal is not None:
            drop = [("drop", instead_of)] if instead_of is not None else []
            self._write(("put", slot, self._to_json(resource)), ("end", resource.urn), *drop)
        return slot

    def replace(self, resource: Resource, old_slot: int, old: Resource) -> int:
        """Record a replacement, in the same line marking what it replaces for deletion."""
        slot, self._next = self._next, self._next + 1
        if self._journal is not None:
            marked = ("put", old_slot, self._to_json(old))
            self._write(("put", slot, self._to_json(resource)), marked, ("end", resource.urn))
        return slot

    def keep(self, slot: int) -> None:
        """A resource is as it was: it takes its place among those of this run."""
        self._write(("keep", slot))

    def drop(self, slot: int, urn: str) -> None:
        """Let go of a resource."""
        self._write(("drop", slot), ("end", urn))

    def rename(self, old: str, new: str) -> None:
        """References to a resource's old name become references to the new one."""
        self._write(("name", old, new))

    def forget_pending(self) -> None:
        """What earlier, killed runs left under way has been looked at."""
        self._write(*[("end", urn) for urn in self.pending])

    def export(self, salt: str) -> dict[str, Any]:
        """The deployment as it stands, in the form that `pulumi stack import` takes; `salt` is its vault's line."""
        resources = [self._renamed(found) for found in {**self._news, **self._olds}.values()]
        deployment: dict[str, Any] = {
            "manifest": {
                "time": now(),
                "magic": hashlib.sha256(f"v{VERSION}".encode()).hexdigest(),
                "version": f"v{VERSION}",
            },
            "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
            "resources": resources,
            "metadata": {},
        }
        if self.pending:
            deployment["pending_operations"] = list(self.pending.values())
        # the CLI marks a state with hooks so, that no CLI too old for hooks takes it
        hooks = any("resourceHooks" in each for each in resources)
        return (
            {"version": 4, "features": ["hooks"], "deployment": deployment}
            if hooks
            else {
                "version": 3,
                "deployment": deployment,
            }
        )

    def _renamed(self, found: dict[str, Any]) -> dict[str, Any]:
        if not self._names:
            return found
        text = dict(found)
        if "parent" in text:
            text["parent"] = self._names.get(text["parent"], text["parent"])
        if "dependencies" in text:
            text["dependencies"] = [self._names.get(urn, urn) for urn in text["dependencies"]]
        if "propertyDependencies" in text:
            text["propertyDependencies"] = {
                key: [self._names.get(urn, urn) for urn in urns] for key, urns in text["propertyDependencies"].items()
            }
        return text
