"""Terraform's values on the wire, and the types that `tf` lacks.

`tf` reads an unknown value only in its oldest form; since 1.3 Terraform sends most of them with what it knows
of them already (go-cty: msgpack extension 12), so the reading is here.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgpack
from msgpack.ext import ExtType
from tf.gen.tfplugin_pb2 import DynamicValue
from tf.types import TfType, Unknown

_UNKNOWN = ExtType(0, b"\x00")


def read(value: DynamicValue) -> Any:
    """The plain value; `Unknown` stands for what is not known yet."""
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, ext_hook=lambda _code, _data: Unknown)
    return json.loads(value.json) if value.json else None


def written(value: Any) -> DynamicValue:
    """The wire form of a plain value."""
    return DynamicValue(msgpack=msgpack.packb(value, default=_as_unknown))


def has_unknown(value: Any) -> bool:
    """Whether anything in it is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is Unknown


def known_of(planned: Any, actual: Any) -> Any:
    """What a plan promised, and the actual value wherever it left that open.

    Terraform refuses a result that differs from the plan. What the plan left alone may have moved on by itself
    meanwhile; the next reading shows that.
    """
    if planned is Unknown:
        return actual
    if isinstance(planned, Mapping) and isinstance(actual, Mapping):
        return {key: known_of(item, actual.get(key)) for key, item in planned.items()}
    return planned


class Object(TfType):
    """Objects with attributes of fixed types; maps to `dict`."""

    def __init__(self, attributes: Mapping[str, TfType]) -> None:
        self.attributes = dict(attributes)

    def encode(self, value: Any) -> Any:
        """Every attribute is there; one that the value lacks is null."""
        if value is None or value is Unknown:
            return value
        return {name: of.encode(value.get(name)) for name, of in self.attributes.items()}

    def decode(self, value: Any) -> Any:
        """As it is."""
        return value

    def tf_type(self) -> bytes:
        """Its type in JSON (go-cty)."""
        types = {name: json.loads(of.tf_type()) for name, of in self.attributes.items()}
        return json.dumps(["object", types]).encode()


def _as_unknown(value: Any) -> Any:
    if value is Unknown:
        return _UNKNOWN
    raise TypeError(f"{type(value).__name__} is no value of Terraform's")
