"""Tools that are described by a schema: their names, their specs and the check of their arguments.

Covers the plain form `{"name", "description", "parameters"}`, the OpenAI form `{"type": "function", "function": {...}}`
and lists of either as JSON text. Schemas are JSON Schema 2020-12, checked against the metaschema and for references
that lead nowhere; nothing is ever fetched. Not here: Python functions (tool_functions.py), which schemas a grammar can
hold (grammar/), other type names than JSON Schema's.
"""

from __future__ import annotations

import copy
import difflib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from coalm_lite.errors import SchemaError, ToolError
from coalm_lite.grammar.check import check_against_metaschema, validator
from coalm_lite.types import JsonObject, JsonValue, ToolSpec

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MAX_NAME_CHARACTERS = 128
MAX_PROBLEMS = 5
MAX_MESSAGE_CHARACTERS = 200
_FORBIDDEN_IN_NAMES = frozenset("()[]{},'\"=:\\")
_DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})
_FORMS_HINT = 'write {"name", "description", "parameters"} or {"type": "function", "function": {...}}'


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments that passed the check: `values` for the function, `written` the same as JSON for the conversation."""

    values: Mapping[str, object]
    written: JsonObject


ArgumentReader: TypeAlias = Callable[[JsonObject], Arguments]
"""Checks a call's arguments; raises ToolError with a message that a model can read."""


def valid_name(name: object) -> str:
    """`name`, if every dialect can write it and read it back; ToolError otherwise."""
    hint = f"1 to {MAX_NAME_CHARACTERS} printable characters, none of ()[]{{}},'\"=:\\, no space at either end"
    if not isinstance(name, str):
        raise ToolError(f"a tool's name must be a string, got {shown(name)}", hint)
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise ToolError(f"the tool name {shown(name)} has {len(name)} characters", hint)
    if name != name.strip() or not name.isprintable() or _FORBIDDEN_IN_NAMES.intersection(name):
        raise ToolError(f"the tool name {name!r} has a character that a call cannot carry", hint)
    return name


def spec_from_schema(schema: JsonValue) -> ToolSpec:
    """The spec in either accepted form; ToolError names what is missing, SchemaError the keyword that is wrong."""
    body = _function_body(schema)
    if "name" not in body:
        raise ToolError(f"the tool has no 'name': {shown(body)}", _FORMS_HINT)
    name = valid_name(body["name"])
    description = body.get("description") or ""
    if not isinstance(description, str):
        raise ToolError(f"tool {name!r}: 'description' must be a string, got {shown(description)}", _FORMS_HINT)
    parameters = _parameters(name, body)
    check_schema(name, parameters)
    return ToolSpec(name=name, description=description, parameters=parameters)


def _function_body(schema: JsonValue) -> JsonObject:
    if not isinstance(schema, dict):
        raise ToolError(f"a tool must be a JSON object, got {shown(schema)}", _FORMS_HINT)
    if "function" not in schema:
        if schema.get("type") == "function" and "name" not in schema:
            raise ToolError(f"the tool has no 'function': {shown(schema)}", _FORMS_HINT)
        return schema
    if schema.get("type", "function") != "function":
        raise ToolError(f"the tool's 'type' must be 'function', got {shown(schema['type'])}", _FORMS_HINT)
    body = schema["function"]
    if not isinstance(body, dict):
        raise ToolError(f"the tool's 'function' must be a JSON object, got {shown(body)}", _FORMS_HINT)
    return body


def _parameters(name: str, body: JsonObject) -> JsonObject:
    parameters = body.get("parameters")
    if parameters is None:
        others = sorted(set(body) - {"name", "description", "parameters", "strict", "type"})
        if others:  # a misspelt or foreign key must not quietly make a tool without parameters
            raise ToolError(f"tool {name!r} has no 'parameters', but {', '.join(others)}", _FORMS_HINT)
        return {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise ToolError(f"tool {name!r}: 'parameters' must be a JSON object, got {shown(parameters)}", _FORMS_HINT)
    if parameters.get("type", "object") != "object":
        raise SchemaError(name, "", "type", f"must be 'object', got {shown(parameters['type'])}", _FORMS_HINT)
    return {"type": "object", "properties": {}, **copy.deepcopy(parameters)}


def specs_from_json(text: str, source: str = "tools") -> list[ToolSpec]:
    """The specs in a JSON list of tools of either form; `source` names the text in errors."""
    try:
        items = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"{source} is not JSON: {error}", "give a JSON list of tools") from error
    if not isinstance(items, list):
        raise ToolError(f"{source} must be a JSON list of tools, got {shown(items)}", "put the tools into [ ]")
    specs = [_numbered_spec(source, number, item) for number, item in enumerate(items)]
    refuse_duplicates(spec.name for spec in specs)
    return specs


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _numbered_spec(source: str, number: int, item: JsonValue) -> ToolSpec:
    try:
        return spec_from_schema(item)
    except SchemaError:
        raise  # it names tool, pointer and keyword already
    except ToolError as error:
        raise ToolError(f"{source}, item {number}: {error.message}", error.hint) from error


def refuse_duplicates(names: Iterable[str]) -> None:
    """Raises ToolError for the first name that stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ToolError(f"two tools are called {name!r}", "give each tool its own name")
        seen.add(name)


def check_schema(tool: str, schema: JsonObject) -> None:
    """Raises SchemaError unless `schema` is a JSON Schema whose references all lead to a place inside it."""
    check_against_metaschema(tool, schema)
    for place, reference in _references(schema, []):
        if not _leads_somewhere(schema, reference):
            problem = f"{shown(reference)} leads to no place inside the schema"
            raise SchemaError(tool, _pointer(place), "$ref", problem, "put the definition under $defs; none is fetched")


def _pointer(place: Iterable[str]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)


def _references(node: JsonValue, place: list[str]) -> Iterator[tuple[list[str], str]]:
    """Every `$ref` below `node` with its place; data such as a `default` is no schema and holds none."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _references(item, [*place, str(index)])
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield place, value
            elif key not in _DATA_KEYWORDS or place[-1:] == ["properties"]:
                yield from _references(value, [*place, key])


def _leads_somewhere(schema: JsonObject, reference: str) -> bool:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root: Registry[JsonObject] = Registry()
    try:
        root.resolver_with_root(DRAFT202012.create_resource(schema)).lookup(reference)
    except (Unresolvable, ValueError):
        return False
    return True


def schema_reader(spec: ToolSpec) -> ArgumentReader:
    """The check of a tool that has only its schema: nothing is converted, unknown arguments are refused.

    A schema that says nothing of further properties has none, as in the grammars; `additionalProperties` admits them.
    """
    parameters = spec.parameters
    checked = validator(parameters)

    def read(arguments: JsonObject) -> Arguments:
        problems = _name_problems(parameters, arguments)
        problems += [_problem(error) for error in checked.iter_errors(arguments) if not _is_missing(error)]
        if problems:
            raise refusal(spec.name, problems)
        return Arguments(values=arguments, written=arguments)

    return read


def _name_problems(parameters: JsonObject, arguments: JsonObject) -> list[str]:
    properties, required = parameters.get("properties"), parameters.get("required")
    known = list(properties) if isinstance(properties, dict) else []
    needed = [str(name) for name in required] if isinstance(required, list) else []
    problems = [f"missing argument {name!r}" for name in needed if name not in arguments]
    if "additionalProperties" not in parameters and "patternProperties" not in parameters:
        problems += [unknown("argument", name, known) for name in arguments if name not in known]
    return problems


def _is_missing(error: ValidationError) -> bool:
    return error.validator == "required" and not error.absolute_path and len(error.absolute_schema_path) == 1


def _problem(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    return (f"argument {place}: " if place else "") + _cut(error.message)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"


def refusal(tool: str, problems: list[str]) -> ToolError:
    """The error for arguments with these problems, the first few spelt out."""
    more = len(problems) - MAX_PROBLEMS
    listed = "; ".join(problems[:MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    return ToolError(f"{tool}: {listed}", "call it again with arguments that fit its parameters")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The sentence that refuses an unknown name: near names where there are some, the known ones otherwise."""
    choices = list(known)
    near = difflib.get_close_matches(str(name)[:MAX_NAME_CHARACTERS], choices, n=3, cutoff=0.6)
    if near:
        return f"unknown {kind} {shown(name)}; did you mean {' or '.join(near)}?"
    listed = _cut(", ".join(choices)) or "none"
    return f"unknown {kind} {shown(name)}; known: {listed}"


def shown(value: object) -> str:
    """`value` as a short repr, for messages."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)
