"""Terraform's values on the wire, and the type that `tf` lacks.

`tf` reads an unknown value only in its oldest form. Since 1.3 Terraform sends most of them with refinements and
expects those back (go-cty: msgpack extensions 0 and 12). So an unknown value is kept as it came.

Terraform's numbers have 512 bits. A number comes as an integer or a float if 64 bits hold it exactly, otherwise as a
string of decimal digits (go-cty: msgpack, `marshalPrimitive`), for example 1.1 and 1e400. Here it is an `int`, a
`float` or a `Decimal`, which compare with each other, and it is sent back exactly as it came.
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
"""A value that is known only after apply."""

_DIGITS_OF_64_BITS: Final = 18
"""A whole number with at most this many digits fits into 64 bits."""


def read(value: DynamicValue, attributes: Mapping[str, Attribute]) -> Any:
    """The plain value of an object with these attributes, its unknown values as they came; None for null."""
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
    """The plain value of JSON, the form of recorded state, without loss of digits."""
    return json.loads(data, parse_int=_number, parse_float=_number)


def written(value: Any) -> DynamicValue:
    """The wire form of a plain value."""
    return DynamicValue(msgpack=msgpack.packb(value, default=_digits))


def nulls(value: Any, of: TfType | Mapping[str, Attribute]) -> Iterator[list[str | tuple[str | int]]]:
    """The paths of null elements in maps, lists and sets.

    Terraform itself refuses null only as the value of a required attribute.

    Yields:
        A path in the form of `tf`: names of attributes, and keys or indexes in a tuple. The elements of a set have no
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
    """Whether a value is unknown."""
    return isinstance(value, ExtType)


def has_unknown(value: Any) -> bool:
    """Whether any part of a value is unknown."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return is_unknown(value)


def known_of(planned: Any, actual: Any) -> Any:
    """The planned value, with the actual one wherever the plan is unknown.

    Terraform refuses a result that differs from the plan. Other changes since the plan show up in the next refresh.
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
        """All attributes of a value; missing ones are null."""
        return {name: value.get(name) for name in self.attributes}

    def decode(self, value: Any) -> Any:
        """The value, unchanged."""
        return value

    def tf_type(self) -> bytes:
        """The type in JSON (go-cty)."""
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
    # Without trailing zeros, so that a message shows 1E+400 instead of 400 digits.
    return Decimal(text).normalize(Context(prec=len(text)))


def _digits(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} is not a value of Terraform")
