"""The dialects' frames: calls or none, how many, in which form; the files themselves; tools' names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from coalm_lite import dialects
from coalm_lite.errors import SchemaError, UsageError
from coalm_lite.grammar import check_tools, compile_frame, fill_frame
from coalm_lite.types import JsonObject, ToolSpec
from tests.grammar.gbnf_interpreter import Grammar
from tests.grammar.strategies import tool_of

DIALECTS = ("bfcl", "cra", "dst", "hammer")
TOOLS = [tool_of({"type": "integer"}, "f"), ToolSpec("g.h i")]
NO_CALL = {
    "bfcl": ["[]", "No function fits.", "é", "I (sadly) [cannot]\n\n- so", "x" * 4096],
    "cra": ["System: Hello!", "System: One\n\n- two", "Thought: I greet them.\nSystem: Hi"],
    "dst": ["[]"],
    "hammer": ["[]"],
}
ONE_CALL = {
    "bfcl": "[f(v=1)]",
    "cra": "Action: f(v=1)",
    "dst": '[{"domain": "f", "slot_values": {"v": 1}}]',
    "hammer": '[{"name": "f", "arguments": {"v": 1}}]',
}
NO_ARGUMENTS = {
    "bfcl": "[g.h i()]",
    "cra": "Thought: a b\nAction: g.h i()",
    "dst": '[{"domain": "g.h i", "slot_values": {}}]',
    "hammer": '[{"name": "g.h i", "arguments": {}}]',
}
NEVER = {
    "bfcl": [
        "",
        " x",
        "\nx",
        "\u2003x",
        "[ ]",
        "[f(v=1)",
        "[f(v=1)].",
        "[f(1)]",
        "[f(v=1),g.h i()]",
        "x" * 4097,
        "a\x07",
    ],
    "cra": [
        "",
        "Hello",
        "System:Hello",
        "System: ",
        "Thought: a\n",
        "Thought: a\nThought: b\nSystem: c",
        "Thought:  a\nSystem: c",
        "Action: f(v=1)\n",
        "Action: f(v=1)\nSystem: c",
        "Action: f( v=1)",
        "Action: f({'v': 1})",
    ],
    "dst": ["", "[ ]", '{"domain": "f", "slot_values": {"v": 1}}', '[{"domain": "f"}]'],
    "hammer": ["", "[", "[]\n", '[{"name":"f","arguments":{"v":1}}]', '[{"name": "x", "arguments": {}}]', "No."],
}


def _calls(dialect: str, count: int) -> str:
    one = ONE_CALL[dialect]
    return "\n".join([one] * count) if dialect == "cra" else f"[{', '.join([one[1:-1]] * count)}]"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_frame_accepts_its_form_and_nothing_else(dialect: str) -> None:
    grammar = Grammar(fill_frame(dialect, TOOLS))
    accepted = [*NO_CALL[dialect], ONE_CALL[dialect], NO_ARGUMENTS[dialect]]
    assert [text for text in accepted if not grammar.accepts(text)] == []
    assert [text for text in NEVER[dialect] if grammar.accepts(text)] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_to_eight_calls_are_accepted_and_not_nine(dialect: str) -> None:
    grammar = Grammar(fill_frame(dialect, TOOLS))
    assert [count for count in range(1, 12) if grammar.accepts(_calls(dialect, count))] == list(range(1, 9))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_tools_only_abstention_is_left(dialect: str) -> None:
    text = fill_frame(dialect, [])
    grammar = Grammar(text)
    assert "call" not in text
    assert all(grammar.accepts(answer) for answer in NO_CALL[dialect])
    assert not grammar.viable(ONE_CALL[dialect][:9])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_placeholder_is_filled_and_no_rule_is_defined_twice(dialect: str) -> None:
    for tools in ([], TOOLS[:1], TOOLS):
        text = fill_frame(dialect, tools)
        assert "<name>" not in text and "<arguments>" not in text
        Grammar(text)  # raises for an undefined rule and for one defined twice


def test_a_name_that_looks_like_a_placeholder_stays_a_name() -> None:
    grammar = Grammar(fill_frame("hammer", [ToolSpec('<arguments> <name> "\\1"')]))
    call = {"name": '<arguments> <name> "\\1"', "arguments": {}}
    assert grammar.accepts(json.dumps([call]))


def test_python_keywords_and_other_alphabets_are_parameter_names() -> None:
    properties: JsonObject = {name: {"type": "null"} for name in ("from", "class", "città", "_x1", "名")}
    grammar = Grammar(fill_frame("cra", [ToolSpec("f", "", {"type": "object", "properties": properties})]))
    assert grammar.accepts("Action: f(from=None, class=None, città=None, _x1=None, 名=None)")


@pytest.mark.parametrize("name", ["a b", "1st", "a-b", "a=b", "", "a'b", "a,b", "(a)", "a.b", "a\n"])
def test_a_parameter_that_cannot_be_written_as_name_value_is_refused_where_that_is_the_form(name: str) -> None:
    spec = ToolSpec("f", "", {"type": "object", "properties": {name: {"type": "null"}}})
    check_tools([spec], "hammer")
    check_tools([spec], "dst")
    for dialect in ("bfcl", "cra"):
        with pytest.raises(SchemaError, match="name=value") as caught:
            check_tools([spec], dialect)
        assert caught.value.pointer == f"/properties/{name}"


@pytest.mark.parametrize(
    "name", ["a(b", "a)", "[a]", "a,b", "a=b", "a:b", "a'", 'a"', "a\\b", " a", "a ", "a\nb", "a\u2028"]
)
def test_a_tool_name_that_cannot_stand_before_a_parenthesis_is_refused_where_that_is_the_form(name: str) -> None:
    check_tools([ToolSpec(name)], "hammer")
    for dialect in ("bfcl", "cra"):
        with pytest.raises(SchemaError, match="before a parenthesis"):
            check_tools([ToolSpec(name)], dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("tools", "problem"), [([ToolSpec("")], "is empty"), ([ToolSpec("a")] * 2, "two tools")])
def test_an_empty_and_a_repeated_tool_name_are_refused(dialect: str, tools: list[ToolSpec], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        check_tools(tools, dialect)


def test_a_tool_name_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(SchemaError, match="not plain JSON"):
        check_tools([ToolSpec("\ud800")], "hammer")


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'json'") as caught:
        fill_frame("json", [])
    assert all(dialect in caught.value.hint for dialect in DIALECTS)


def test_the_same_tools_give_the_same_grammar_object_and_changed_tools_another() -> None:
    first = fill_frame("hammer", [tool_of({"type": "integer"})])
    assert fill_frame("hammer", [tool_of({"type": "integer"})]) is first
    assert fill_frame("hammer", [tool_of({"type": "string"})]) != first


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_can_be_demanded_and_more_than_one_refused(dialect: str) -> None:
    read = dialects.get(dialect).parse
    one = dialects.get(dialect).render_reply(read(ONE_CALL[dialect]))
    two = dialects.get(dialect).render_reply(replace(read(one), calls=read(one).calls * 2))
    some, single = (compile_frame(dialect, TOOLS, read, wanted) for wanted in ("some", "one"))
    assert [some.accepts(text) for text in (one, two)] == [True, True]
    assert [single.accepts(text) for text in (one, two)] == [True, False]
    for text in NO_CALL[dialect]:
        assert not some.accepts(text)
        assert not single.accepts(text)
    at_most_one = compile_frame(dialect, TOOLS, read, "one or none")
    assert [at_most_one.accepts(text) for text in (one, two, NO_CALL[dialect][0])] == [True, False, True]
    assert compile_frame(dialect, TOOLS, read).accepts(NO_CALL[dialect][0])  # the rules are each wish's own
    with pytest.raises(UsageError, match="no tools"):
        compile_frame(dialect, [], read, "some")


GRAMMAR_FILES = sorted(entry.name for entry in files("coalm_lite.grammars").iterdir() if entry.name.endswith(".gbnf"))


def test_there_is_a_frame_for_each_dialect_beside_the_value_files() -> None:
    expected = [f"{name}.gbnf" for name in (*DIALECTS, "json", "python", "values")]
    assert sorted(expected) == GRAMMAR_FILES


@pytest.mark.parametrize("name", GRAMMAR_FILES)
def test_no_grammar_file_excludes_characters(name: str) -> None:
    """llama.cpp refuses a token that ends inside a character whenever an excluded range may still be met."""
    text = files("coalm_lite.grammars").joinpath(name).read_text(encoding="utf-8")
    assert not re.search(r"\[\^", text)
    assert max(int(most) for most in re.findall(r"[{,](\d+)\}", text) or ["0"]) <= 64


@pytest.mark.parametrize("name", GRAMMAR_FILES)
def test_the_readme_of_the_grammars_names_each_file(name: str) -> None:
    readme = Path(__file__).parents[2] / "grammars" / "README.md"
    assert f"`{name}`" in readme.read_text(encoding="utf-8")
