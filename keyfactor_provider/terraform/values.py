"""Terraform's values on the wire, and the type that `tf` lacks.

`tf` reads an unknown value only in its oldest form; since 1.3 Terraform sends most of them with what it knows
of them already, and wants that back (go-cty: msgpack extensions 0 and 12). So an unknown value stays here as it came.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgpack
from msgpack.ext import ExtType
from tf.gen.tfplugin_pb2 import DynamicValue
from tf.types import TfType

UNKNOWN: Final = ExtType(0, b"\x00")
"""A value that only an apply will give."""


def read(value: DynamicValue) -> Any:
    """The plain value, in which the unknown stays as it came."""
    if value.msgpack:
        return msgpack.unpackb(value.msgpack)
    return json.loads(value.json) if value.json else None


def written(value: Any) -> DynamicValue:
    """The wire form of a plain value."""
    return DynamicValue(msgpack=msgpack.packb(value))


def is_unknown(value: Any) -> bool:
    """Whether it is not known yet."""
    return isinstance(value, ExtType)


def has_unknown(value: Any) -> bool:
    """Whether anything in it is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return is_unknown(value)


def known_of(planned: Any, actual: Any) -> Any:
    """What a plan promised, and the actual value wherever it left that open.

    Terraform refuses a result that differs from the plan. What the plan left alone may have moved on by itself
    meanwhile; the next reading shows that.
    """
    if is_unknown(planned):
        return actual
    if isinstance(planned, Mapping) and isinstance(actual, Mapping):
        return {key: known_of(item, actual.get(key)) for key, item in planned.items()}
    return planned


class Object(TfType):
    """Objects with attributes of fixed types; maps to `dict`."""

    def __init__(self, attributes: Mapping[str, TfType]) -> None:
        self._attributes = dict(attributes)

    def encode(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Every attribute is there; one that the value lacks is null."""
        return {name: value.get(name) for name in self._attributes}

    def decode(self, value: Any) -> Any:
        """As it is."""
        return value

    def tf_type(self) -> bytes:
        """Its type in JSON (go-cty)."""
        types = {name: json.loads(of.tf_type()) for name, of in self._attributes.items()}
        return json.dumps(["object", types]).encode()
