"""JSON Schema of a tool's parameters to GBNF rules.

Held: `type` (also a list), `properties`, `required`, `additionalProperties: false`, `items`, `enum`, `const`, `anyOf`
without assertions beside it. Properties come in the schema's order, optional ones in any combination; properties that
the schema does not name are never written, also where it would allow them. Annotations are ignored. Every other
keyword is refused with SchemaError. The schema must be plain JSON of bounded depth: `frames` checks that first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from coalm_lite.errors import SchemaError
from coalm_lite.grammar.syntax import Syntax, quoted
from coalm_lite.types import JsonObject, JsonValue

ANNOTATIONS = frozenset(
    {"$comment", "$schema", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"}
)
_KEYWORD_ARGUMENT = re.compile(r"[^\W\d]\w*")
_RULE_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class _Node:
    """A sub-schema and where it stands; `rule` starts the names of its rules, which go into `rules`, shared by all."""

    schema: JsonObject
    pointer: str
    rule: str
    tool: str
    syntax: Syntax
    rules: dict[str, str]

    def refuse(self, keyword: str, problem: str, hint: str = "") -> SchemaError:
        return SchemaError(self.tool, self.pointer, keyword, problem, hint)

    def child(self, schema: JsonValue, steps: tuple[str, ...], suffix: str) -> _Node:
        """The node of the sub-schema at `steps` under this one."""
        pointer = self.pointer + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
        if not isinstance(schema, dict):
            raise SchemaError(self.tool, pointer, steps[0], f"{schema!r} is not an object", _SAY_THE_TYPE)
        return _Node(schema, pointer, f"{self.rule}-{suffix}", self.tool, self.syntax, self.rules)


_SAY_THE_TYPE = 'Say what the value is, for example {"type": "string"}.'


def argument_rules(tool: str, parameters: JsonObject, syntax: Syntax, rule: str) -> dict[str, str]:
    """GBNF bodies by rule name; the rule called `rule` is the call's arguments in `syntax`. Raises SchemaError."""
    node = _Node(parameters, "", rule, tool, syntax, {})
    _check_keywords(node)
    if node.schema.get("type") != "object" or any(keyword in node.schema for keyword in _WHOLE):
        raise node.refuse("type", "a tool's parameters are one object", 'Use {"type": "object", "properties": {...}}.')
    body = _keyword_arguments(node) if syntax.keyword_arguments else _object(node)
    return {rule: body, **node.rules}


def _value(node: _Node) -> str:
    """The GBNF expression of the node's values."""
    _check_keywords(node)
    whole = [keyword for keyword in _WHOLE if keyword in node.schema]
    if not whole:
        return _one_of(_TYPES[name](node) for name in _types(node))
    for other in node.schema:
        if other != whole[0] and other not in ANNOTATIONS and (other != "type" or whole[0] == "anyOf"):
            raise node.refuse(other, f"cannot be held beside {whole[0]!r}", "Write the two as one schema.")
    return _WHOLE[whole[0]](node)


def _one_of(expressions: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(expressions))
    return distinct[0] if len(distinct) == 1 else f"( {' | '.join(distinct)} )"


def _check_keywords(node: _Node) -> None:
    held = {"type", *_WHOLE, *_OF_TYPE}
    for keyword in node.schema:
        if keyword not in held and keyword not in ANNOTATIONS:
            hint = f"Held are {', '.join(sorted(held))}. Leave {keyword!r} out and let the tool check it."
            raise node.refuse(keyword, "no grammar can hold this keyword yet", hint)


def _types(node: _Node) -> list[str]:
    said = node.schema.get("type")
    names = said if isinstance(said, list) else [said]
    if not names or said is None:
        raise node.refuse("type", "is missing", _SAY_THE_TYPE)
    types = [name for name in names if isinstance(name, str) and name in _TYPES]
    if len(types) < len(names):
        unknown = next(name for name in names if name not in types)
        raise node.refuse("type", f"{unknown!r} is no JSON Schema type", f"Use one of {', '.join(_TYPES)}.")
    return types


def _object(node: _Node) -> str:
    members = _members(node, lambda name: quoted(node.syntax.write(name) + ": "))
    return f'"{{" {members} "}}"' if members else '"{}"'


def _keyword_arguments(node: _Node) -> str:
    def key(name: str) -> str:
        if not _KEYWORD_ARGUMENT.fullmatch(name):
            place = node.child({}, ("properties", name), "")
            raise place.refuse("properties", f"{name!r} cannot be written as name=value", "Rename the parameter.")
        return quoted(name + "=")

    return _members(node, key) or '""'


def _members(node: _Node, key: Callable[[str], str]) -> str:
    """The expression of the object's members, "" if it has none.

    One rule a member and one for what may follow each, so that the size is linear in the number of properties.
    """
    properties = _properties(node)
    required = _required(node, properties)
    _check_additional(node)
    for index, (name, schema) in enumerate(properties.items()):
        value = _value(node.child(schema, ("properties", name), str(index)))
        node.rules[f"{node.rule}-{index}"] = f"{key(name)} {value}"
    if not properties:
        return ""
    _add_rests(node, [name in required for name in properties])
    return f"{node.rule}-first" + ("" if required else "?")


def _add_rests(node: _Node, required: list[bool]) -> None:
    """Adds the rules `-first` (the first member and all after it) and `-rest-N` (members from N on, with commas)."""
    count = len(required)

    def rest(index: int) -> str:
        return f" {node.rule}-rest-{index}" if index < count else ""

    earliest = required.index(True) if any(required) else count - 1
    starts = [f"{node.rule}-{index}{rest(index + 1)}" for index in range(earliest + 1)]
    node.rules[f"{node.rule}-first"] = " | ".join(starts)
    for index in range(1, count):
        member = f'", " {node.rule}-{index}'
        node.rules[f"{node.rule}-rest-{index}"] = (member if required[index] else f"( {member} )?") + rest(index + 1)


def _properties(node: _Node) -> JsonObject:
    properties = node.schema.get("properties", {})
    if not isinstance(properties, dict):
        raise node.refuse("properties", f"{properties!r} is not an object", "Map each name to its schema.")
    return properties


def _required(node: _Node, properties: JsonObject) -> list[JsonValue]:
    required = node.schema.get("required", [])
    if not isinstance(required, list):
        raise node.refuse("required", f"{required!r} is not a list", "List the names of the required properties.")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise node.refuse("required", f"{name!r} is not among the properties", "Add it to properties.")
    return required


def _check_additional(node: _Node) -> None:
    if node.schema.get("additionalProperties", False) is not False:
        raise node.refuse("additionalProperties", "only false can be held yet", "Name the properties one by one.")


def _array(node: _Node) -> str:
    if "items" not in node.schema:
        raise node.refuse("items", "is missing", _SAY_THE_TYPE)
    child = node.child(node.schema["items"], ("items",), "items")
    item = _value(child)
    if not _RULE_NAME.fullmatch(item):
        # A rule of its own: the item stands twice, and nested arrays would double with each level.
        node.rules[child.rule] = item
        item = child.rule
    return f'"[" ( {item} ( ", " {item} )* )? "]"'


def _const(node: _Node) -> str:
    return _literals(node, "const", [node.schema["const"]])


def _enum(node: _Node) -> str:
    values = node.schema["enum"]
    if not isinstance(values, list) or not values:
        raise node.refuse("enum", f"{values!r} is not a list of values", "List the allowed values.")
    return _literals(node, "enum", values)


def _literals(node: _Node, keyword: str, values: list[JsonValue]) -> str:
    """The values that are of the node's type, if it names one."""
    if "type" in node.schema:
        types = _types(node)
        values = [value for value in values if any(_is_of_type(value, name) for name in types)]
    if not values:
        problem = f"no value is of the type {node.schema['type']!r}"
        raise node.refuse(keyword, problem, "Correct the type or the values.")
    return _one_of(quoted(node.syntax.write(value)) for value in values)


def _is_of_type(value: JsonValue, name: str) -> bool:
    if isinstance(value, bool) or value is None:
        return name == ("null" if value is None else "boolean")
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _PYTHON_TYPES.get(name, ()))


def _any_of(node: _Node) -> str:
    schemas = node.schema["anyOf"]
    if not isinstance(schemas, list) or not schemas:
        raise node.refuse("anyOf", f"{schemas!r} is not a list of schemas", "List the alternatives.")
    children = (node.child(schema, ("anyOf", str(at)), f"any-{at}") for at, schema in enumerate(schemas))
    return _one_of(_value(child) for child in children)


def _plain(name: str) -> Callable[[_Node], str]:
    """The handler of a type whose values are one rule of the value files, called as the type is."""
    return lambda node: name


_PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "array": list,
    "number": (int, float),
    "object": dict,
    "string": str,
}
# The tables that hold what is held. `_WHOLE`: keywords that say the values by themselves. `_TYPES`: the handler of each
# type. `_OF_TYPE`: the keywords that such a handler reads; on other types they say nothing, as in JSON Schema.
_WHOLE: Mapping[str, Callable[[_Node], str]] = {"const": _const, "enum": _enum, "anyOf": _any_of}
_TYPES: Mapping[str, Callable[[_Node], str]] = {
    "object": _object,
    "array": _array,
    **{name: _plain(name) for name in ("string", "integer", "number", "boolean", "null")},
}
_OF_TYPE: Mapping[str, str] = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
}
