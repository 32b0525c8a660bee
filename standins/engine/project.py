"""Pulumi.yaml and Pulumi.STACK.yaml as they are: the project, its config schema, the stack's values.

Rules and messages follow `pkg/workspace/config.go` and `sdk/go/common/workspace/project.go`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from standins.engine.errors import EngineError, UnsupportedError
from standins.engine.secrets import Vault
from standins.engine.values import Properties, Secret

_IGNORED = {"name", "runtime", "description", "main", "config", "backend", "requiredPulumiVersion"}
_HARMLESS = {"author", "website", "license", "template"}
_STACK_KEYS = {"config", "encryptionsalt"}


@dataclass(frozen=True)
class Project:
    """A Pulumi project.

    Attributes:
        root: the folder of Pulumi.yaml.
        program: what to run: a folder with a `__main__.py`, or a file.
        virtualenv: the folder that `runtime.options.virtualenv` names, where it names one.
        backend: `backend.url`, where it is set.
        version_range: `requiredPulumiVersion`, where it is set.
        schema: the `config` block.
    """

    root: Path
    name: str
    program: Path
    virtualenv: Path | None
    backend: str | None
    version_range: str | None
    schema: Mapping[str, Any]


def load_project(cwd: Path) -> Project:
    """Read Pulumi.yaml in a folder, or in the nearest one above it.

    Raises:
        EngineError: there is none, or it is malformed.
        UnsupportedError: it asks for something that only the real CLI does.
    """
    for folder in (cwd, *cwd.parents):
        file = folder / "Pulumi.yaml"
        if file.is_file():
            break
    else:
        raise EngineError(
            f"no Pulumi.yaml project file found in {cwd} or a folder above it; run in a project"
        )
    raw = _read(file)
    for key in raw:
        if key not in _IGNORED | _HARMLESS:
            raise UnsupportedError(f"the key {key!r}", str(file))
    name = raw.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise EngineError(
            f"{file}: the project's name is {name!r}; give it letters, digits, '-', '_' and '.'"
        )
    runtime = raw.get("runtime")
    kind, options = (
        (runtime.get("name"), runtime.get("options") or {}) if isinstance(runtime, dict) else (runtime, {})
    )
    if kind != "python":
        raise UnsupportedError(f"the runtime {kind!r}", str(file))
    for option, value in options.items():
        if option != "virtualenv" and (option, value) != ("toolchain", "pip"):
            raise UnsupportedError(f"the runtime option {option}: {value}", str(file))
    virtualenv = options.get("virtualenv")
    return Project(
        root=folder,
        name=name,
        program=folder / raw.get("main", "."),
        virtualenv=folder / virtualenv if virtualenv else None,
        backend=(raw.get("backend") or {}).get("url"),
        version_range=raw.get("requiredPulumiVersion"),
        schema=raw.get("config") or {},
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise EngineError(f"{file} cannot be read: {error}; mend the file and run again") from error
    if not isinstance(found, dict):
        raise EngineError(f"{file} is not a mapping of keys to values; see Pulumi's project file reference")
    return found


class StackConfig:
    """The config of one stack: the file's values, then the project's defaults.

    Args:
        project: the project.
        stack: the stack's name.

    Raises:
        EngineError: the file is malformed.
    """

    def __init__(self, project: Project, stack: str) -> None:
        self._project = project
        self._stack = stack
        self.file = project.root / f"Pulumi.{stack}.yaml"
        self._raw = _read(self.file) if self.file.exists() else {}
        for key in self._raw:
            if key not in _STACK_KEYS:
                raise UnsupportedError(f"the key {key!r}", str(self.file))

    @property
    def salt(self) -> str | None:
        """The stack's `encryptionsalt`, where the file has one."""
        return self._raw.get("encryptionsalt")

    def values(self, vault: Vault) -> dict[str, str | Secret]:
        """Every value by its full key (`namespace:key`); objects and lists as JSON, secrets marked.

        Raises:
            EngineError: a required value is missing, one has the wrong type or is not encrypted.
        """
        found: dict[str, str | Secret] = {}
        typed: dict[str, Any] = {}
        for key, raw in (self._raw.get("config") or {}).items():
            full = self._full(key)
            typed[full] = self._opened(raw, vault)
            found[full] = _as_config(typed[full])
        missing = []
        for key, rule in sorted(self._project.schema.items()):
            full = self._full(key)
            given = rule if isinstance(rule, dict) else {"default": rule}
            default = given.get("default", given.get("value"))
            if full not in found and default is None:
                if full.startswith(f"{self._project.name}:"):
                    missing.append(key)
                continue
            if full not in found:
                found[full] = _as_config(default)
                continue
            self._check(key, given, typed[full])
        if missing:
            raise EngineError(
                f"Stack '{self._stack}' is missing configuration value{'s' if len(missing) > 1 else ''}"
                f" {' and '.join(repr(key) for key in missing)}; set it in {self.file.name} under config:"
            )
        return found

    def _full(self, key: str) -> str:
        return key if ":" in key else f"{self._project.name}:{key}"

    def _opened(self, raw: Any, vault: Vault) -> Any:
        if isinstance(raw, dict):
            if set(raw) == {"secure"}:
                return Secret(vault.decrypt(raw["secure"]))
            return {str(key): self._opened(item, vault) for key, item in raw.items()}
        return [self._opened(item, vault) for item in raw] if isinstance(raw, list) else raw

    def _check(self, key: str, rule: Mapping[str, Any], value: Any) -> None:
        where = f"Stack '{self._stack}' with configuration key '{key}' must be"
        if rule.get("secret") and not _holds_secret(value):
            raise EngineError(f"{where} encrypted as it's secret; set it again as a secret")
        kind = rule.get("type")
        if kind is not None and not _fits(_bare(value), kind, rule.get("items")):
            wanted = f"array<{(rule.get('items') or {}).get('type', 'any')}>" if kind == "array" else kind
            raise EngineError(f"{where} of type '{wanted}'; correct it in {self.file.name}")


def _as_config(value: Any) -> str | Secret:
    text = value if isinstance(value, str) else _text(_bare(value))
    return Secret(text) if _holds_secret(value) else text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_secret(item) for item in value)
    return isinstance(value, Secret)


def _bare(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.value
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items()}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _fits(value: Any, kind: str, items: Mapping[str, Any] | None) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "integer":
        return not isinstance(value, bool) and re.fullmatch(r"[+-]?\d+", str(value)) is not None
    if kind == "boolean":
        return isinstance(value, bool) or value in ("true", "false")
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        inner = items or {}
        return isinstance(value, list) and (
            "type" not in inner or all(_fits(item, inner["type"], inner.get("items")) for item in value)
        )
    return False


def environment_config(values: Mapping[str, str | Secret]) -> tuple[str, str]:
    """What goes to the program as PULUMI_CONFIG and PULUMI_CONFIG_SECRET_KEYS, both JSON."""
    bare = {key: value.value if isinstance(value, Secret) else value for key, value in values.items()}
    return json.dumps(bare), json.dumps([key for key, value in values.items() if isinstance(value, Secret)])


def provider_config(values: Mapping[str, str | Secret]) -> Properties:
    """What goes to dynamic providers and is recorded as the default provider's inputs: the whole config.

    GetPackageConfig in `pkg/resource/deploy/target.go`.
    """
    return dict(values)
