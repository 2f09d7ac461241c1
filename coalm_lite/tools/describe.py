"""What a model is told of a Python function's parameters: pydantic's schema made plain, the docstring's words.

Covers titles (dropped), references (replaced by what they refer to, unless that contains itself), "or None" defaults
(plain optional properties), Google-style `Args:` and `:param x:` docstrings. Not here: the types (tool_functions.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from coalm_lite.types import JsonObject, JsonValue

_ARGS_HEADER = re.compile(r"(Args|Arguments|Parameters):\s*$")
_OTHER_HEADER = re.compile(r"[A-Z][\w ]*:\s*$|:\w")
_ARGS_ENTRY = re.compile(r"(\s+)\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$")
_PARAM_FIELD = re.compile(r":param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_NAMED_SUBSCHEMAS = ("properties", "patternProperties", "dependentSchemas")
_LISTED_SUBSCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE_SUBSCHEMAS = ("items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else")
_DEFINITIONS = "#/$defs/"


def plain_schema(schema: JsonObject, descriptions: Mapping[str, str]) -> JsonObject:
    """pydantic's schema of an arguments object as a model should see it.

    `descriptions`, by parameter, stand where the type's annotation gives none.
    """
    definitions = schema.get("$defs")
    inliner = _Inliner(definitions if isinstance(definitions, dict) else {})
    plain: JsonObject = {"type": "object", "properties": inliner.properties(_described(schema, descriptions))}
    if required := schema.get("required"):
        plain["required"] = required
    if kept := inliner.recursive_definitions():
        plain["$defs"] = kept
    return plain


def _described(schema: JsonObject, descriptions: Mapping[str, str]) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    own = {name: {"description": text} for name, text in descriptions.items()}
    return {name: {**own.get(name, {}), **node} for name, node in properties.items() if isinstance(node, dict)}


class _Inliner:
    """Simplifies schemas; puts definitions in the place of their references, except those that contain themselves."""

    def __init__(self, definitions: Mapping[str, JsonValue]) -> None:
        self._definitions = definitions
        self._recursive = {name for name in definitions if name in self._reachable(name)}

    def _reachable(self, start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = _referenced(self._definitions[waiting.pop()]) & self._definitions.keys() - found
            found |= new
            waiting += new
        return found

    def recursive_definitions(self) -> JsonObject:
        return {name: self.schema(self._definitions[name]) for name in sorted(self._recursive)}

    def schema(self, node: JsonValue) -> JsonValue:
        if not isinstance(node, dict):
            return node
        name = _reference(node)
        if name not in self._definitions or name in self._recursive:
            return _ordered(self._keywords(node))
        inlined = self.schema(self._definitions[name])
        own = self._keywords({key: value for key, value in node.items() if key != "$ref"})
        return _ordered({**inlined, **own}) if isinstance(inlined, dict) else inlined

    def _keywords(self, node: JsonObject) -> JsonObject:
        # a discriminator is OpenAPI's: it repeats what the alternatives say, through references
        return {key: self._keyword(key, value) for key, value in node.items() if key not in ("title", "discriminator")}

    def _keyword(self, key: str, value: JsonValue) -> JsonValue:
        if key in _NAMED_SUBSCHEMAS and isinstance(value, dict):
            return self.properties(value)
        if key in _LISTED_SUBSCHEMAS and isinstance(value, list):
            return [self.schema(item) for item in value]
        return self.schema(value) if key in _SINGLE_SUBSCHEMAS else value

    def properties(self, properties: JsonObject) -> JsonObject:
        return {name: self.schema(_without_null(schema)) for name, schema in properties.items()}


def _ordered(schema: JsonObject) -> JsonObject:
    """`schema` with type and description first: equal parameters are written equally into a prompt."""
    return {**{key: schema[key] for key in ("type", "description") if key in schema}, **schema}


def _reference(node: JsonObject) -> str:
    """The name of the definition that `node` refers to; empty if to none."""
    reference = node.get("$ref")
    return reference.removeprefix(_DEFINITIONS) if isinstance(reference, str) else ""


def _referenced(node: JsonValue) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _referenced(item)}
    if not isinstance(node, dict):
        return set()
    return {_reference(node)}.union(*(_referenced(value) for value in node.values()))


def _without_null(schema: JsonValue) -> JsonValue:
    """A property whose default is null, without that default and without null: leaving it out says the same."""
    if not isinstance(schema, dict) or "default" not in schema or schema["default"] is not None:
        return schema
    rest = {key: value for key, value in schema.items() if key != "default"}
    if isinstance(choices := rest.get("enum"), list):
        rest["enum"] = [choice for choice in choices if choice is not None]
    if not isinstance(options := rest.pop("anyOf", None), list):
        return rest
    kept = [option for option in options if option != {"type": "null"}]
    only = kept[0] if len(kept) == 1 else None
    return {**only, **rest} if isinstance(only, dict) else {"anyOf": kept, **rest}


def summary(documentation: str) -> str:
    """A docstring's first paragraph on one line."""
    lines: list[str] = []
    for line in documentation.splitlines():
        if not line.strip() or _OTHER_HEADER.match(line):
            break
        lines.append(line.strip())
    return " ".join(lines)


def parameter_descriptions(documentation: str) -> dict[str, str]:
    """What a docstring says of each parameter, in its `Args:` section or in `:param x:` fields."""
    lines = documentation.splitlines()
    return {name: text for name, text in (_google(lines) | _fields(lines)).items() if text}


def _google(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, indent, current = False, "", ""
    for line in lines:
        if line and not line[0].isspace():  # column 0: a header or running text
            inside, indent, current = bool(_ARGS_HEADER.match(line)), "", ""
            continue
        entry = _ARGS_ENTRY.match(line) if inside else None
        if entry and entry[1] == (indent or entry[1]):
            indent, current = entry[1], entry[2]
            found[current] = entry[3] or ""
        elif current and line.strip():
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found


def _fields(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    current = ""
    for line in lines:
        field = _PARAM_FIELD.match(line)
        if field:
            current = field[1]
            found[current] = field[2].strip()
        elif not line.strip() or line.startswith(":"):
            current = ""
        elif current:
            found[current] = f"{found[current]} {line.strip()}".strip()
    return found
