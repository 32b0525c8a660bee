"""Reads Pulumi.yaml and Pulumi.STACK.yaml."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from keyfactor_standins.engine.errors import EngineError, Unsupported
from keyfactor_standins.engine.secrets import Vault
from keyfactor_standins.engine.wire import Secret, has_secret, mapped, plain

VERSION = "3.260.0"
"""The version of the CLI whose behaviour this engine follows; version ranges are checked against it."""

_KEYS = {"name", "runtime", "config", "requiredPulumiVersion"}
_IGNORED = {"description", "author", "website", "license", "template"}


@dataclass(frozen=True)
class Project:
    """A Pulumi project; its `__main__.py` lies in `root`, `schema` is its `config` block."""

    root: Path
    name: str
    virtualenv: Path | None
    schema: Mapping[str, Any]


def load_project(cwd: Path) -> Project:
    """Read the Pulumi.yaml of a folder."""
    file = cwd / "Pulumi.yaml"
    if not file.is_file():
        raise EngineError(f"no Pulumi.yaml project file found in {cwd}; run in the project's folder or pass --cwd")
    raw = _read(file, _KEYS | _IGNORED)
    runtime = raw.get("runtime")
    options = (runtime.get("options") or {}) if isinstance(runtime, dict) else {}
    kind = runtime.get("name") if isinstance(runtime, dict) else runtime
    if kind != "python":
        raise Unsupported(f"the runtime {kind!r}", str(file))
    for option, value in options.items():
        if option != "virtualenv" and (option, value) != ("toolchain", "pip"):
            raise Unsupported(f"the runtime option {option}: {value}", str(file))
    name = raw.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise EngineError(f"{file}: the project's name is {name!r}; give it letters, digits, '-', '_', '.'")
    require_version(raw.get("requiredPulumiVersion") or "")
    virtualenv = options.get("virtualenv")
    return Project(
        root=cwd,
        name=name,
        virtualenv=cwd / virtualenv if virtualenv else None,
        schema=raw.get("config") or {},
    )


def require_version(wanted: str) -> None:
    """Raise EngineError unless VERSION lies in a range such as `>=3.238.0 <4.0.0`."""
    try:
        met = SpecifierSet(",".join(wanted.split())).contains(VERSION)
    except InvalidSpecifier as error:
        raise Unsupported(
            f"the version range {wanted!r}, not like '>=3.238.0 <4.0.0',", "requiredPulumiVersion"
        ) from error
    if not met:
        raise EngineError(f"Pulumi CLI version {VERSION} does not satisfy the version range {wanted!r}")


def _read(file: Path, known: set[str]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise EngineError(f"{file} cannot be read: {error}; correct the file and run again") from error
    if not isinstance(content, dict):
        raise EngineError(f"{file} is not a mapping of keys to values; see Pulumi's project file reference")
    for key in content:
        if key not in known:
            raise Unsupported(f"the key {key!r}", str(file))
    return content


class StackConfig:
    """The config of one stack: the file's values, then the project's defaults."""

    def __init__(self, project: Project, stack: str) -> None:
        self._project = project
        self._stack = stack
        self.file = project.root / f"Pulumi.{stack}.yaml"
        self._raw = _read(self.file, {"config", "encryptionsalt"}) if self.file.exists() else {}

    @property
    def salt(self) -> str | None:
        """The stack's `encryptionsalt`, where the file has one."""
        return self._raw.get("encryptionsalt")

    def values(self, vault: Vault) -> dict[str, str | Secret]:
        """Every value by its full key (`namespace:key`); objects and lists as JSON, secrets marked."""
        values = {self._full(key): _opened(raw, vault) for key, raw in (self._raw.get("config") or {}).items()}
        for key, rule in sorted(self._project.schema.items()):
            if not isinstance(rule, dict) or rule.get("type") != "array" or "default" not in rule:
                raise Unsupported(f"a config key other than an array with a default, {key!r},", "Pulumi.yaml")
            if not isinstance(plain(values.setdefault(self._full(key), rule["default"])), list):
                raise EngineError(
                    f"Stack '{self._stack}' with configuration key '{key}' must be of type 'array'; correct it in "
                    f"{self.file.name}"
                )
        return {key: _as_config(value) for key, value in values.items()}

    def _full(self, key: str) -> str:
        return key if ":" in key else f"{self._project.name}:{key}"


def _opened(raw: Any, vault: Vault) -> Any:
    if isinstance(raw, dict):
        if set(raw) == {"secure"}:
            return Secret(vault.decrypt(raw["secure"]))
        return {str(key): _opened(item, vault) for key, item in raw.items()}
    return [_opened(item, vault) for item in raw] if isinstance(raw, list) else raw


def _as_config(value: Any) -> str | Secret:
    bare = plain(value)
    text = bare if isinstance(bare, str) else json.dumps(_whole(bare), separators=(",", ":"), sort_keys=True)
    return Secret(text) if has_secret(value) else text


def _whole(value: Any) -> Any:
    return mapped(value, lambda leaf: int(leaf) if isinstance(leaf, float) and leaf.is_integer() else leaf)
