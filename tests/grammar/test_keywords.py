"""Each keyword in both syntaxes: the values that it allows are accepted, others are not, by the rules or the check."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from coalm_lite.errors import SchemaError
from coalm_lite.grammar import Grammar, Held, compile_schema
from coalm_lite.types import JsonObject, JsonValue
from tests.grammar.gbnf_interpreter import Grammar as Interpreter

NODE: JsonObject = {
    "type": "object",
    "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
    "required": ["v"],
    "additionalProperties": False,
}
PATTERNS: JsonObject = {
    "type": "object",
    "patternProperties": {"^x": {"type": "integer"}, "y$": {"maximum": 5}},
    "additionalProperties": False,
}
CASES: list[tuple[JsonObject, list[JsonValue], list[JsonValue]]] = [
    ({}, [1, "a", None, {"a": [1, {"b": None}]}, [], [[]], True], []),
    ({"type": "string", "pattern": r"^[a-z]+\d?$"}, ["a", "ab1"], ["", "A", "a12"]),
    ({"type": "string", "pattern": "['\"]"}, ["'", '"', "a'b\"", "\x01'\u2028\U0001f600"], ["", "A"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "a\n", "é\U0001f600", "'\"'"], ["", "A", "a124"]),
    ({"type": "string", "maxLength": 5000}, ["a" * 5000], ["a" * 5001]),
    ({"type": "string", "maxLength": 10**6}, ["a" * 300], ["a" * (10**6 + 1)]),
    ({"type": "string", "pattern": "^a*$", "minLength": 2, "maxLength": 3}, ["aa", "aaa"], ["", "a", "ab", "aaaa"]),
    ({"type": "string", "pattern": "^(?=.*a)b"}, ["ba"], ["b"]),
    ({"type": "string", "format": "date"}, ["2024-02-29", "2023-12-31"], ["2023-02-29", "0000-01-01", "x"]),
    ({"type": "string", "format": "ipv6"}, ["::1"], ["x"]),
    ({"type": "integer", "minimum": -3, "exclusiveMaximum": 10}, [-3, 0, 9], [-4, 10]),
    ({"type": "number", "minimum": -0.5, "maximum": 1e5}, [-0.5, 0, 1e-7, 100000.0, 100000], [-1, 100000.1, 1e6]),
    ({"type": "integer", "multipleOf": 3}, [3], [4]),
    (
        {"type": "array", "prefixItems": [{"type": "integer"}, {}], "items": {"type": "boolean"}, "minItems": 1},
        [[1], [1, "a"], [1, "a", True, False]],
        [[], ["a"], [1, "a", 1]],
    ),
    ({"type": "array", "minItems": 2, "maxItems": 200, "items": {"type": "null"}}, [[None] * 200], [[None]]),
    ({"type": "array", "uniqueItems": True, "contains": {"const": 1}}, [[1, 2]], [[1, 1], [2]]),
    (
        {"properties": {"a": {"type": "integer"}}, "required": ["b", "a"]},
        [{"a": 1, "b": 3}, {"a": 1, "b": [], "c": 1}, 5],
        [{"a": 1}, {"a": "x", "b": 1}],
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "ab": {}},
            "additionalProperties": {"type": "string"},
        },
        [{"a": 1, "c": "x"}, {"": "1"}, {"abc": "s", "b": "t"}],
        [{"a": "1"}, {"c": 1}],
    ),
    (PATTERNS, [{"x": 1}, {"y": 2.5}, {"xy": 3}, {}], [{"z": 1}, {"xy": 6}, {"xy": 2.5}, {"x": "a"}]),
    ({"type": "object", "minProperties": 1, "propertyNames": {"pattern": "^a"}}, [{"a": 1}], [{}, {"b": 1}]),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}], "maximum": 3}, [3, "a"], [4, "ab", None]),
    ({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]}, [1, 2.5], [3, 1.5]),
    (
        {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"], "type": "object"}]},
        [{"a": 3}],
        [{"a": "x"}, {}, 3],
    ),
    ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, [{"v": 1, "next": {"v": 2}}], [{"next": {"v": 1}}]),
    ({"type": ["integer", "null"], "enum": [1, None, "a"]}, [1, None], ["a"]),
    ({"type": "string", "nullable": True}, ["a", None], [1]),
    ({"not": {"type": "string"}}, [1], ["a"]),
    ({"if": {"const": 1}, "then": {"const": 2}}, [3], [1]),
]


def _written(value: JsonValue, syntax: str) -> str:
    return json.dumps(value, ensure_ascii=False) if syntax == "json" else repr(value)


@pytest.mark.parametrize("syntax", ["json", "python"])
@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_a_keyword_allows_its_values_and_no_others(
    schema: JsonObject, valid: list[JsonValue], invalid: list[JsonValue], syntax: Literal["json", "python"]
) -> None:
    grammar = compile_schema(schema, syntax=syntax)
    assert [value for value in valid if not grammar.accepts(_written(value, syntax))] == []
    assert [value for value in invalid if grammar.accepts(_written(value, syntax))] == []


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_the_printed_grammar_is_the_same_language(
    schema: JsonObject, valid: list[JsonValue], invalid: list[JsonValue]
) -> None:
    grammar = compile_schema(schema)
    printed = Interpreter(grammar.gbnf)
    for value in [*valid, *invalid]:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) < 1000:
            assert printed.accepts(text) == _by_rules(grammar, text)


def _by_rules(grammar: Grammar, text: str) -> bool:
    state = grammar.start.advance(text)
    return state is not None and state.may_end


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        (False, "false"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "false"),
        ({"allOf": [{"$ref": "#"}]}, "$ref"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"required": ["x"], "properties": {"x": {"$ref": "#/$defs/a"}}, "type": "object"}},
            },
            "$ref",
        ),
        ({"type": "string", "pattern": "a$b"}, "pattern"),
    ],
)
def test_what_allows_nothing_is_refused(schema: JsonObject | bool, keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        compile_schema(schema)
    assert caught.value.keyword == keyword and caught.value.hint


def test_explain_tells_grammar_check_and_annotation_apart() -> None:
    schema: JsonObject = {"type": "string", "pattern": "^a", "format": "colour", "title": "T", "not": {"const": "ab"}}
    held = {one.keyword: one for one in compile_schema(schema, "paint").explain()}
    assert {keyword: one.how for keyword, one in held.items()} == {
        "type": "grammar",
        "pattern": "grammar",
        "format": "annotation",
        "title": "annotation",
        "not": "check",
    }
    assert held["not"] == Held("paint", "", "not", "check")
    assert "colour" in held["format"].note


def test_the_same_schema_gives_the_same_object() -> None:
    assert compile_schema({"type": "string", "maxLength": 3}) is compile_schema({"type": "string", "maxLength": 3})
