"""Names, specs in both forms, schema checks and the check of arguments by schema alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.errors import SchemaError, ToolError
from coalm_lite.tools.schema import schema_reader, spec_from_schema, specs_from_json, valid_name
from coalm_lite.types import JsonObject, JsonValue, ToolSpec

WEATHER: JsonObject = {
    "name": "get_weather",
    "description": "Tell the weather of a day.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
    },
}


def with_parameters(**keywords: JsonValue) -> JsonObject:
    return {"name": "probe", "parameters": {"type": "object", **keywords}}


@pytest.mark.parametrize("name", ["f", "math.sqrt", "Get Weather", "предложить_отель", "a-b/c", "x" * 128])
def test_a_name_that_every_dialect_can_write_is_kept(name: str) -> None:
    assert valid_name(name) == name


@pytest.mark.parametrize("name", ["", " f", "f ", "f(x)", "a,b", "a'b", 'a"b', "a=b", "a:b", "a\\b", "a\nb", "a\x07b"])
def test_a_name_that_a_call_cannot_carry_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(ToolError) as caught:
        valid_name(name)
    assert "printable" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 129, "a[b", "a]b", "a{b", "a}b", "a\u2028b", "a\ud800b", None, 7])
def test_other_bad_names_are_refused_too(name: object) -> None:
    with pytest.raises(ToolError):
        valid_name(name)


def test_the_plain_and_the_openai_form_give_the_same_spec() -> None:
    plain = spec_from_schema(WEATHER)
    assert plain == spec_from_schema({"type": "function", "function": WEATHER})
    assert plain.name == "get_weather"
    assert plain.description == "Tell the weather of a day."
    assert plain.parameters == WEATHER["parameters"]


def test_a_spec_does_not_change_with_the_dictionary_it_came_from() -> None:
    source: JsonObject = json.loads(json.dumps(WEATHER))
    spec = spec_from_schema(source)
    source["parameters"]["properties"].clear()  # type: ignore[index,union-attr,call-overload]  # known to be an object
    assert spec == spec_from_schema(WEATHER)


@pytest.mark.parametrize("openai_form", [False, True])
def test_left_out_parameters_mean_a_tool_without_any(openai_form: bool) -> None:
    body: JsonObject = {"name": "now", "description": "Tell the time."}
    schema: JsonObject = {"type": "function", "function": body} if openai_form else body
    assert spec_from_schema(schema).parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"description": "no name"}, "no 'name'"),
        ({"type": "function"}, "no 'function'"),
        ({"type": "function", "function": {"description": "x"}}, "no 'name'"),
        ({"type": "function", "function": "f"}, "'function' must be a JSON object"),
        ({"type": "retrieval", "function": WEATHER}, "must be 'function', got 'retrieval'"),
        ({"name": "f", "inputSchema": {}}, "no 'parameters', but inputSchema"),
        ({"name": "f", "description": 3}, "'description' must be a string, got 3"),
        ({"name": "f", "parameters": []}, "'parameters' must be a JSON object"),
        ([], "must be a JSON object, got []"),
        (None, "must be a JSON object, got None"),
    ],
)
def test_a_malformed_tool_is_refused_by_what_is_wrong_with_it(schema: JsonValue, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        spec_from_schema(schema)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("parameters", "pointer", "keyword"),
    [
        ({"properties": {"a": {"type": "dict"}}}, "/properties/a", "type"),
        ({"properties": {"a/b": {"items": {"minLength": -1}}}}, "/properties/a~1b/items", "minLength"),
        ({"properties": {"a": {"pattern": "("}}}, "/properties/a", "pattern"),
        ({"properties": []}, "", "properties"),
        ({"properties": {"a": {"$ref": "#/$defs/absent"}}}, "/properties/a", "$ref"),
        ({"properties": {"a": {"$ref": "https://example.org/a.json"}}}, "/properties/a", "$ref"),
        ({"type": "array"}, "", "type"),
    ],
)
def test_a_wrong_schema_is_refused_by_tool_pointer_and_keyword(
    parameters: JsonObject, pointer: str, keyword: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        spec_from_schema({"name": "probe", "parameters": parameters})
    assert (caught.value.tool, caught.value.pointer, caught.value.keyword) == ("probe", pointer, keyword)


def test_a_reference_inside_data_is_data() -> None:
    place: JsonObject = {"$ref": "nowhere"}
    spec = spec_from_schema(with_parameters(properties={"a": {"type": "object", "default": place}}))
    assert spec.parameters["properties"] == {"a": {"type": "object", "default": place}}


def test_a_property_called_default_is_still_checked() -> None:
    with pytest.raises(SchemaError) as caught:
        spec_from_schema(with_parameters(properties={"default": {"$ref": "#/$defs/absent"}}))
    assert caught.value.pointer == "/properties/default"


def test_a_json_list_of_both_forms_gives_its_specs_in_order() -> None:
    text = json.dumps([{"type": "function", "function": WEATHER}, {"name": "now"}])
    assert [spec.name for spec in specs_from_json(text)] == ["get_weather", "now"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{]", "tools.json is not JSON"),
        ('{"name": "f"}', "must be a JSON list"),
        ('[{"name": "f"}, {"nome": "g"}]', "tools.json, item 1: the tool has no 'name'"),
        ('[{"name": "f"}, {"name": "f"}]', "two tools are called 'f'"),
        ('[{"name": "f", "parameters": {"properties": {"a": {"minimum": NaN}}}}]', "NaN is not a JSON number"),
        ("[" * 100_000, "tools.json is not JSON"),
    ],
)
def test_a_bad_tools_text_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        specs_from_json(text, "tools.json")
    assert words in caught.value.message


def test_arguments_that_fit_pass_unchanged() -> None:
    arguments: JsonObject = {"city": "Zürich", "days": 3}
    checked = schema_reader(spec_from_schema(WEATHER))(arguments)
    assert checked.values == arguments
    assert checked.written == arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "get_weather: missing argument 'city'"),
        ({"city": 3}, "argument city: 3 is not of type 'string'"),
        ({"city": "Bern", "days": 0}, "argument days: 0 is less than the minimum of 1"),
        ({"city": "Bern", "day": 1}, "unknown argument 'day'; did you mean days?"),
        ({"city": "Bern", "colour": 1}, "unknown argument 'colour'; known: city, days"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_words(arguments: JsonObject, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        schema_reader(spec_from_schema(WEATHER))(arguments)
    assert words in caught.value.message


def test_a_problem_is_told_once_and_many_problems_are_counted() -> None:
    properties: JsonObject = {f"a{i}": {"type": "integer"} for i in range(9)}
    read = schema_reader(ToolSpec("probe", parameters={"type": "object", "properties": properties}))
    with pytest.raises(ToolError) as caught:
        read(dict.fromkeys(properties, "x"))
    assert caught.value.message.count("is not of type") == 5
    assert caught.value.message.endswith("and 4 more")


def test_a_missing_nested_property_is_named_with_its_place() -> None:
    inner: JsonObject = {"type": "object", "properties": {"x": {}}, "required": ["x"]}
    read = schema_reader(spec_from_schema(with_parameters(properties={"point": inner})))
    with pytest.raises(ToolError) as caught:
        read({"point": {}})
    assert "argument point: 'x' is a required property" in caught.value.message


@pytest.mark.parametrize("admitting", [{"additionalProperties": True}, {"patternProperties": {"^x": {}}}])
def test_a_schema_that_admits_further_properties_gets_them(admitting: JsonObject) -> None:
    read = schema_reader(spec_from_schema(with_parameters(**admitting)))
    assert read({"xtra": 1}).values == {"xtra": 1}


def test_references_inside_the_schema_are_followed_and_formats_checked() -> None:
    day: JsonObject = {"type": "string", "format": "date"}
    parameters: JsonObject = {"properties": {"day": {"$ref": "#/$defs/day"}}, "$defs": {"day": day}}
    read = schema_reader(spec_from_schema(with_parameters(**parameters)))
    assert read({"day": "2031-02-28"}).values == {"day": "2031-02-28"}
    with pytest.raises(ToolError, match="is not a 'date'"):
        read({"day": "2031-02-30"})


@given(st.text())
def test_a_name_is_kept_as_it_is_or_refused(name: str) -> None:
    try:
        assert valid_name(name) == name
    except ToolError as error:
        assert error.hint
    else:
        assert not set(name) & set("()[]{},'\"=:\\\n\r\t")
