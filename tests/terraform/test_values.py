"""Values between the wire and the resources."""

import json

import pytest
from tf.gen.tfplugin_pb2 import DynamicValue
from tf.types import String
from tf.utils import Diagnostics

from keyfactor_provider.errors import Problem
from keyfactor_provider.terraform.diagnostics import Telling, add_problems
from keyfactor_provider.terraform.values import Object, read, written


@pytest.mark.parametrize(
    ("value", "is_read"),
    [
        (written({"a": [1]}), {"a": [1]}),
        (DynamicValue(json=b'{"a": [1]}'), {"a": [1]}),
        (DynamicValue(), None),
    ],
)
def test_a_value_is_read_from_either_form_of_the_wire(value: DynamicValue, is_read: object) -> None:
    assert read(value) == is_read


def test_an_object_has_all_its_attributes_and_takes_what_comes() -> None:
    made = Object({"a": String(), "b": String()})
    assert made.encode({"a": "x"}) == {"a": "x", "b": None}
    assert made.decode({"a": "x"}) == {"a": "x"}
    assert json.loads(made.tf_type()) == ["object", {"a": "string", "b": "string"}]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("What: why it is so", ("What", "Why it is so")),
        ("What it is. Why it is so.", ("What it is", "Why it is so.")),
        ("What it is", ("What it is", "")),
        ("What " * 50, ("What to know of these orchestrators", "What " * 50)),
    ],
)
def test_a_message_gets_a_heading(message: str, shown: tuple[str, str]) -> None:
    diagnostics, tell = Diagnostics(), Telling()
    with tell.into(diagnostics):
        tell("warning", message)
    (said,) = diagnostics.to_pb()
    assert (said.summary, said.detail) == shown


def test_of_many_wrong_values_twenty_are_shown_and_the_rest_counted() -> None:
    diagnostics = Diagnostics()
    add_problems(diagnostics, [Problem(f"orchestrator_ids[{number}]", f"{number} is wrong") for number in range(25)])
    shown = [each.detail for each in diagnostics.to_pb()]
    assert len(shown) == 21
    assert shown[-1] == "So are 5 more."
