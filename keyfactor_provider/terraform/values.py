"""Terraform's values on the wire, and the type that `tf` lacks.

`tf` reads an unknown value only in its oldest form; since 1.3 Terraform sends most of them with what it knows
of them already, and wants that back (go-cty: msgpack extensions 0 and 12). So an unknown value stays here as it came.

A number of Terraform's has 512 bits. It comes as an integer or a float where one of 64 bits holds it exactly, and as
decimal digits in a string otherwise (go-cty: msgpack, `marshalPrimitive`): 1.1 and 1e400 are strings. Here it is an
`int`, a `float` or a `Decimal`, which compare with each other, and it goes back exactly as it came.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, Final

import msgpack
from msgpack.ext import ExtType
from tf.gen.tfplugin_pb2 import DynamicValue
from tf.schema import Attribute
from tf.types import List, Map, Number, Set, TfType

UNKNOWN: Final = ExtType(0, b"\x00")
"""A value that only an apply will give."""

_DIGITS_OF_64_BITS: Final = 18
"""A whole number with no more digits than these surely fits."""


def read(value: DynamicValue, attributes: Mapping[str, Attribute]) -> Any:
    """The plain value of an object with these attributes, in which the unknown stays as it came; None for null."""
    if value.msgpack:
        plain = msgpack.unpackb(value.msgpack)
    elif value.json:
        plain = read_json(value.json)
    else:
        return None
    if not isinstance(plain, Mapping):
        return plain
    return {name: _decoded(attributes[name].type, item) if name in attributes else item for name, item in plain.items()}


def read_json(data: bytes) -> Any:
    """The plain value of a JSON text, as recorded state is sent; no number in it loses a digit."""
    return json.loads(data, parse_int=_number, parse_float=_number)


def written(value: Any) -> DynamicValue:
    """The wire form of a plain value."""
    return DynamicValue(msgpack=msgpack.packb(value, default=_digits))


def nulls(value: Any, of: TfType | Mapping[str, Attribute]) -> Iterator[list[str | tuple[str | int]]]:
    """Where null stands in place of an element of a map, a list or a set.

    Terraform itself refuses null only for a whole attribute that is required.

    Yields:
        The path as `tf` writes it: an attribute's name, and a key or a place in a tuple. The elements of a set have no
        path, so it ends at the set (Terraform).
    """
    if value is None or is_unknown(value):
        return
    steps: list[tuple[list[str | tuple[str | int]], Any, TfType]] = []
    if isinstance(of, Mapping):
        steps = [([name], value.get(name), attribute.type) for name, attribute in of.items()]
    elif isinstance(of, Object):
        steps = [([name], value.get(name), kind) for name, kind in of.attributes.items()]
    elif isinstance(of, Map):
        steps = [([(key,)], item, of.element_type) for key, item in value.items()]
    elif isinstance(of, List):
        steps = [([] if isinstance(of, Set) else [(place,)], item, of.element_type) for place, item in enumerate(value)]
    for step, item, kind in steps:
        if item is None and isinstance(of, (Map, List)):
            yield step
        for path in nulls(item, kind):
            yield step + path


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
        self.attributes = dict(attributes)

    def encode(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Every attribute is there; one that the value lacks is null."""
        return {name: value.get(name) for name in self.attributes}

    def decode(self, value: Any) -> Any:
        """As it is."""
        return value

    def tf_type(self) -> bytes:
        """Its type in JSON (go-cty)."""
        types = {name: json.loads(of.tf_type()) for name, of in self.attributes.items()}
        return json.dumps(["object", types]).encode()


def _decoded(kind: TfType, value: Any) -> Any:
    if isinstance(kind, Number):
        return _number(value) if isinstance(value, str) else value
    if isinstance(kind, Object) and isinstance(value, Mapping):
        return {name: _decoded(of, value.get(name)) for name, of in kind.attributes.items()}
    if isinstance(kind, Map) and isinstance(value, Mapping):
        return {key: _decoded(kind.element_type, item) for key, item in value.items()}
    if isinstance(kind, List) and isinstance(value, list):
        return [_decoded(kind.element_type, item) for item in value]
    return value


def _number(text: str) -> int | Decimal:
    if text.lstrip("-").isdigit() and len(text) <= _DIGITS_OF_64_BITS:
        return int(text)
    # Without its trailing zeros, so that a message shows 1E+400 and not four hundred digits.
    return Decimal(text).normalize(Context(prec=len(text)))


def _digits(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} is no value of Terraform's")
