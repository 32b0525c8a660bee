"""Pulumi's values on the wire: plain values, unknown values, and secrets.

The signatures come from the engine (pulumi: sdk/go/common/resource, sig and the unknown values of plugin/rpc.go).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import struct_pb2

from keyfactor_provider.reenrollment.desired import UNKNOWN

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # the mark of a secret, not a secret
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


@dataclass(frozen=True)
class Bag:
    """The properties of a resource, a function or the provider.

    Attributes:
        values: plain values, with UNKNOWN for those known only during a run.
        secret: the names of the properties that are or contain a secret.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()


def read(struct: struct_pb2.Struct) -> Bag:
    """The properties in a message."""
    secret: set[str] = set()
    values: dict[str, Any] = {}
    for name, value in struct.fields.items():
        secrets: list[bool] = []
        values[name] = _read(value, secrets)
        if secrets:
            secret.add(name)
    return Bag(values, frozenset(secret))


def written(values: Mapping[str, Any], secret: Collection[str] = ()) -> struct_pb2.Struct:
    """A message with the properties, without those that are None.

    Args:
        secret: the names of the secret properties.
    """
    struct = struct_pb2.Struct()
    for name, value in values.items():
        if value is not None:
            _write(struct.fields[name], {_SIGNATURE: _SECRET, "value": value} if name in secret else value)
    return struct


def has_unknown(value: Any) -> bool:
    """Whether a value contains UNKNOWN at any depth."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def _read(value: struct_pb2.Value, secrets: list[bool]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE not in fields:
            return {name: _read(item, secrets) for name, item in fields.items()}
        signature = fields[_SIGNATURE].string_value
        if signature == _SECRET:
            secrets.append(True)
            return _read(fields["value"], secrets)
        if signature == _OUTPUT:
            if "secret" in fields and fields["secret"].bool_value:
                secrets.append(True)
            return _read(fields["value"], secrets) if "value" in fields else UNKNOWN
        # A resource, an asset or an archive, which no argument takes.
        return {name: _read(item, secrets) for name, item in fields.items()}
    if kind == "list_value":
        return [_read(item, secrets) for item in value.list_value.values]
    if kind == "number_value":
        return value.number_value
    return value.bool_value if kind == "bool_value" else None


def _write(target: struct_pb2.Value, value: Any) -> None:
    if value is UNKNOWN:
        target.string_value = _UNKNOWN
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for name, item in value.items():
            _write(target.struct_value.fields[name], item)
    elif isinstance(value, Iterable):
        target.list_value.SetInParent()
        for item in value:
            _write(target.list_value.values.add(), item)
    else:
        target.null_value = struct_pb2.NULL_VALUE
