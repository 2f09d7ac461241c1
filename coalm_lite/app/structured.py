"""Structured output: a text's content as a value of a JSON schema, or of a type that pydantic knows.

The model is asked in the hammer form, which CoALM was trained on: the schema is the one function at hand, and the
grammar demands exactly one call of it, so that the arguments are the value; what cannot be arguments (a list, a number)
is the argument `value`. What GBNF cannot hold (keywords.py of grammar/ has the list; a model's own validators) is
checked after parsing; then the model reads what was wrong and gets one more try. Nothing is converted for a schema; a
type is validated as pydantic does, from JSON. An object has no other properties than those that are named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from coalm_lite.decoding.desk import Desk
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.dialects import hammer
from coalm_lite.errors import (
    AnswerCancelledError,
    MalformedOutputError,
    SchemaError,
    ToolError,
    TruncatedOutputError,
    UsageError,
)
from coalm_lite.grammar import Grammar, compile_frame
from coalm_lite.runtime.base import Cancel
from coalm_lite.tools.describe import plain_schema
from coalm_lite.tools.schema import refusal, schema_reader, shown, spec_from_schema, valid_name
from coalm_lite.types import JsonObject, JsonValue, Message, Sampling, ToolSpec

Value = TypeVar("Value")
_TRIES = 2
_NAME = "answer"
_VALUE = "value"
_DEFINITIONS = ("$defs", "definitions")


@dataclass(frozen=True, slots=True)
class Shape(Generic[Value]):
    """What is asked for: the function that the model calls, and the check that turns its arguments into the value.

    `read` raises ToolError in words for the model.
    """

    spec: ToolSpec
    read: Callable[[JsonObject], Value]

    @property
    def grammar(self) -> Grammar:
        """Exactly one call; SchemaError where it cannot be held."""
        return compile_frame(hammer.NAME, [self.spec], hammer.parse, "one")


def shape_of_schema(schema: JsonObject) -> Shape[JsonValue]:
    """The shape of a JSON schema's values; SchemaError for a schema that cannot be held."""
    wrapped = schema.get("type", "object") != "object" or not isinstance(schema.get("properties"), dict)
    parameters = _as_argument(schema) if wrapped else schema
    description = schema.get("description", "")
    described: JsonObject = {"name": _name(schema.get("title")), "description": description, "parameters": parameters}
    spec = spec_from_schema(described)
    check = schema_reader(spec)

    def read(arguments: JsonObject) -> JsonValue:
        checked = check(arguments).written
        return checked[_VALUE] if wrapped else checked

    return Shape(spec, read)


def shape_of_type(kind: type[Value]) -> Shape[Value]:
    """The shape of a pydantic model's, a dataclass's or another type's values; ToolError if JSON cannot carry it."""
    from pydantic import TypeAdapter, ValidationError

    name = _name(getattr(kind, "__name__", None))
    try:
        adapter: TypeAdapter[Value] = TypeAdapter(kind)
        schema = adapter.json_schema()
    except Exception as error:  # building a type runs the user's own hooks
        hint = "Give a JSON schema, or a type that JSON can carry: a pydantic model, a dataclass, list[str]."
        raise ToolError(f"{shown(kind)} cannot be asked for: {str(error).splitlines()[0]}", hint) from error
    wrapped = schema.get("type") != "object" or "properties" not in schema
    parameters = plain_schema(_as_argument(schema) if wrapped else schema, {})
    spec = ToolSpec(name, str(schema.get("description", "")), parameters)

    def read(arguments: JsonObject) -> Value:
        try:
            return adapter.validate_json(json.dumps(arguments[_VALUE] if wrapped else arguments))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            raise refusal(name, [f"{_place(each['loc'])}{each['msg']}" for each in details]) from error

    return Shape(spec, read)


def _place(location: tuple[int | str, ...]) -> str:
    return f"argument {'.'.join(map(str, location))}: " if location else ""


def _name(wanted: object) -> str:
    """The function's name: the wanted one where a call can carry it."""
    try:
        return valid_name(wanted)
    except ToolError:
        return _NAME


def _as_argument(schema: JsonObject) -> JsonObject:
    """An arguments object whose one argument is of the schema; its definitions stay where references look for them."""
    inner = {key: value for key, value in schema.items() if key not in _DEFINITIONS}
    for reference in _references(inner):
        if not reference.startswith(tuple(f"#/{key}/" for key in _DEFINITIONS)):
            hint = "Put what is referred to under $defs."
            raise SchemaError(_NAME, "", "$ref", f"{reference!r} leads out of $defs in a schema of no object", hint)
    kept = {key: schema[key] for key in _DEFINITIONS if key in schema}
    return {"type": "object", "properties": {_VALUE: inner}, "required": [_VALUE], **kept}


def _references(node: JsonValue) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


class Extraction(Generic[Value]):
    """One request for a value; `short`: the brief instructions of coalm-nano."""

    def __init__(self, desk: Desk, shape: Shape[Value], *, system: str, sampling: Sampling, short: bool) -> None:
        self._desk = desk
        self._shape = shape
        self._grammar = shape.grammar
        self._system = [Message("system", system)] if system else []
        self._sampling = sampling
        self._short = short

    def values(self, text: str, cancel: Cancel) -> Iterator[Value]:
        """The one value that the model finds in `text`.

        Raises AnswerCancelledError when `cancel` is set, TruncatedOutputError when the token limit cut it,
        MalformedOutputError when both tries give what does not fit.
        """
        asked = [Message("user", text)]
        problem = ""
        for _ in range(_TRIES):
            reply = self._written(asked, cancel)
            try:
                yield self._shape.read(reply.calls[0].arguments)
                return
            except ToolError as error:
                problem = error.message
            asked += [reply, Message("tool", json.dumps({"error": problem}, ensure_ascii=False))]
        hint = "Say in the text or in the schema's descriptions what is wanted, or use a larger model."
        raise MalformedOutputError(f"in {_TRIES} tries the model gave nothing that fits: {problem}", hint)

    def _written(self, asked: list[Message], cancel: Cancel) -> Message:
        prompt = hammer.render([*self._system, *asked], [self._shape.spec], self._short)
        request = Request(self._desk.tokenize(prompt), self._sampling, self._grammar, cancel)
        for part in self._desk.answer(request):
            if isinstance(part, Generated):
                return self._read(part)
        raise AssertionError("an answer ends with Generated")

    def _read(self, generated: Generated) -> Message:
        if generated.reason == "cancelled":
            raise AnswerCancelledError("the request was cancelled before there was a value")
        limit = self._sampling.max_tokens
        if generated.reason == "length" or generated.counts.completed:
            raise TruncatedOutputError(f"the value was cut at {limit} tokens", "Raise the sampling's max_tokens.")
        return hammer.parse(generated.text)


def checked_words(text: object) -> str:
    """`text`; UsageError for what is no text or has half a character."""
    if not isinstance(text, str):
        raise UsageError(f"the request is {shown(text)}, and not a text", "Give a str.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f"the request has half a character at {error.start}: {shown(text)}"
        raise UsageError(problem, "Decode what it was made of with errors='replace'.") from error
    return text
