"""The values that `enum` and `const` list, as far as they fit what else is said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coalm_lite.grammar.check import part_check
from coalm_lite.grammar.keywords import ANNOTATIONS
from coalm_lite.grammar.parts import Part
from coalm_lite.types import JsonObject, JsonValue

_NAMES = {type(None): "null", bool: "boolean", str: "string", list: "array", dict: "object"}
_SIMPLE = frozenset({"type", "enum", "nullable"}) | ANNOTATIONS


def fitting(root: JsonObject, parts: Sequence[Part]) -> list[JsonValue]:
    """The values of the first list that fit every part; jsonschema is asked where more than types and lists is said."""
    values = _listed(next(part for part in parts if part.has("enum") or part.has("const")))
    for part in parts:
        fits = _simple_check(part) if part.schema.keys() <= _SIMPLE else part_check(root, part.schema)
        values = [value for value in values if fits(value)]
    return values


def _listed(part: Part) -> list[JsonValue]:
    listed = part.get("enum") if part.has("enum") else [part.get("const")]
    return list(listed) if isinstance(listed, list) else []


def _simple_check(part: Part) -> Callable[[JsonValue], bool]:
    types, listed = said_types(part), part.schema.get("enum")
    allowed = {_shape(value) for value in listed} if isinstance(listed, list) else None

    def fits(value: JsonValue) -> bool:
        return (types is None or not types.isdisjoint(_kinds(value))) and (allowed is None or _shape(value) in allowed)

    return fits


def said_types(part: Part) -> set[str] | None:
    """The types that the part names, every integer being a number too; None if it names none."""
    said = part.get("type")
    if said is None:
        return None
    names = {str(name) for name in (said if isinstance(said, list) else [said])}
    return names | ({"integer"} if "number" in names else set()) | ({"null"} if part.get("nullable") is True else set())


def _kinds(value: JsonValue) -> set[str]:
    """The types of JSON Schema that a value has; 2.0 is an integer too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"integer", "number"} if value == value // 1 else {"number"}
    return {_NAMES[type(value)]}


def _shape(value: JsonValue) -> object:
    """What is equal for equal values as JSON Schema compares them: 1 and 1.0 are, 1 and true are not."""
    match value:
        case bool() | None:
            return str(value), None
        case list():
            return "list", tuple(map(_shape, value))
        case dict():
            return "dict", frozenset((key, _shape(inner)) for key, inner in value.items())
        case _:
            return value
