"""JSON Schema to GBNF: what is held is exactly what JSON Schema allows, and everything else is refused by name."""

from __future__ import annotations

import ast
import json
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.errors import SchemaError
from coalm_lite.grammar import check_tools, fill_frame
from coalm_lite.types import JsonObject, JsonValue, ToolSpec
from tests.grammar.gbnf_interpreter import Grammar
from tests.grammar.strategies import Parameters, beside, instances, is_valid, tool, tool_of, unhurried
from tests.grammar.walk import walk


def _hammer(arguments: JsonValue) -> str:
    return json.dumps([{"name": "f", "arguments": arguments}], ensure_ascii=False)


def _bfcl(arguments: JsonValue) -> str:
    assert isinstance(arguments, dict)
    return f"[f({', '.join(f'{name}={value!r}' for name, value in arguments.items())})]"


WRITERS = {"hammer": _hammer, "bfcl": _bfcl}


def _accepts(schema: JsonValue, value: JsonValue) -> bool:
    """Whether both syntaxes accept `value` for a parameter of `schema`; they must agree."""
    answers = {
        Grammar(fill_frame(dialect, [tool_of(schema)])).accepts(write({"v": value}))
        for dialect, write in WRITERS.items()
    }
    assert len(answers) == 1
    return answers.pop()


@unhurried
@given(data=st.data(), schema=Parameters, dialect=st.sampled_from(sorted(WRITERS)))
def test_every_valid_instance_is_accepted_in_its_canonical_form(
    data: st.DataObject, schema: JsonObject, dialect: str
) -> None:
    grammar = Grammar(fill_frame(dialect, [tool(schema)]))
    arguments = data.draw(instances(schema))
    assert is_valid(schema, arguments)
    assert grammar.accepts(WRITERS[dialect](arguments))


@unhurried
@given(data=st.data(), schema=Parameters, dialect=st.sampled_from(sorted(WRITERS)))
def test_a_changed_instance_is_accepted_only_if_json_schema_allows_it(
    data: st.DataObject, schema: JsonObject, dialect: str
) -> None:
    grammar = Grammar(fill_frame(dialect, [tool(schema)]))
    arguments = data.draw(beside(schema))
    assert grammar.accepts(WRITERS[dialect](arguments)) == is_valid(schema, arguments)


def _read_bfcl(text: str) -> list[JsonObject]:
    calls = cast("list[ast.Call]", cast(ast.List, ast.parse(text, mode="eval").body).elts)
    return [{cast(str, part.arg): ast.literal_eval(part.value) for part in call.keywords} for call in calls]


@unhurried
@given(schema=Parameters, choose=st.randoms(use_true_random=False), dialect=st.sampled_from(sorted(WRITERS)))
def test_every_text_of_the_grammar_is_a_valid_call(schema: JsonObject, choose: random.Random, dialect: str) -> None:
    text = walk(Grammar(fill_frame(dialect, [tool(schema)])), choose)
    text.encode()
    if dialect == "hammer":
        assert all(is_valid(schema, call["arguments"]) for call in json.loads(text))
    elif text.startswith("["):
        assert all(is_valid(schema, arguments) for arguments in _read_bfcl(text))


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "string"}, ["", 'it\'s "so"\n', "Zürich 東京 🚆", "\x00\x7f\x85\u2028"], [1, None, ["a"]]),
        ({"type": "integer"}, [0, -7, 10**18 - 1, 1 - 10**18], [10**18, 0.5, "1", True]),
        (
            {"type": "number"},
            [0, -0.0, 1.5, 0.00012345678901234567, 1e-05, 1e16, -2.5e300, 5e-324, 1.6e308],
            ["1", None, True],
        ),
        ({"type": "boolean"}, [True, False], [0, "true", None]),
        ({"type": "null"}, [None], [0, "null", False]),
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3]], [["a"], 1, [None]]),
        ({"type": "object"}, [{}, {"a": [1, {"b": None}]}], [[]]),
        ({"enum": ["a", 1, None, [1, {"b": True}]]}, ["a", 1, None, [1, {"b": True}]], ["b", 2, True, []]),
        ({"type": "string", "enum": ["a", 1, None]}, ["a"], [1, None]),
        ({"type": "integer", "enum": [1, True, "1"]}, [1], [True, "1"]),
        ({"type": "integer", "enum": [2.0, 2.5]}, [2.0], [2.5, 2]),
        ({"const": "only"}, ["only"], ["other", None]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}, [3, None], ["3"]),
        ({"type": "string", "title": "T", "examples": ["a"], "$comment": "c", "deprecated": True}, ["b"], [1]),
        ({"type": "string", "items": {"type": "integer"}, "required": ["a"]}, ["b"], [[1]]),
    ],
)
def test_a_schema_holds_its_values_and_no_others(
    schema: JsonObject, valid: list[JsonValue], invalid: list[JsonValue]
) -> None:
    assert [value for value in valid if not _accepts(schema, value)] == []
    assert [value for value in invalid if _accepts(schema, value)] == []


THREE: JsonObject = {
    "type": "object",
    "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}},
}


@pytest.mark.parametrize("required", [[], ["a"], ["b"], ["c"], ["a", "c"], ["b", "c"], ["a", "b", "c"]])
def test_optional_properties_come_in_any_combination_and_in_schema_order(required: list[str]) -> None:
    schema: JsonObject = {**THREE, "required": [*required]}
    for bits in range(8):
        names = [name for at, name in enumerate("abc") if bits >> at & 1]
        assert _accepts(schema, dict.fromkeys(names)) == set(required).issubset(names)
    assert not _accepts(schema, {"b": None, "a": None, "c": None})


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"type": "string", "pattern": "("}, "/properties/v", "pattern"),
        ({"type": "string", "pattern": 3}, "/properties/v", "pattern"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "/properties/v", "maximum"),
        ({"type": "array", "items": {"type": "string", "maxLength": -2}}, "/properties/v/items", "maxLength"),
        ({"type": "array", "items": [{}]}, "/properties/v", "items"),
        ({"type": "array", "additionalItems": False}, "/properties/v", "additionalItems"),
        ({"type": "object", "properties": {"a/b~": {"not": 3}}}, "/properties/v/properties/a~1b~0", "not"),
        ({"type": "object", "properties": []}, "/properties/v", "properties"),
        ({"type": "object", "required": True}, "/properties/v", "required"),
        ({"type": "object", "dependencies": {}}, "/properties/v", "dependencies"),
        ({"$ref": "#/$defs/a"}, "/properties/v", "$ref"),
        ({"$ref": "https://example.org/a.json"}, "/properties/v", "$ref"),
        ({"anyOf": [{"type": "string"}, {"oneOf": []}]}, "/properties/v/anyOf/1", "oneOf"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/properties/v/allOf/0", "type"),
        ({"anyOf": []}, "/properties/v", "anyOf"),
        ({"enum": ["a"], "const": "b"}, "/properties/v", "enum"),
        ({"enum": []}, "/properties/v", "enum"),
        ({"enum": [1], "type": "string"}, "/properties/v", "enum"),
        ({"type": "String"}, "/properties/v", "type"),
        ({"type": ["string", 3]}, "/properties/v", "type"),
        ({"type": []}, "/properties/v", "type"),
        ({"type": "string", "maxLenght": 3}, "/properties/v", "maxLenght"),
        ({"type": "string", "$schema": "https://example.org/mine"}, "/properties/v", "$schema"),
        ({"type": "object", "properties": {"a": 1}}, "/properties/v/properties/a", "properties"),
        (False, "/properties/v", "false"),
    ],
)
def test_what_cannot_be_held_is_refused_with_tool_pointer_and_keyword(
    schema: JsonValue, pointer: str, keyword: str
) -> None:
    for dialect in ("hammer", "cra", "bfcl", "dst"):
        with pytest.raises(SchemaError) as caught:
            check_tools([tool_of({"type": "string"}, "good"), tool_of(schema, "bad")], dialect)
        assert (caught.value.tool, caught.value.pointer, caught.value.keyword) == ("bad", pointer, keyword)
        assert "'bad'" in str(caught.value) and pointer in str(caught.value)
        assert keyword in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("parameters", [{}, {"type": "string"}, {"type": ["object"]}, {"type": "object", "enum": [{}]}])
def test_parameters_that_are_not_one_object_are_refused(parameters: JsonObject) -> None:
    with pytest.raises(SchemaError, match="parameters are one object"):
        check_tools([ToolSpec("f", "", parameters)], "hammer")


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {"v": {"const": float("nan")}}},
        {"type": "object", "properties": {"v": {"const": "\ud800"}}},
        {"type": "object", "properties": {"v": {"const": {1, 2}}}},
        {"type": "object", "properties": {"v": {"const": 10**5000}}},
    ],
)
def test_parameters_that_are_not_plain_json_are_refused(parameters: JsonObject) -> None:
    with pytest.raises(SchemaError, match="not plain JSON") as caught:
        check_tools([ToolSpec("f", "", parameters)], "hammer")
    assert str(caught.value).encode()


def _nested(levels: int) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize("levels", [120, 5_000, 100_000])
def test_a_schema_nested_too_deep_is_refused(levels: int) -> None:
    check_tools([tool_of(_nested(60))], "hammer")
    with pytest.raises(SchemaError, match="nested deeper" if levels < 200 else "not plain JSON"):
        check_tools([tool_of(_nested(levels))], "hammer")


def test_a_grammar_grows_linearly_with_depth_and_width() -> None:
    def size(levels: int, width: int) -> int:
        schema: JsonObject = {"type": "string"}
        for _ in range(levels):
            properties: JsonObject = {f"p{at}": {"type": "integer"} for at in range(width)}
            schema = {"type": "array", "items": {"type": "object", "properties": {**properties, "deep": schema}}}
        return len(fill_frame("hammer", [tool_of(schema)]))

    base = size(1, 5)
    assert size(20, 5) < 60 * base
    assert size(1, 500) < 110 * base
