"""Functions of BFCL and API-Bank: each type name of theirs is one of JSON Schema's, and unknown ones are refused."""

from __future__ import annotations

import pytest

from coalm_lite.errors import SchemaError
from coalm_lite.tools.foreign_types import spec_from_foreign
from coalm_lite.types import JsonObject, JsonValue


def _property(schema: JsonObject) -> JsonValue:
    function: JsonObject = {"name": "f", "parameters": {"type": "dict", "properties": {"v": schema}, "required": ["v"]}}
    properties = spec_from_foreign(function).parameters["properties"]
    assert isinstance(properties, dict)
    return properties["v"]


@pytest.mark.parametrize(
    ("foreign", "standard"),
    [
        ({"type": "float"}, {"type": "number"}),
        ({"type": "any", "description": "x"}, {"description": "x"}),
        ({"type": ""}, {}),
        ({"type": "list(str)"}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "tuple", "items": {"type": "float"}}, {"type": "array", "items": {"type": "number"}}),
        (
            {"type": "dict", "properties": {"a": {"type": "long"}}},
            {"type": "object", "properties": {"a": {"type": "integer"}}},
        ),
        ({"type": "integer", "enum": ["1", "2"]}, {"type": "integer", "enum": [1, 2]}),
        ({"type": "boolean", "enum": ["True", "dontcare"]}, {"enum": [True, "dontcare"]}),
        (
            {"type": "array", "items": {"type": "string"}, "enum": ["a"]},
            {"type": "array", "items": {"type": "string", "enum": ["a"]}},
        ),
        ({"type": "string", "default": None}, {"type": ["string", "null"], "default": None}),
    ],
)
def test_a_foreign_type_is_read_as_json_schemas(foreign: JsonObject, standard: JsonObject) -> None:
    assert _property(foreign) == standard


def test_java_values_are_text() -> None:
    function: JsonObject = {"name": "f", "parameters": {"type": "dict", "properties": {"v": {"type": "HashMap"}}}}
    assert spec_from_foreign(function, "java").parameters["properties"] == {"v": {"type": "string"}}


def test_api_banks_parameters_are_all_optional() -> None:
    spec = spec_from_foreign({"name": "f", "input_parameters": {"token": {"type": "str", "description": "d"}}})
    assert spec.parameters["properties"] == {"token": {"type": "string", "description": "d"}}
    assert spec.parameters.get("required") == []


def test_an_unknown_type_is_refused_with_its_place() -> None:
    with pytest.raises(SchemaError, match="'Widget' is no type known here") as caught:
        _property({"type": "Widget"})
    assert caught.value.pointer == "/properties/v"
