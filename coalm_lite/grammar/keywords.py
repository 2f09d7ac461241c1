"""The keywords of JSON Schema 2020-12: what form each has, and how it is held where nothing more is said.

"grammar": by the rules. "check": by validation of the parsed arguments, after which the model sees the error. A keyword
that asserts in other drafts, or looks like a misspelt one, is refused, since it would hold nothing; every other unknown
keyword is an annotation, as in JSON Schema.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from coalm_lite.types import JsonValue

How: TypeAlias = Literal["grammar", "check", "annotation"]

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and value == int(value)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_schema(value: JsonValue) -> bool:
    return isinstance(value, (dict, bool))


def _are_schemas(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_map(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _are_names(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_types(value: JsonValue) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


FORMS: Mapping[str, tuple[Callable[[JsonValue], bool], str]] = {
    "a count": (_is_count, "Give a whole number, 0 or more."),
    "a number": (_is_number, "Give a number."),
    "a schema": (_is_schema, 'Say what the value is, for example {"type": "string"}.'),
    "a list of schemas": (_are_schemas, "List the schemas."),
    "a map of schemas": (_is_map, "Map each name to its schema."),
    "a list of names": (_are_names, "List the names."),
    "a type": (_are_types, f"Use one of {', '.join(TYPES)}, or a list of them."),
    "a list": (lambda value: isinstance(value, list) and bool(value), "List the allowed values."),
    "a text": (lambda value: isinstance(value, str), "Give a string."),
    "true or false": (lambda value: isinstance(value, bool), "Give true or false."),
    "a map of names": (lambda v: isinstance(v, dict) and all(map(_are_names, v.values())), "Map names to names."),
    "anything": (lambda value: True, ""),
}
# Which of JSON's types a keyword speaks of ("" for all), its form, how it is held.
KEYWORDS: Mapping[str, tuple[str, str, How]] = {
    "type": ("", "a type", "grammar"),
    "enum": ("", "a list", "grammar"),
    "const": ("", "anything", "grammar"),
    "anyOf": ("", "a list of schemas", "grammar"),
    "oneOf": ("", "a list of schemas", "check"),
    "allOf": ("", "a list of schemas", "grammar"),
    "not": ("", "a schema", "check"),
    "if": ("", "a schema", "check"),
    "then": ("", "a schema", "check"),
    "else": ("", "a schema", "check"),
    "$ref": ("", "a text", "grammar"),
    "$dynamicRef": ("", "a text", "check"),
    "nullable": ("", "true or false", "grammar"),
    "properties": ("object", "a map of schemas", "grammar"),
    "required": ("object", "a list of names", "grammar"),
    "additionalProperties": ("object", "a schema", "grammar"),
    "patternProperties": ("object", "a map of schemas", "grammar"),
    "propertyNames": ("object", "a schema", "check"),
    "minProperties": ("object", "a count", "check"),
    "maxProperties": ("object", "a count", "check"),
    "dependentRequired": ("object", "a map of names", "check"),
    "dependentSchemas": ("object", "a map of schemas", "check"),
    "unevaluatedProperties": ("object", "a schema", "check"),
    "items": ("array", "a schema", "grammar"),
    "prefixItems": ("array", "a list of schemas", "grammar"),
    "minItems": ("array", "a count", "grammar"),
    "maxItems": ("array", "a count", "grammar"),
    "uniqueItems": ("array", "true or false", "check"),
    "contains": ("array", "a schema", "check"),
    "minContains": ("array", "a count", "check"),
    "maxContains": ("array", "a count", "check"),
    "unevaluatedItems": ("array", "a schema", "check"),
    "minLength": ("string", "a count", "grammar"),
    "maxLength": ("string", "a count", "grammar"),
    "pattern": ("string", "a text", "grammar"),
    "format": ("string", "a text", "grammar"),
    "minimum": ("number", "a number", "grammar"),
    "maximum": ("number", "a number", "grammar"),
    "exclusiveMinimum": ("number", "a number", "grammar"),
    "exclusiveMaximum": ("number", "a number", "grammar"),
    "multipleOf": ("number", "a number", "check"),
}
ANNOTATIONS = frozenset(
    {
        *("$comment", "$schema", "$id", "$anchor", "$dynamicAnchor", "$defs", "definitions", "$vocabulary"),
        *("default", "deprecated", "description", "examples", "example", "readOnly", "title", "writeOnly", "id"),
        *("contentEncoding", "contentMediaType", "contentSchema", "discriminator", "externalDocs", "xml", "optional"),
    }
)
# Keywords that assert in another draft and nothing in this one.
_ELSEWHERE: Mapping[str, str] = {
    "dependencies": "Write dependentRequired or dependentSchemas.",
    "additionalItems": "Write prefixItems for the first items and items for the others.",
    "divisibleBy": "Write multipleOf.",
    "disallow": "Write not.",
    "extends": "Write allOf.",
    "$recursiveRef": "Write $ref.",
}
_SURE = 0.85


def unknown_problem(keyword: str) -> tuple[str, str]:
    """Why an unknown keyword is refused, and what to do; empty where it is an annotation."""
    if keyword in _ELSEWHERE:
        return "asserts nothing in JSON Schema 2020-12", _ELSEWHERE[keyword]
    near = difflib.get_close_matches(keyword, KEYWORDS, n=1, cutoff=_SURE) if not keyword.startswith("x-") else []
    same = [known for known in KEYWORDS if known.lower() == keyword.lower().replace("_", "").replace("-", "")]
    for known in same or near:
        return "is no keyword of JSON Schema", f"Did you mean {known}? A name with x- before it is ignored."
    return "", ""
