"""Where the state lies: a snapshot, a journal beside it while a run is under way, and a lock.

Layout, below the state folder: `stacks/PROJECT/STACK.json` (a Pulumi v3 deployment), `.journal` (one JSON line
per finished step: a killed process loses nothing that was finished; the next run replays it), `.lock`.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from standins.engine.errors import EngineError
from standins.engine.secrets import Vault
from standins.engine.state import (
    Resource,
    deployment_to_json,
    now,
    resource_from_json,
    resource_to_json,
)


def state_folder(root: Path, option: str | None, backend: str | None) -> Path:
    """The folder of all state.

    Args:
        root: the project's folder.
        option: `--state-dir`.
        backend: PULUMI_BACKEND_URL, or `backend.url` of Pulumi.yaml.

    Raises:
        EngineError: the backend is not a folder.
    """
    if option is not None:
        return Path(option).resolve()
    if not backend:
        return root / ".pulumi-standin"
    scheme, found, path = backend.partition("://")
    if scheme != "file" or not found:
        raise EngineError(
            f"the backend {backend!r} is not supported by this stand-in, which keeps state in files; set"
            " PULUMI_BACKEND_URL=file://FOLDER or pass --state-dir FOLDER"
        )
    return (root / Path(path).expanduser()).resolve() / ".pulumi-standin"


class Store:
    """The state of one stack.

    Args:
        folder: the state folder.
        project: the project's name.
        stack: the stack's name.
    """

    def __init__(self, folder: Path, project: str, stack: str) -> None:
        self._folder = folder
        self._base = folder / "stacks" / project / stack
        self._stack = stack
        self._journal: TextIO | None = None
        self._slots: dict[int, dict[str, Any]] = {}
        self._fresh: list[int] = []
        self._under_way: dict[int, dict[str, str]] = {}
        self._next = 0
        self._read()

    @property
    def file(self) -> Path:
        """The snapshot."""
        return self._base.with_name(self._base.name + ".json")

    @property
    def _journal_file(self) -> Path:
        return self._base.with_name(self._base.name + ".journal")

    def _read(self) -> None:
        self._salt: str | None = None
        self.pending: list[Any] = []
        if self.file.exists():
            try:
                deployment = json.loads(self.file.read_text(encoding="utf-8"))["deployment"]
            except (ValueError, KeyError, TypeError) as error:
                raise EngineError(
                    f"the state {self.file} is not a Pulumi deployment ({error}); restore it from a copy"
                ) from error
            self._salt = deployment.get("secrets_providers", {}).get("state", {}).get("salt")
            self.pending = list(deployment.get("pending_operations", []))
            for resource in deployment.get("resources", []):
                self._slots[self._next] = resource
                self._next += 1
        if self._journal_file.exists():
            for line in self._journal_file.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    break  # the line that the kill cut short: its step counts as not finished
                self._apply(entry)
            self.pending += list(self._under_way.values())
            self._under_way.clear()

    def _apply(self, entry: dict[str, Any]) -> None:
        self._salt = entry.get("salt", self._salt)
        if "begin" in entry:
            self._under_way[entry["step"]] = entry["begin"]
        else:
            self._under_way.pop(entry.get("step", -1), None)
        slot = entry.get("slot")
        if slot is not None:
            self._next = max(self._next, slot + 1)
            if "resource" in entry:
                if slot not in self._slots:
                    self._fresh.append(slot)
                self._slots[slot] = entry["resource"]
            elif slot not in self._fresh:
                self._fresh.append(slot)
        for gone in entry.get("gone", ()):
            self._slots.pop(gone, None)
        if "names" in entry:
            self._slots = {slot: _renamed(found, entry["names"]) for slot, found in self._slots.items()}
        if entry.get("settled"):
            self.pending.clear()

    @property
    def salt(self) -> str | None:
        """The salt line that the state's secrets were written with; None for a new state."""
        return self._salt

    def resources(self, vault: Vault) -> dict[int, Resource]:
        """All resources by their slot, in the state's order.

        Raises:
            EngineError: a secret cannot be decrypted, or the state holds what this stand-in would lose.
        """
        try:
            return {slot: resource_from_json(self._slots[slot], vault.reveal) for slot in self._order()}
        except ValueError as error:
            raise EngineError(
                f"the state {self.file} holds what this stand-in would lose: {error}; go on with the real"
                " pulumi CLI"
            ) from error

    def _order(self) -> list[int]:
        fresh = [slot for slot in self._fresh if slot in self._slots]
        return fresh + [slot for slot in self._slots if slot not in set(fresh)]

    @contextmanager
    def locked(self, command: str) -> Iterator[None]:
        """Hold the stack for one run; the kernel lets go of it when the process ends, however that happens.

        Raises:
            EngineError: another run holds it; named.
        """
        self._base.parent.mkdir(parents=True, exist_ok=True)
        (self._folder / ".gitignore").write_text("*\n", encoding="utf-8")
        path = self._base.with_name(self._base.name + ".lock")
        with path.open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise EngineError(
                    f"the stack '{self._stack}' is currently locked by {lock.read().strip() or 'another run'}; wait"
                    " for that run to end, or stop it (the lock goes with its process)"
                ) from error
            lock.truncate(0)
            lock.write(f"{command} (process {os.getpid()} on {socket.gethostname()}, since {now()})")
            lock.flush()
            self.__init__(self._folder, self._base.parent.name, self._stack)  # type: ignore[misc]
            yield
            lock.truncate(0)

    def begin(self, vault: Vault) -> None:
        """Open the journal: from here on every finished step is on disk at once.

        A journal that a killed run left is first made part of the snapshot.
        """
        if self._journal_file.exists():
            self.finish(vault)
        self._vault = vault
        self._journal = self._journal_file.open("w", encoding="utf-8")
        self._write({"salt": vault.salt})

    def _write(self, entry: dict[str, Any]) -> None:
        assert self._journal is not None
        self._journal.write(json.dumps(entry, separators=(",", ":")) + "\n")
        self._journal.flush()
        self._apply(entry)

    def start(self, step: int, urn: str, kind: str) -> None:
        """Note that a step is under way: one that a kill leaves so is shown by the next run."""
        self._write({"step": step, "begin": {"urn": urn, "type": kind}})

    def fail(self, step: int) -> None:
        """A step has ended without any effect."""
        self._write({"step": step})

    def put(
        self, resource: Resource, *, slot: int | None = None, gone: tuple[int, ...] = (), step: int = -1
    ) -> int:
        """Record a resource and let go of others, in one go.

        Args:
            resource: what to record.
            slot: the slot whose content it replaces; None gives it a new one at the end.
            gone: the slots to let go of.
            step: the step that this ends.

        Returns:
            Its slot.
        """
        slot = self._next if slot is None else slot
        self._write(
            {
                "step": step,
                "slot": slot,
                "resource": resource_to_json(resource, self._vault.hide),
                "gone": list(gone),
            }
        )
        return slot

    def keep(self, slot: int) -> None:
        """A resource is as it was: it takes its place among those of this run."""
        self._write({"slot": slot})

    def drop(self, slot: int, step: int = -1) -> None:
        """Let go of a resource."""
        self._write({"step": step, "gone": [slot]})

    def rename(self, names: dict[str, str]) -> None:
        """References to old names of resources become references to the new ones."""
        self._write({"names": names})

    def settle(self) -> None:
        """Forget the operations that an earlier, killed run left under way."""
        self._write({"settled": True})

    def export(self, vault: Vault) -> dict[str, Any]:
        """The deployment as it stands."""
        return deployment_to_json((self._slots[slot] for slot in self._order()), vault, self.pending)

    def finish(self, vault: Vault) -> None:
        """Write the snapshot, and only then let go of the journal."""
        temporary = self.file.with_suffix(".json.new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(self.export(vault), file, indent=4)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.file)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._journal_file.unlink(missing_ok=True)


def _renamed(found: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    changed = dict(found)
    if found.get("parent") in names:
        changed["parent"] = names[found["parent"]]
    if "dependencies" in found:
        changed["dependencies"] = [names.get(urn, urn) for urn in found["dependencies"]]
    if "propertyDependencies" in found:
        changed["propertyDependencies"] = {
            key: [names.get(urn, urn) for urn in urns] for key, urns in found["propertyDependencies"].items()
        }
    return changed
