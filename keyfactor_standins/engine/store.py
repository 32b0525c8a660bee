"""Where the state lies: `stacks/PROJECT/STACK.json`, a Pulumi deployment, and a lock beside it.

The file is written anew before and after each call of a provider, and replaced in one go: a killed run loses at most
the steps under way, and those are named as pending operations.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from keyfactor_standins.engine.config import VERSION
from keyfactor_standins.engine.errors import EngineError, Unsupported
from keyfactor_standins.engine.planner import Resource, now
from keyfactor_standins.engine.secrets import Vault
from keyfactor_standins.engine.wire import Properties, mapped

_NAMES = {
    each.name: each.name.split("_")[0] + "".join(part.title() for part in each.name.split("_")[1:])
    for each in fields(Resource)
}
_LOSABLE = {"sourcePosition", "stackTrace", "customTimeouts", "refreshBeforeUpdate", "aliases"}


def in_state(resource: Resource, bag: Callable[[Properties], Properties]) -> dict[str, Any]:
    """A resource as the state writes it, its inputs and outputs through `bag`; what is empty is left out."""
    found = {
        name: bag(value) if attribute in ("inputs", "outputs") else value
        for attribute, name in _NAMES.items()
        if (value := getattr(resource, attribute))
    }
    return {"custom": False, **found}


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

    Before `begin` nothing is written: a preview records into a store that was never begun.
    """

    _vault: Vault | None = None

    def __init__(self, folder: Path, project: str, stack: str) -> None:
        self._stack = stack
        self._base = folder / "stacks" / project / stack
        self.file = self._base.with_name(f"{stack}.json")
        self.read()

    def read(self) -> None:
        """Read the file."""
        self.salt: str | None = None
        # What this run has not come to yet, and what it has: the state lists the latter first.
        self._olds: dict[int, dict[str, Any]] = {}
        self._news: dict[int, dict[str, Any]] = {}
        self.pending: dict[str, dict[str, Any]] = {}
        if self.file.exists():
            try:
                deployment = json.loads(self.file.read_bytes())["deployment"]
            except (ValueError, KeyError, TypeError) as error:
                raise EngineError(
                    f"the state {self.file} is not a Pulumi deployment ({error}); restore it from a copy"
                ) from error
            self.salt = deployment.get("secrets_providers", {}).get("state", {}).get("salt")
            self._olds = dict(enumerate(deployment.get("resources", [])))
            self.pending = {each["resource"]["urn"]: each for each in deployment.get("pending_operations", [])}
        self._next = len(self._olds)

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
        """From here on every change is on disk at once."""
        self._vault = vault

    def finish(self) -> None:
        """The run is over: its resources have the order in which it came to them."""
        self._save()
        self.read()

    def _save(self) -> None:
        if self._vault is None:
            return
        temporary = self.file.with_suffix(".new")
        # In one go and without indentation: json encodes in C only then.
        temporary.write_text(json.dumps(self.export(self._vault), separators=(",", ":")), encoding="utf-8")
        temporary.replace(self.file)

    def start(self, resource: Resource, kind: str) -> None:
        """Note that a call is under way ("creating", "updating", "deleting")."""
        if self._vault is not None:
            self.pending[resource.urn] = {"resource": in_state(resource, self._vault.hidden), "type": kind}
            self._save()

    def end(self, urn: str) -> None:
        """The call ended without any effect."""
        if self._vault is not None:
            self.pending.pop(urn, None)
            self._save()

    def put(self, resource: Resource, slot: int | None = None, *, instead_of: int | None = None) -> int:
        """Record a resource, in the slot that it has or in a new one, at the same time letting go of another."""
        slot = self._placed(resource, slot)
        self._let_go(instead_of)
        self.end(resource.urn)
        return slot

    def replace(self, resource: Resource, old_slot: int, old: Resource) -> int:
        """Record a replacement, at the same time marking what it replaces for deletion."""
        slot = self._placed(resource, None)
        self._placed(old, old_slot)
        self.end(resource.urn)
        return slot

    def _placed(self, resource: Resource, slot: int | None) -> int:
        if slot is None:
            slot, self._next = self._next, self._next + 1
        if self._vault is not None:
            part = self._olds if slot in self._olds else self._news
            part[slot] = in_state(resource, self._vault.hidden)
        return slot

    def _let_go(self, slot: int | None) -> None:
        if self._vault is not None and slot is not None:
            self._olds.pop(slot, None)
            self._news.pop(slot, None)

    def keep(self, slot: int) -> None:
        """A resource is as it was: it takes its place among those of this run."""
        if self._vault is not None:
            self._news[slot] = self._olds.pop(slot)

    def drop(self, slot: int, urn: str) -> None:
        """Let go of a resource."""
        self._let_go(slot)
        self.end(urn)

    def rename(self, old: str, new: str) -> None:
        """References to a resource's old name become references to the new one."""
        if self._vault is None:
            return
        for resource in [*self._news.values(), *self._olds.values()]:
            for name in resource.keys() & {"parent", "dependencies", "propertyDependencies"}:
                # In new lists: the run has the old ones in its hands.
                resource[name] = mapped(resource[name], lambda leaf: new if leaf == old else leaf)
        self._save()

    def forget_pending(self) -> None:
        """What earlier, killed runs left under way has been looked at."""
        if self._vault is not None:
            self.pending.clear()
            self._save()

    def export(self, vault: Vault) -> dict[str, Any]:
        """The deployment as it stands, in the form that `pulumi stack import` takes."""
        resources = [*self._news.values(), *self._olds.values()]
        deployment: dict[str, Any] = {
            "manifest": {
                "time": now(),
                "magic": hashlib.sha256(f"v{VERSION}".encode()).hexdigest(),
                "version": f"v{VERSION}",
            },
            "secrets_providers": {"type": "passphrase", "state": {"salt": vault.salt}},
            "resources": resources,
            "metadata": {},
        }
        if self.pending:
            deployment["pending_operations"] = list(self.pending.values())
        # the CLI marks a state with hooks so, that no CLI too old for hooks takes it
        hooks = any("resourceHooks" in each for each in resources)
        marked = {"version": 4, "features": ["hooks"]} if hooks else {"version": 3}
        return {**marked, "deployment": deployment}
