"""Hypothesis strategies: schemas that the grammar holds, values of a schema, values just beside it."""

from __future__ import annotations

from typing import cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from coalm_lite.types import JsonObject, JsonValue, ToolSpec

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
SURPLUS = "surplus"  # a name that no generated schema has
LARGEST = 10**18 - 1

Texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
Names = st.text("abcé_7", min_size=1, max_size=4).filter(lambda name: not name[0].isdigit())
Integers = st.integers(-LARGEST, LARGEST)
Floats = st.floats(-1.69e308, 1.69e308, allow_nan=False)
# A float such as 2.0 equals the integer 2 for JSON Schema, but is written otherwise: none where values are compared.
_Fractions = Floats.filter(lambda value: not value.is_integer())
Scalars: st.SearchStrategy[JsonValue] = st.none() | st.booleans() | Integers | _Fractions | Texts
Values: st.SearchStrategy[JsonValue] = st.recursive(
    Scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just(SURPLUS), inner),
    max_leaves=4,
)
_TYPES: dict[str, st.SearchStrategy[JsonValue]] = {
    "string": Texts,
    "integer": Integers,
    "number": Floats | Integers,
    "boolean": st.booleans(),
    "null": st.none(),
}


def objects(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    """Closed object schemas with up to four properties, any of them required."""

    def schema(members: list[tuple[str, JsonObject, bool]]) -> JsonObject:
        return {
            "type": "object",
            "properties": {name: value for name, value, _ in members},
            "required": [name for name, _, needed in members if needed],
            "additionalProperties": False,
        }

    members = st.lists(st.tuples(Names, inner, st.booleans()), max_size=4, unique_by=lambda member: member[0])
    return members.map(schema)


def _wider(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    kinds = st.sampled_from([["array", "null"], "array"])
    return st.one_of(
        st.fixed_dictionaries({"type": kinds, "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        objects(inner),
    )


_Names = st.sampled_from(sorted(_TYPES))
_Leaves: st.SearchStrategy[JsonObject] = st.one_of(
    st.fixed_dictionaries({"type": _Names, "description": st.just("a value"), "default": Values}),
    st.fixed_dictionaries({"type": st.lists(_Names, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"enum": st.lists(Values, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": Values}),
)
Schemas: st.SearchStrategy[JsonObject] = st.recursive(_Leaves, _wider, max_leaves=5)
Parameters = objects(Schemas)


def instances(schema: JsonObject) -> st.SearchStrategy[JsonValue]:
    """Values of a schema from `Schemas`, members in the schema's order."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(cast("list[JsonValue]", schema["enum"]))
    if "anyOf" in schema:
        return st.one_of([instances(part) for part in cast("list[JsonObject]", schema["anyOf"])])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_type(cast(str, kind), schema) for kind in kinds])


def _of_type(kind: str, schema: JsonObject) -> st.SearchStrategy[JsonValue]:
    if kind == "array":
        return st.lists(instances(cast(JsonObject, schema["items"])), max_size=3)
    if kind == "object":
        return _members(cast("dict[str, JsonObject]", schema["properties"]), cast("list[str]", schema["required"]))
    return _TYPES[kind]


def _members(properties: dict[str, JsonObject], required: list[str]) -> st.SearchStrategy[JsonValue]:
    needed = {name: instances(schema) for name, schema in properties.items() if name in required}
    others = {name: instances(schema) for name, schema in properties.items() if name not in required}
    found = st.fixed_dictionaries(needed, optional=others)
    return found.map(lambda values: {name: values[name] for name in properties if name in values})


@st.composite
def beside(draw: st.DrawFn, schema: JsonObject) -> JsonValue:
    """A value of the schema with one place changed, which may or may not be a value of it still."""
    return _changed(draw, draw(instances(schema)))


def _changed(draw: st.DrawFn, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        name = draw(st.sampled_from([*value, SURPLUS]))
        others = {other: part for other, part in value.items() if other != name}
        changed = {other: _changed(draw, part) if other == name else part for other, part in value.items()}
        return draw(st.sampled_from([others, changed, {**value, SURPLUS: None}]))
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], _changed(draw, value[at]), *value[at + 1 :]]
    return draw(Values)


def _is_integer(checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
_Validator = extend(Draft202012Validator, type_checker=_Types)  # type: ignore[no-untyped-call]  # jsonschema has no types


def is_valid(schema: JsonObject, value: JsonValue) -> bool:
    """JSON Schema's own answer, except that an integer is never written as 2.0."""
    return bool(_Validator(schema).is_valid(value))


def tool(schema: JsonObject, name: str = "f") -> ToolSpec:
    """A tool whose parameters are `schema`."""
    return ToolSpec(name, "", schema)


def tool_of(schema: JsonValue, name: str = "f") -> ToolSpec:
    """A tool with the one required parameter `v` of `schema`."""
    return tool({"type": "object", "properties": {"v": schema}, "required": ["v"]}, name)
