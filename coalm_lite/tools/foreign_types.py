"""Functions of BFCL and API-Bank as tools: their type names are not JSON Schema's.

| name | read as |
|---|---|
| `dict`, `HashMap`, `Dict` | object |
| `float`, `double` | number |
| `long`, `int`, `short`, `byte` | integer |
| `String`, `str`, `char`, `datetime` | string |
| `Boolean`, `bool` | boolean |
| `tuple`, `Array`, `ArrayList`, `list`, `set` | array |
| `list(T)`, `list[T]` | array of T |
| `any`, no name at all, an empty name | any value |

A type of JSON Schema stays as it is. Of a Java or JavaScript function every parameter is a string, as BFCL asks for
them (the source text of a value: "new ArrayList<>()", "true"). An enum is read as its type says, `["1", "2"]` of an
integer as 1 and 2, an array's enum of no arrays as that of its items; a value that cannot be read so ("dontcare" of a
boolean) is kept, and counts more than the type. A default of null admits null. API-Bank names no required parameters.
`optional`, where BFCL has it, says nothing that `required` does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from coalm_lite.errors import SchemaError
from coalm_lite.tools.schema import spec_from_schema
from coalm_lite.types import JsonObject, JsonValue, ToolSpec

Language = Literal["python", "java", "javascript"]

_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("dict", "Dict", "HashMap", "object"), "object"),
    **dict.fromkeys(("float", "double", "number"), "number"),
    **dict.fromkeys(("long", "int", "short", "byte", "integer"), "integer"),
    **dict.fromkeys(("String", "str", "char", "datetime", "string"), "string"),
    **dict.fromkeys(("Boolean", "bool", "boolean"), "boolean"),
    **dict.fromkeys(("tuple", "Array", "ArrayList", "list", "set", "array"), "array"),
    "null": "null",
}
_ANY = frozenset({"any", "Any", ""})
_LIST_OF = re.compile(r"list[(\[](\w+)[)\]]")
_WORDS: Mapping[str, Mapping[str, JsonValue]] = {
    "boolean": {"true": True, "True": True, "false": False, "False": False},
    "null": {"null": None, "None": None},
}
_KEPT = ("description", "default", "format", "minimum", "maximum", "minItems", "maxItems", "pattern", "title")


def spec_from_foreign(function: JsonObject, language: Language = "python") -> ToolSpec:
    """The tool that a function of BFCL or API-Bank describes. SchemaError for a type that has no place in the table."""
    name, parameters = str(function.get("name", "")), function.get("parameters", function.get("input_parameters", {}))
    if not isinstance(parameters, dict):
        raise SchemaError(name, "", "parameters", f"{parameters!r} is not an object", "Map each name to its type.")
    is_schema = isinstance(parameters.get("properties"), dict) and isinstance(parameters.get("type"), str)
    properties = parameters["properties"] if is_schema else parameters
    required = parameters.get("required", []) if is_schema else []
    read = _Reader(name, language)
    schema: JsonObject = {
        "type": "object",
        "properties": read.properties(properties if isinstance(properties, dict) else {}, "", language != "python"),
        "required": required,
    }
    return spec_from_schema({"name": name, "description": function.get("description", ""), "parameters": schema})


class _Reader:
    """Reads the schemas of one function."""

    def __init__(self, tool: str, language: Language) -> None:
        self._tool = tool
        self._language = language

    def properties(self, properties: JsonObject, pointer: str, as_text: bool = False) -> JsonObject:
        """Each property's schema; `as_text`: all of them strings."""
        found: JsonObject = {}
        for name, schema in properties.items():
            place = f"{pointer}/properties/{name}"
            read = self.schema(schema, place)
            found[name] = {**_kept(read), "type": "string"} if as_text else read
        return found

    def schema(self, schema: JsonValue, pointer: str) -> JsonObject:
        """The schema in JSON Schema's own words."""
        if not isinstance(schema, dict):
            raise SchemaError(self._tool, pointer, "type", f"{schema!r} is no type", "Describe it as an object.")
        kind, item = self._type(schema.get("type", ""), pointer)
        read = _kept(schema)
        if kind:
            read["type"] = kind
        items: JsonValue = {"type": item} if item else schema.get("items")
        if items is not None and kind in ("array", ""):
            read["items"] = self.schema(items, f"{pointer}/items")
        if isinstance(properties := schema.get("properties"), dict):
            read["properties"] = self.properties(properties, pointer)
        if isinstance(required := schema.get("required"), list):
            known = properties if isinstance(properties, dict) else {}
            read["required"] = [name for name in required if name in known]
        if isinstance(listed := schema.get("enum"), list):
            _add_enum(read, listed)
        return _admitting_null(read) if schema.get("default", ...) is None else read

    def _type(self, name: JsonValue, pointer: str) -> tuple[str, str]:
        """JSON Schema's name, "" for any; and the type of a list's items where the name has it."""
        if isinstance(name, str) and (name in _ANY or name in _NAMES):
            return _NAMES.get(name, ""), ""
        match = _LIST_OF.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            known = ", ".join([*_NAMES, "any"])
            raise SchemaError(self._tool, pointer, "type", f"{name!r} is no type known here", f"Known: {known}.")
        return "array", match[1]


def _kept(schema: JsonObject) -> JsonObject:
    return {key: schema[key] for key in _KEPT if key in schema}


def _admitting_null(read: JsonObject) -> JsonObject:
    found = dict(read)
    if "type" in read:
        found["type"] = [read["type"], "null"]
    if isinstance(listed := read.get("enum"), list) and None not in listed:
        found["enum"] = [*listed, None]
    return found


def _add_enum(read: JsonObject, listed: list[JsonValue]) -> None:
    kind, items = read.get("type"), read.get("items")
    if kind == "array" and not any(isinstance(value, list) for value in listed):
        inner = items if isinstance(items, dict) else {}
        _add_enum(inner, listed)
        read["items"] = inner
        return
    values = [_as_type(value, str(kind or "")) for value in listed]
    if not all(_is_of(value, str(kind or "")) for value in values):
        read.pop("type", None)
    read["enum"] = values


def _is_of(value: JsonValue, kind: str) -> bool:
    matches = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
        "null": value is None,
    }
    return matches.get(kind, True)


def _as_type(value: JsonValue, kind: str) -> JsonValue:
    """The value as one of the type, if it can be read so."""
    if _is_of(value, kind) or not isinstance(value, str):
        return value
    if kind in _WORDS:
        return _WORDS[kind].get(value, value)
    if kind == "integer" and re.fullmatch("-?[0-9]+", value):
        return int(value)
    return float(value) if kind == "number" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) else value
