"""The package's schema: complete, described, and generated from the code."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import msgspec
import pytest
from pulumi.runtime.proto import provider_pb2

from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.command.wire import Agent
from keyfactor_provider.operations.lookup import Filter
from keyfactor_provider.plugin.names import camel
from keyfactor_provider.plugin.schema import COMPLETION, FLEET, MANY, ONE, document, meanings_of
from keyfactor_provider.reenrollment.desired import GIVEN
from keyfactor_provider.reenrollment.record import Member, Phase
from keyfactor_provider.status import ReenrollmentStatus
from keyfactor_provider.version import RELEASE
from keyfactor_standins.command.process import Command
from tests.support.pluginhost import Plugin, Resource


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return document()


def described(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a schema that needs a description, by its place."""
    for name, value in schema.items() if isinstance(schema, dict) else ():
        if name in ("properties", "inputProperties", "variables", "resources", "functions", "types"):
            for key, described_value in value.items():
                yield f"{path}/{name}/{key}", described_value
        yield from described(value, f"{path}/{name}")


def test_everything_is_described(schema: dict[str, Any]) -> None:
    places = dict(described(schema))
    assert len(places) > 100
    assert [place for place, of in places.items() if len(of.get("description", "")) < 5] == []
    assert [place for place, of in places.items() if "\n" in of["description"]] == []


def test_every_description_is_a_sentence_for_programs_of_any_language(schema: dict[str, Any]) -> None:
    python_only = ("UNSEEN", "PLATFORMS", "STATUSES", "or None", "timedelta", "_ids")
    texts = {place: of["description"] for place, of in described(schema)}
    assert {place: text for place, text in texts.items() if any(word in text for word in python_only)} == {}


@pytest.mark.parametrize(("kind", "names"), [(Filter, fields(Filter)), (Agent, msgspec.structs.fields(Agent))])
def test_every_attribute_has_a_description(kind: Any, names: Any) -> None:
    assert {one.name for one in names} <= meanings_of(kind).keys()


def test_the_arguments_are_those_of_every_front_end(schema: dict[str, Any]) -> None:
    fleet = schema["resources"][FLEET]
    assert sorted(fleet["inputProperties"]) == sorted(camel(name) for name in GIVEN)
    assert fleet["inputProperties"].items() <= fleet["properties"].items()


def test_a_member_has_the_fields_of_the_record(schema: dict[str, Any]) -> None:
    member = schema["types"]["keyfactor:index:Member"]["properties"]
    assert sorted(member) == sorted(camel(field.encode_name) for field in msgspec.structs.fields(Member))


@pytest.mark.parametrize(("name", "kind"), [("ReenrollmentStatus", ReenrollmentStatus), ("Phase", Phase)])
def test_statuses_and_phases_are_enumerations(schema: dict[str, Any], name: str, kind: Any) -> None:
    values = schema["types"][f"keyfactor:index:{name}"]["enum"]
    assert [one["value"] for one in values] == [one.value for one in kind]


def test_settings_are_those_of_the_table_and_secrets_are_marked(schema: dict[str, Any]) -> None:
    expected = {setting.key: setting.secret for setting in SETTINGS.values() if setting.attribute}
    for found in (schema["config"]["variables"], schema["provider"]["inputProperties"]):
        assert {key: of.get("secret", False) for key, of in found.items()} == expected
    assert sum(expected.values()) == 3


def test_dynamic_resources_are_aliases_and_go_has_an_import_path(schema: dict[str, Any]) -> None:
    for token in (FLEET, COMPLETION):
        name = token.rpartition(":")[2]
        assert schema["resources"][token]["aliases"] == [{"type": f"pulumi-python:dynamic/keyfactor:{name}"}]
    assert schema["language"]["go"]["importBasePath"].startswith("github.com/")
    assert sorted(schema["functions"]) == [ONE, MANY]


def test_the_plugin_returns_the_schema_before_it_is_configured(reader: Plugin, schema: dict[str, Any]) -> None:
    answer = reader.ask("GetSchema", provider_pb2.GetSchemaRequest())
    assert json.loads(answer.schema) == json.loads(json.dumps(schema))
    assert schema["version"] == RELEASE


def test_every_output_of_a_fleet_is_in_the_schema(reader: Plugin, shared: Command, schema: dict[str, Any]) -> None:
    fleet = Resource()
    fleet.take(reader, ",".join(shared.ids()))
    assert fleet.outputs is not None
    of = schema["resources"][FLEET]
    assert fleet.outputs.keys() <= of["properties"].keys()
    assert set(of["required"]) <= fleet.outputs.keys()
    for member in fleet.outputs["members"].values():
        assert member.keys() <= schema["types"]["keyfactor:index:Member"]["properties"].keys()
