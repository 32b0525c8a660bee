"""The state of a stack: `stacks/PROJECT/STACK.json`, a Pulumi deployment, and a lock file next to it.

The file is replaced as a whole before and after each provider call. A killed run therefore loses at most the steps
under way, and the state names those as pending operations.
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
    attribute.name: attribute.name.split("_")[0] + "".join(part.title() for part in attribute.name.split("_")[1:])
    for attribute in fields(Resource)
}
_IGNORED = {"sourcePosition", "stackTrace", "customTimeouts", "refreshBeforeUpdate", "aliases"}


def in_state(resource: Resource, bag: Callable[[Properties], Properties]) -> dict[str, Any]:
    """A resource as the state writes it, its inputs and outputs through `bag`; empty values are left out."""
    values = {
        name: bag(value) if attribute in ("inputs", "outputs") else value
        for attribute, name in _NAMES.items()
        if (value := getattr(resource, attribute))
    }
    return {"custom": False, **values}


def state_folder(root: Path, backend: str | None) -> Path:
    """The folder of all state, for the value of PULUMI_BACKEND_URL."""
    if not backend:
        return root / ".pulumi-standin"
    scheme, _, path = backend.partition("://")
    if scheme != "file":
        raise Unsupported(f"the backend {backend!r}, not file://FOLDER,", "PULUMI_BACKEND_URL")
    return (root / Path(path).expanduser()).resolve() / ".pulumi-standin"


class Store:
    """The state of one stack. Each resource has a slot, its number for as long as it is recorded.

    Nothing is written before `begin`: a preview records into a store that was never begun.
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
        self._resources: dict[int, dict[str, Any]] = {}
        self.pending: dict[str, dict[str, Any]] = {}
        if self.file.exists():
            try:
                deployment = json.loads(self.file.read_bytes())["deployment"]
            except (ValueError, KeyError, TypeError) as error:
                raise EngineError(
                    f"the state {self.file} is not a Pulumi deployment ({error}); restore it from a copy"
                ) from error
            self.salt = deployment.get("secrets_providers", {}).get("state", {}).get("salt")
            self._resources = dict(enumerate(deployment.get("resources", [])))
            self.pending = {entry["resource"]["urn"]: entry for entry in deployment.get("pending_operations", [])}
        self._next = len(self._resources)

    def resources(self, vault: Vault) -> dict[int, Resource]:
        """All resources by their slot, in the state's order."""
        return {slot: self._from_json(values, vault) for slot, values in self._resources.items()}

    def _from_json(self, values: dict[str, Any], vault: Vault) -> Resource:
        unknown = [key for key, value in values.items() if value and key not in {*_NAMES.values(), *_IGNORED}]
        if unknown:
            raise Unsupported(f"{', '.join(unknown)} of {values.get('urn')}", f"the state {self.file}")
        attributes = {attribute: values[name] for attribute, name in _NAMES.items() if name in values}
        for bag in {"inputs", "outputs"} & attributes.keys():
            attributes[bag] = vault.revealed(attributes[bag])
        return Resource(**attributes)

    @contextmanager
    def locked(self, command: str) -> Iterator[None]:
        """Hold the stack for one run. The kernel releases the lock when the process ends, however it ends."""
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
        """From here on every change is written at once."""
        self._vault = vault

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
        """No call is under way any more for this resource."""
        if self._vault is not None:
            self.pending.pop(urn, None)
            self._save()

    def put(self, resource: Resource, slot: int | None = None) -> int:
        """Record a resource in its slot, or in a new one; returns the slot."""
        slot = self._placed(resource, slot)
        self.end(resource.urn)
        return slot

    def replace(self, resource: Resource, old_slot: int, old: Resource) -> int:
        """Record a replacement in a new slot and, in the same write, that the old resource is to be deleted."""
        self._placed(old, old_slot)
        return self.put(resource)

    def _placed(self, resource: Resource, slot: int | None) -> int:
        if slot is None:
            slot, self._next = self._next, self._next + 1
        if self._vault is not None:
            self._resources[slot] = in_state(resource, self._vault.hidden)
        return slot

    def move_last(self, slot: int) -> None:
        """List a resource after all others: `pulumi stack import` expects each after those that it depends on."""
        if self._vault is not None:
            self._resources[slot] = self._resources.pop(slot)

    def finish(self) -> None:
        """Write the order of the run's resources."""
        self._save()

    def drop(self, slot: int, urn: str) -> None:
        """Remove a resource."""
        if self._vault is not None:
            self._resources.pop(slot, None)
        self.end(urn)

    def rename(self, old: str, new: str) -> None:
        """Point every reference to a resource's old URN to its new one."""
        if self._vault is None:
            return
        for resource in self._resources.values():
            for name in resource.keys() & {"parent", "dependencies", "propertyDependencies"}:
                # In new lists: the run still uses the old ones.
                resource[name] = mapped(resource[name], lambda leaf: new if leaf == old else leaf)
        self._save()

    def forget_pending(self) -> None:
        """Clear the operations that earlier, killed runs left under way: a refresh has read these resources."""
        if self._vault is not None:
            self.pending.clear()
            self._save()

    def export(self, vault: Vault) -> dict[str, Any]:
        """The deployment as it stands, in the form of `pulumi stack export`."""
        deployment: dict[str, Any] = {
            "manifest": {
                "time": now(),
                "magic": hashlib.sha256(f"v{VERSION}".encode()).hexdigest(),
                "version": f"v{VERSION}",
            },
            "secrets_providers": {"type": "passphrase", "state": {"salt": vault.salt}},
            "resources": list(self._resources.values()),
            "metadata": {},
        }
        if self.pending:
            deployment["pending_operations"] = list(self.pending.values())
        # The CLI marks a state with hooks this way, so that no CLI too old for hooks takes it.
        hooks = any("resourceHooks" in values for values in self._resources.values())
        marked = {"version": 4, "features": ["hooks"]} if hooks else {"version": 3}
        return {**marked, "deployment": deployment}
