"""The SDK's generated gRPC modules, and property values on the wire and in the state.

A value is None, a bool, int, float or str, a list, a dict, or a `Secret` around any of these. A value that a preview
does not know yet is the string `UNKNOWN`, as on the wire.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from keyfactor_standins.engine.errors import Unsupported

# Importing pulumi takes up to 0.6 s. The generated modules import only one another, so they are loaded from the SDK's
# folder under another package name.
_spec = importlib.util.find_spec("pulumi")
if _spec is None or _spec.origin is None:
    raise ImportError(f"the engine stand-in needs the Pulumi SDK: install pulumi for {sys.executable}")
_package = sys.modules["_pulumi_protocol"] = ModuleType("_pulumi_protocol")
_package.__path__ = [str(Path(_spec.origin).parent / "runtime" / "proto")]


def _generated(name: str) -> Any:
    return importlib.import_module(f"_pulumi_protocol.{name}")


callback_pb2, callback_pb2_grpc = _generated("callback_pb2"), _generated("callback_pb2_grpc")
engine_pb2, engine_pb2_grpc = _generated("engine_pb2"), _generated("engine_pb2_grpc")
provider_pb2, provider_pb2_grpc = _generated("provider_pb2"), _generated("provider_pb2_grpc")
resource_pb2, resource_pb2_grpc = _generated("resource_pb2"), _generated("resource_pb2_grpc")

CHANNEL_OPTIONS = [(f"grpc.max_{way}_message_length", 400 << 20) for way in ("receive", "send")]
"""The SDK's limit."""

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
_REFUSED = {
    "c44067f5952c0a294b673a41bacd8c17": "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource as a value",
    "d0e6a833031e9bbcd3f4e8bde6ca49a4": "an output value",
}

Properties = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and never displayed."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


def from_struct(struct: Struct) -> Properties:
    """The properties in a protobuf struct; raises `Unsupported` for assets and the like."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        properties = from_struct(value.struct_value)
        signature = properties.get(SIGNATURE)
        if signature is None:
            return properties
        if signature == SECRET:
            return Secret(properties.get("value"))
        raise Unsupported(_REFUSED.get(signature, "a value of an unknown kind"), "a property")
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None


def to_struct(values: Mapping[str, Any], *, secrets: bool = False) -> Struct:
    """The protobuf struct of properties, with secrets marked (`secrets`) or in plain text."""

    def convert(leaf: Any) -> Any:
        if not isinstance(leaf, Secret):
            return leaf
        value = mapped(leaf.value, convert)
        return {SIGNATURE: SECRET, "value": value} if secrets else value

    struct = Struct()
    struct.update({key: mapped(value, convert) for key, value in values.items()})
    return struct


def mapped(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The value with `leaf` applied to everything in it that is neither a list nor a dict."""
    if isinstance(value, dict):
        return {key: mapped(item, leaf) for key, item in value.items()}
    return [mapped(item, leaf) for item in value] if isinstance(value, list) else leaf(value)


def known(value: Any) -> Any:
    """The value without its unknown parts, which the CLI's protocol leaves out except in previews."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items() if item != UNKNOWN}
    return [known(item) for item in value if item != UNKNOWN] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """The value with every secret in plain text; never for display."""
    return mapped(value, lambda leaf: plain(leaf.value) if isinstance(leaf, Secret) else leaf)


def has_secret(value: Any) -> bool:
    """Whether the value or anything in it is secret."""
    if isinstance(value, (dict, list)):
        return any(has_secret(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, Secret)


def keep_secrets(response: Properties, request: Mapping[str, Any]) -> Properties:
    """The host's response with every property marked secret that was secret, under the same name, in the request.

    The dynamic provider host takes no marked secrets, so the engine marks them again, as the CLI does.
    """
    for key in response.keys() & request.keys():
        if isinstance(response[key], dict) and isinstance(request[key], dict):
            keep_secrets(response[key], request[key])
        elif not isinstance(response[key], Secret) and has_secret(request[key]):
            response[key] = Secret(response[key])
    return response
