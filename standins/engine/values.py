"""Property values: what a resource's inputs and outputs are made of, on the wire and in the state.

In the engine a value is None, a bool, an int or float, a str, a list, a dict with str keys, or a `Secret`
around any of these. A value that is not known yet, in preview, is the string `UNKNOWN` itself, as on the wire
(`sdk/go/common/resource/plugin/rpc.go`, `sdk/go/common/resource/properties.go`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNSUPPORTED = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource reference",
}

Properties = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and never shown."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


class UnsupportedValueError(ValueError):
    """A program or provider handed over a kind of value that this stand-in does not carry."""


def from_struct(struct: Struct) -> Properties:
    """The properties in a protobuf struct.

    Raises:
        UnsupportedValueError: it holds an asset, an archive or a resource reference.
    """
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _from_object({key: _from_value(item) for key, item in value.struct_value.fields.items()})
    return None


def _from_object(values: dict[str, Any]) -> Any:
    signature = values.get(SIGNATURE)
    if signature is None:
        return values
    if signature == SECRET:
        return Secret(values.get("value"))
    if signature == _OUTPUT:
        known = values.get("value", UNKNOWN)
        return Secret(known) if values.get("secret") else known
    raise UnsupportedValueError(
        f"{_UNSUPPORTED.get(str(signature), 'a value of an unknown kind')} among the properties:"
        " this stand-in carries plain values and secrets only"
    )


def to_struct(values: Mapping[str, Any], *, secrets: bool) -> Struct:
    """The protobuf struct of properties.

    Args:
        values: the properties.
        secrets: keep secrets marked; without, they go out as plain values.
    """
    struct = Struct()
    fields = struct.fields
    for key, value in values.items():
        _fill(fields[key], value, secrets)
    return struct


def _fill(target: Value, value: Any, secrets: bool) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif value is None:
        target.null_value = 0  # type: ignore[assignment]  # the stubs want the enum's class
    elif isinstance(value, dict):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(fields[key], item, secrets)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item, secrets)
    elif secrets:
        _fill(target, {SIGNATURE: SECRET, "value": value.value}, secrets)
    else:
        _fill(target, value.value, secrets)


def plain(value: Any) -> Any:
    """The value with every secret in it laid open; never for a display."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def contains(value: Any, wanted: Callable[[Any], bool]) -> bool:
    """Whether the value, or anything in it, is wanted."""
    if wanted(value):
        return True
    if isinstance(value, Secret):
        return contains(value.value, wanted)
    if isinstance(value, dict):
        return any(contains(item, wanted) for item in value.values())
    if isinstance(value, list):
        return any(contains(item, wanted) for item in value)
    return False


def is_secret(value: Any) -> bool:
    """Whether the value itself is a secret."""
    return isinstance(value, Secret)


def is_unknown(value: Any) -> bool:
    """Whether the value itself is not known yet."""
    return isinstance(value, str) and value == UNKNOWN


def keep_secrets(outputs: Properties, inputs: Mapping[str, Any]) -> None:
    """Mark as secret, in place, what an answer repeats of secret inputs.

    The Python provider host takes no marked secrets, so the engine marks its answers again by property name
    (annotateSecrets in `sdk/go/common/resource/plugin/provider_plugin.go`).
    """
    for key, given in inputs.items():
        answer = outputs.get(key)
        if key not in outputs:
            continue
        if isinstance(answer, dict) and isinstance(given, dict):
            keep_secrets(answer, given)
        elif not isinstance(answer, Secret) and contains(given, is_secret):
            outputs[key] = Secret(answer)


def to_json(value: Any, encrypt: Callable[[Any], dict[str, str]]) -> Any:
    """The value as it stands in the state; `encrypt` gives the fields that hide a secret's value."""
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, **encrypt(value.value)}
    if isinstance(value, dict):
        return {key: to_json(item, encrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item, encrypt) for item in value]
    return value


def from_json(value: Any, decrypt: Callable[[dict[str, str]], Any]) -> Any:
    """The value that stands in the state; the other way round of `to_json`."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return Secret(decrypt(value))
        return {key: from_json(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item, decrypt) for item in value]
    return value
