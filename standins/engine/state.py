"""A resource's state and the deployment that holds them all, as `pulumi stack export` writes them.

Fields and their order: ResourceV3 and DeploymentV3 in `sdk/go/common/apitype/core.go`.
"""

import datetime
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from standins.engine.secrets import Vault
from standins.engine.values import Properties, from_json, to_json

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_TYPE = "pulumi:providers:pulumi-python"
VERSION = "v3.260.0"
"""The version of the CLI whose behaviour this engine follows; RequirePulumiVersion is checked against it."""


@dataclass
class Resource:
    """What is known of one resource; the field names are those of the state file, in Python's spelling."""

    urn: str
    custom: bool
    type: str
    delete: bool = False
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    dependencies: list[str] = field(default_factory=list)
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    retain_on_delete: bool = False
    created: str = ""
    modified: str = ""
    ignore_changes: list[str] = field(default_factory=list)
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that the program gave it."""
        return self.urn.split("::", 3)[3]

    def needs(self) -> set[str]:
        """The URNs of all that it depends on: parent, provider, dependencies of all kinds."""
        urns = {self.parent, *self.dependencies}
        if self.provider:
            urns.add(self.provider.rpartition("::")[0])
        for some in self.property_dependencies.values():
            urns.update(some)
        urns.discard("")
        return urns

    def renamed(self, names: Mapping[str, str]) -> "Resource":
        """The same with every reference to an old name of a resource replaced by its new one."""
        if not names or not any(urn in names for urn in self.needs()):
            return self
        reference, _, identity = self.provider.rpartition("::")
        return replace(
            self,
            parent=names.get(self.parent, self.parent),
            provider=f"{names[reference]}::{identity}" if reference in names else self.provider,
            dependencies=[names.get(urn, urn) for urn in self.dependencies],
            property_dependencies={
                key: [names.get(urn, urn) for urn in urns] for key, urns in self.property_dependencies.items()
            },
        )


_NAMES = {
    each.name: "".join(part.title() if i else part for i, part in enumerate(each.name.split("_")))
    for each in fields(Resource)
}
_ALWAYS = {"urn", "custom", "type"}
_SUPPORTED = set(_NAMES.values()) | {"sourcePosition", "stackTrace", "customTimeouts", "refreshBeforeUpdate"}


def resource_to_json(resource: Resource, encrypt: Callable[[Any], dict[str, str]]) -> dict[str, Any]:
    """The resource as it stands in a deployment; what is empty is left out."""
    found: dict[str, Any] = {}
    for attribute, name in _NAMES.items():
        value = getattr(resource, attribute)
        if value or attribute in _ALWAYS:
            found[name] = to_json(value, encrypt) if attribute in ("inputs", "outputs") else value
    return found


def resource_from_json(found: Mapping[str, Any], decrypt: Callable[[Mapping[str, str]], Any]) -> Resource:
    """The resource that stands in a deployment.

    Raises:
        ValueError: it carries something that this stand-in would lose; named.
    """
    lost = [
        name for name, value in found.items() if name not in _SUPPORTED and value not in (None, False, [], {})
    ]
    if lost:
        raise ValueError(f"{found.get('urn', 'a resource')} has {', '.join(sorted(lost))}")
    values = {attribute: found[name] for attribute, name in _NAMES.items() if name in found}
    for bag in ("inputs", "outputs"):
        if bag in values:
            values[bag] = from_json(values[bag], decrypt)
    return Resource(**values)


def deployment_to_json(
    resources: Iterable[dict[str, Any]], vault: Vault, pending: list[Any]
) -> dict[str, Any]:
    """A whole deployment, in the form that `pulumi stack import` takes.

    Args:
        resources: as `resource_to_json` gave them.
        vault: its salt is recorded, or an import could not read the secrets.
        pending: operations that were under way when an earlier run was killed.
    """
    time = now()
    deployment: dict[str, Any] = {
        "manifest": {"time": time, "magic": hashlib.sha256(VERSION.encode()).hexdigest(), "version": VERSION},
        "secrets_providers": {"type": "passphrase", "state": {"salt": vault.salt}},
        "resources": list(resources),
        "metadata": {},
    }
    if pending:
        deployment["pending_operations"] = pending
    return {"version": 3, "deployment": deployment}


def now() -> str:
    """The time as the state writes it: UTC, RFC 3339."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
