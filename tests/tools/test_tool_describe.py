"""What a model is told of parameters: types, defaults, descriptions, references, null."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from coalm_lite.tools import Toolbox, tool_from_function
from coalm_lite.types import JsonObject, JsonValue, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable


class Room(enum.Enum):
    SINGLE = "single"
    DOUBLE = "double"


class Guest(BaseModel):
    """A person who stays."""

    title: str
    age: int | None = None
    room: Room = Room.SINGLE


class Folder(BaseModel):
    name: str
    children: list[Folder] = []
    owner: Guest | None = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


@dataclass
class Point:
    x: int
    y: int = 0


class Span(TypedDict):
    start: int
    end: NotRequired[int]


def plan(  # noqa: PLR0917 - one parameter of each kind of type
    day: date,
    kind: Literal["short", "long"],
    guests: list[Guest],
    at: Point,
    span: Span,
    prices: dict[str, float],
    note: Annotated[str, Field(description="What to remember.", max_length=20)] = "",
    room: Room | None = None,
    limit: int | None = None,
    amount: int | str = 1,
    owner: Guest | None = None,
) -> str:
    """Plan a stay in
    the town.

    More words that no model needs.

    Args:
        day: The day of arrival,
            as a date: year first.
        kind (Literal["short", "long"]): How long.
        guests: Who comes.
        note: Not used, since the annotation says it.
        owner: Who pays.

    Returns:
        day: not a parameter's description.
    """
    return f"{day} {kind} {guests} {at} {span} {prices} {note} {room} {limit} {amount} {owner}"


def schema_of(function: Callable[..., object]) -> JsonObject:
    return tool_from_function(function).spec.parameters


def property_of(function: Callable[..., object], name: str) -> JsonValue:
    properties = schema_of(function)["properties"]
    assert isinstance(properties, dict)
    return properties[name]


def test_name_and_first_paragraph_become_the_spec() -> None:
    spec = tool_from_function(plan).spec
    assert spec.name == "plan"
    assert spec.description == "Plan a stay in the town."


def test_a_given_name_and_description_win() -> None:
    spec = tool_from_function(plan, name="town.plan", description="").spec
    assert (spec.name, spec.description) == ("town.plan", "")


GUEST_SCHEMA: JsonObject = {
    "description": "A person who stays.",
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "age": {"type": "integer"},
        "room": {"type": "string", "enum": ["single", "double"], "default": "single"},
    },
    "required": ["title"],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("day", {"type": "string", "format": "date", "description": "The day of arrival, as a date: year first."}),
        ("kind", {"type": "string", "enum": ["short", "long"], "description": "How long."}),
        ("guests", {"type": "array", "items": GUEST_SCHEMA, "description": "Who comes."}),
        (
            "at",
            {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}}
            | {"required": ["x"], "additionalProperties": False},
        ),
        (
            "span",
            {"type": "object", "properties": {"start": {"type": "integer"}, "end": {"type": "integer"}}}
            | {"required": ["start"], "additionalProperties": False},
        ),
        ("prices", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("note", {"type": "string", "maxLength": 20, "default": "", "description": "What to remember."}),
        ("room", {"type": "string", "enum": ["single", "double"]}),
        ("limit", {"type": "integer"}),
        ("amount", {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 1}),
        ("owner", {**GUEST_SCHEMA, "description": "Who pays."}),
    ],
)
def test_a_parameter_s_type_default_and_description_become_its_schema(name: str, expected: JsonObject) -> None:
    assert property_of(plan, name) == expected


def test_only_parameters_without_default_are_required_and_all_keep_their_order() -> None:
    schema = schema_of(plan)
    assert schema["required"] == ["day", "kind", "guests", "at", "span", "prices"]
    assert isinstance(schema["properties"], dict)
    assert list(schema["properties"])[-5:] == ["note", "room", "limit", "amount", "owner"]
    assert list(schema) == ["type", "properties", "required"]


def test_type_and_description_come_first_whether_required_or_not() -> None:
    def find(area: Literal["a", "b"], food: Literal["a", "b"] | None = None) -> None:
        """Find.

        Args:
            area: where
            food: what
        """

    for name in ("area", "food"):
        assert list(json.loads(json.dumps(property_of(find, name)))) == ["type", "description", "enum"]


def test_a_recursive_type_keeps_its_reference_and_loses_the_others() -> None:
    def store(folder: Folder) -> None:
        """Store a folder."""

    store.__annotations__["folder"] = Folder
    schema = schema_of(store)
    assert schema["properties"] == {"folder": {"$ref": "#/$defs/Folder"}}
    assert isinstance(schema["$defs"], dict)
    assert list(schema["$defs"]) == ["Folder"]
    assert "title" not in json.dumps(schema["$defs"]).replace('"title": {"type": "string"}', "").replace(
        '["title"]', ""
    )
    nested: JsonObject = {"folder": {"name": "a", "children": [{"name": "b"}]}}
    assert Toolbox([store]).validate(ToolCall("store", nested)).arguments == nested


def test_a_tagged_union_has_no_dangling_references() -> None:
    def adopt(animal: Annotated[Cat | Dog, Field(discriminator="kind")]) -> str:
        return animal.kind

    schema = schema_of(adopt)
    assert "$ref" not in json.dumps(schema)
    assert "#/" not in json.dumps(schema)
    assert Toolbox([adopt]).run(ToolCall("adopt", {"animal": {"kind": "dog"}})).text == '"dog"'


def test_properties_with_the_names_of_keywords_survive() -> None:
    class Odd(BaseModel):
        title: str
        default: str | None = None
        anyOf: str | None = None  # noqa: N815 - the keyword's own spelling

    def probe(value: Annotated[Any, "replaced below"]) -> None:
        """Take an odd value."""

    probe.__annotations__["value"] = Odd
    text: JsonObject = {"type": "string"}
    assert property_of(probe, "value") == {
        "type": "object",
        "properties": {"title": text, "default": text, "anyOf": text},
        "required": ["title"],
    }


def test_null_that_only_means_absent_leaves_the_schema_and_is_still_accepted() -> None:
    def find(
        area: Literal["north", "south", None] = None, exact: int | None = 3, either: int | str | None = None
    ) -> str:
        return f"{area} {exact} {either}"

    assert property_of(find, "area") == {"enum": ["north", "south"]}
    assert property_of(find, "exact") == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3}
    assert property_of(find, "either") == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert Toolbox([find]).run(ToolCall("find", {"area": None, "exact": None})).text == '"None None None"'


def test_a_required_parameter_that_may_be_null_keeps_null() -> None:
    def find(area: str | None) -> None:
        """Find."""

    assert property_of(find, "area") == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert schema_of(find)["required"] == ["area"]


def test_a_docstring_with_param_fields_is_read_too() -> None:
    def find(area: str, food: str = "") -> None:
        """Find a place.
        :param area: the part
            of the town
        :param str food: the cuisine
        :returns: nothing
        """

    assert tool_from_function(find).spec.description == "Find a place."
    assert property_of(find, "area") == {"type": "string", "description": "the part of the town"}
    assert property_of(find, "food") == {"type": "string", "default": "", "description": "the cuisine"}


def test_a_function_without_docstring_has_an_empty_description() -> None:
    def find(area: str) -> str:
        return area

    assert tool_from_function(find).spec.description == ""
