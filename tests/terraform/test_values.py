"""Terraform's values on the wire and in the resources."""

import json
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from tf.gen.tfplugin_pb2 import DynamicValue
from tf.schema import Attribute
from tf.types import List, Map, Number, Set, String
from tf.utils import Diagnostics

from keyfactor_provider.errors import Problem
from keyfactor_provider.messages import Message
from keyfactor_provider.terraform.diagnostics import Telling, add_problems
from keyfactor_provider.terraform.values import Object, nulls, read, read_json, written
from tests.support.plugin import NOT_NULL, UNKNOWN

ATTRIBUTES = {
    "number": Attribute("number", Number()),
    "text": Attribute("text", String()),
    "numbers": Attribute("numbers", List(Number())),
    "map": Attribute("map", Map(Object({"number": Number(), "list": List(String())}))),
    "set": Attribute("set", Set(String())),
}


@pytest.mark.parametrize(
    "wire",
    [DynamicValue(msgpack=msgpack.packb({"numbers": [1, None]})), DynamicValue(json=b'{"numbers": [1, null]}')],
)
def test_a_value_is_read_from_msgpack_and_json(wire: DynamicValue) -> None:
    assert read(wire, ATTRIBUTES) == {"numbers": [1, None]}


def test_null_is_none_in_every_form() -> None:
    assert read(DynamicValue(), ATTRIBUTES) is None
    assert read(DynamicValue(msgpack=b"\xc0"), ATTRIBUTES) is None
    assert read(DynamicValue(json=b"null"), ATTRIBUTES) is None


_FORMS = {
    "an integer": (60, 60),
    "a negative one": (-1, -1),
    "the largest integer of 64 bits": (2**63 - 1, 2**63 - 1),
    "a float": (1.5, 1.5),
    "a decimal": ("1.1", Decimal("1.1")),
    "more digits than a float holds": ("12345678901234567890.123", Decimal("12345678901234567890.123")),
    "a large whole number": ("1" + "0" * 400, Decimal("1E+400")),
    "a long whole number": ("9" * 5000, Decimal("9" * 5000)),
    "a tiny one": ("-0." + "0" * 399 + "1", Decimal("-1E-400")),
    "infinity": (float("inf"), float("inf")),
}


@pytest.mark.parametrize("form", _FORMS)
def test_a_number_is_read_in_every_form_of_go_cty_and_sent_back_as_it_came(form: str) -> None:
    sent, number = _FORMS[form]
    value = {"number": sent, "text": "1.1", "numbers": [sent], "map": {"a": {"number": sent, "list": None}}}
    plain = read(DynamicValue(msgpack=msgpack.packb(value)), ATTRIBUTES)
    assert (plain["number"], plain["numbers"], plain["map"]["a"]["number"]) == (number, [number], number)
    assert plain["text"] == "1.1"
    assert msgpack.unpackb(written(plain).msgpack) == value


@pytest.mark.parametrize("text", ["1.1", "60", "1" + "0" * 400, "9" * 5000, "-0.25"])
def test_a_number_in_recorded_state_equals_the_one_in_a_configuration(text: str) -> None:
    recorded = read_json(f'{{"number": {text}}}'.encode())
    configured = read(DynamicValue(msgpack=msgpack.packb({"number": text})), ATTRIBUTES)
    assert recorded == configured
    assert written(recorded) == written(configured)


def test_an_unknown_value_stays_as_it_came() -> None:
    for unknown in (UNKNOWN, NOT_NULL):
        for value in ({"number": unknown}, {"map": unknown}, {"map": {"a": unknown}}, {"set": ["x", unknown]}):
            wire = DynamicValue(msgpack=msgpack.packb(value))
            assert read(wire, ATTRIBUTES) == value
            assert written(read(wire, ATTRIBUTES)) == wire
            assert list(nulls(value, ATTRIBUTES)) == []


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"map": None, "set": None, "text": None}, []),
        ({"map": {"a": {"number": None, "list": None}}}, []),
        ({"map": {"a": None, "b": None}}, [["map", ("a",)], ["map", ("b",)]]),
        ({"map": {"a": {"list": ["x", None]}}}, [["map", ("a",), "list", (1,)]]),
        ({"numbers": [None]}, [["numbers", (0,)]]),
        ({"set": ["x", None]}, [["set"]]),
        (None, []),
    ],
)
def test_a_null_element_is_found_with_its_path(value: Any, paths: list[Any]) -> None:
    assert list(nulls(value, ATTRIBUTES)) == paths


def test_a_value_that_terraform_does_not_have_is_not_written() -> None:
    with pytest.raises(TypeError, match="set"):
        written({"set": {1}})


def test_an_object_encodes_all_its_attributes_and_decodes_unchanged() -> None:
    kind = Object({"a": String(), "b": String()})
    assert kind.encode({"a": "x"}) == {"a": "x", "b": None}
    assert kind.decode({"a": "x"}) == {"a": "x"}
    assert json.loads(kind.tf_type()) == ["object", {"a": "string", "b": "string"}]


def test_a_message_is_a_summary_and_a_detail() -> None:
    diagnostics, tell = Diagnostics(), Telling()
    with tell.into(diagnostics):
        tell(Message("edge", "warning", "retry", "one failed", "It is retried."))
    (diagnostic,) = diagnostics.to_pb()
    assert (diagnostic.summary, diagnostic.detail) == ("One failed", "It is retried.")


def test_twenty_invalid_values_are_shown_and_the_rest_are_counted() -> None:
    diagnostics = Diagnostics()
    add_problems(diagnostics, [Problem(f"orchestrator_ids[{number}]", f"{number} is wrong") for number in range(25)])
    shown = [diagnostic.detail for diagnostic in diagnostics.to_pb()]
    assert len(shown) == 21
    assert shown[-1].startswith("5 more")
