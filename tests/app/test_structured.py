"""Structured output: values of schemas and types, on the real model and on a scripted one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from coalm_lite.app.assistant import Assistant
from coalm_lite.app.shared import SharedDesk
from coalm_lite.app.structured import shape_of_schema, shape_of_type
from coalm_lite.errors import MalformedOutputError, SchemaError, ToolError, TruncatedOutputError
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.types import JsonObject, JsonValue, Sampling
from tests.app.talking import scripted

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Table(BaseModel):
    """Book a table at a restaurant."""

    name: str
    people: Annotated[int, Field(ge=1, le=20)]
    day: Day
    time: str


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


@dataclass
class Stay:
    nights: int
    begins: date


def even(number: int) -> int:
    if number % 2:
        raise ValueError("the number must be even")
    return number


class Pairs(BaseModel):
    count: Annotated[int, AfterValidator(even)]


@pytest.fixture(scope="module")
def nano(nano_path: Path) -> Iterator[Assistant]:
    with SharedDesk(LlamaEngine.load(nano_path, threads=1)) as desk, Assistant(desk) as assistant:
        yield assistant


def written(name: str, arguments: str) -> str:
    return f'[{{"name": "{name}", "arguments": {arguments}}}]'


def test_the_model_fills_a_pydantic_model_from_words(nano: Assistant) -> None:
    table = nano.call(Table, "Book a table at Bella for 4 people on friday at 19:00.")
    assert table == Table(name="Bella", people=4, day="friday", time="19:00")
    assert nano.messages == ()


def test_the_model_fills_a_schema_from_words(nano: Assistant) -> None:
    schema: JsonObject = {
        "title": "find_hotels",
        "type": "object",
        "properties": {"area": {"enum": ["north", "south"]}, "stars": {"type": "integer", "minimum": 0, "maximum": 5}},
        "required": ["area", "stars"],
    }
    assert nano.call(schema, "I need a four star hotel in the south.") == {"area": "south", "stars": 4}


@pytest.mark.parametrize("words", ["", "hello", "§$%&", "no number here", "x" * 300])
def test_whatever_is_said_the_value_is_of_the_schema(nano: Assistant, words: str) -> None:
    schema: JsonObject = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 3}
    value = nano.call(schema, words)
    assert isinstance(value, list)
    assert 1 <= len(value) <= 3
    assert set(map(str, value)) <= {"1", "2"}


SHAPES: list[tuple[JsonObject, str, JsonValue]] = [
    ({"type": "integer"}, '{"value": 7}', 7),
    ({"type": ["string", "null"]}, '{"value": null}', None),
    ({"enum": ["a", 1]}, '{"value": 1}', 1),
    ({}, '{"value": [1, "x"]}', [1, "x"]),
    ({"type": "object"}, '{"value": {"free": 1}}', {"free": 1}),
    (
        {"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "number"}}},
        '{"value": [1.5]}',
        [1.5],
    ),
    ({"type": "object", "properties": {"a": {"type": "boolean"}}}, '{"a": true}', {"a": True}),
]


@pytest.mark.parametrize(("schema", "arguments", "value"), SHAPES)
def test_any_schema_becomes_arguments_and_back(schema: JsonObject, arguments: str, value: JsonValue) -> None:
    text = written("answer", arguments)
    assert shape_of_schema(schema).grammar.accepts(text)
    with scripted(text) as assistant:
        assert assistant.call(schema, "go") == value


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "value"),
    [
        (
            Tree,
            "Tree",
            '{"value": {"label": "a", "children": [{"label": "b"}]}}',
            Tree(label="a", children=[Tree(label="b")]),
        ),
        (Stay, "Stay", '{"nights": 2, "begins": "2026-05-01"}', Stay(2, date(2026, 5, 1))),
        (list[str], "list", '{"value": ["Rome"]}', ["Rome"]),
        (dict[str, int], "dict", '{"value": {"a": 1}}', {"a": 1}),
        (Day, "Literal", '{"value": "friday"}', "friday"),
    ],
)
def test_any_type_becomes_arguments_and_back(kind: type[object], name: str, arguments: str, value: object) -> None:
    text = written(name, arguments)
    assert shape_of_type(kind).grammar.accepts(text)
    with scripted(text) as assistant:
        assert assistant.call(kind, "go") == value


def test_the_grammar_demands_one_call_and_no_other_property() -> None:
    grammar = shape_of_type(Pairs).grammar
    assert grammar.accepts(written("Pairs", '{"count": 2}'))
    for text in ("[]", written("Other", '{"count": 2}'), written("Pairs", '{"count": 2, "more": 1}'), "words"):
        assert not grammar.accepts(text)


def test_what_the_grammar_cannot_hold_is_told_to_the_model_which_tries_once_more() -> None:
    engine = ScriptedEngine([written("Pairs", '{"count": 3}'), written("Pairs", '{"count": 4}')], 16384)
    with scripted(engine=engine, system="Count well.") as assistant:
        assert assistant.call(Pairs, "about three") == Pairs(count=4)
        first, second = engine.prompts
        assert "Count well." in first
        assert "about three" in first
        assert "must be even" not in first
        assert "argument count: Value error, the number must be even" in second
        assert '{"count": 3}' in second
        assert assistant.messages == ()


def test_after_two_tries_it_is_an_error_that_says_what_was_wrong() -> None:
    with scripted(*[written("Pairs", '{"count": 3}')] * 2, "System: next") as assistant:
        with pytest.raises(MalformedOutputError, match=r"in 2 tries .* must be even"):
            assistant.call(Pairs, "three")
        assert assistant.ask("and now?").text == "next"


def test_a_value_that_the_token_limit_cut_is_no_value(nano_path: Path) -> None:
    with SharedDesk(LlamaEngine.load(nano_path, threads=1)) as desk:
        assistant = Assistant(desk, sampling=Sampling(max_tokens=8))
        with pytest.raises(TruncatedOutputError, match="cut at 8 tokens"):
            assistant.call(Table, "Book a table at Bella for 4 people on friday at 19:00.")


def test_what_cannot_be_held_is_refused_before_the_model_is_asked() -> None:
    schema: JsonObject = {"type": "array", "items": {"$ref": "#/items"}}
    with scripted() as assistant:
        with pytest.raises(SchemaError, match=r"\$ref.*leads out of \$defs"):
            assistant.call(schema, "x")
        with pytest.raises(SchemaError, match="minLength"):
            assistant.call({"type": "string", "minLength": 3, "maxLength": 1}, "x")
        with pytest.raises(ToolError, match="cannot be asked for"):
            assistant.call(threading.Event, "x")
