"""The automaton: what is forced, states that branch, bytes that end inside characters."""

from __future__ import annotations

import pytest

from coalm_lite import dialects
from coalm_lite.grammar import compile_schema
from coalm_lite.types import JsonObject, ToolSpec

CITY: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
}
TOOLS = [ToolSpec("get_weather", "", CITY), ToolSpec("get_time")]


@pytest.mark.parametrize(
    ("prefix", "forced"),
    [
        ("", "["),
        ("[", ""),
        ("[{", '"name": "get_'),
        ('[{"name": "get_w', 'eather", "arguments": {"city": "'),
        ('[{"name": "get_weather", "arguments": {"city": "Par', ""),
        ('[{"name": "get_weather", "arguments": {"city": "Paris"', ', "unit": "'),
        ('[{"name": "get_weather", "arguments": {"city": "Paris", "unit": "c', 'elsius"}}'),
        ('[{"name": "get_time"', ', "arguments": {}}'),
        ("[]", ""),
        ("no such text", ""),
    ],
)
def test_the_text_that_must_come_is_known_frame_included(prefix: str, forced: str) -> None:
    assert dialects.get("hammer").compiled(TOOLS).forced(prefix) == forced


def test_a_dialects_grammar_checks_the_calls_in_a_text() -> None:
    odd: JsonObject = {"type": "object", "properties": {"n": {"type": "integer", "not": {"const": 3}}}}
    written = {
        "bfcl": "[f(n={})]",
        "cra": "Action: f(n={})",
        "hammer": '[{{"name": "f", "arguments": {{"n": {}}}}}]',
    }
    for dialect, text in written.items():
        grammar = dialects.get(dialect).compiled([ToolSpec("f", "", odd)])
        assert grammar.accepts(text.format(4))
        assert not grammar.accepts(text.format(3))


def test_a_state_stays_what_it_was_while_others_go_on_from_it() -> None:
    start = compile_schema({"enum": ["abc", "abd"]}).start
    middle = start.advance('"ab')
    assert middle is not None and middle.forced() == ""
    left, right = middle.advance("c"), middle.advance("d")
    assert left is not None and right is not None
    assert (left.forced(), right.forced(), middle.may_end) == ('"', '"', False)
    assert middle.advance("e") is None


def test_bytes_may_end_inside_a_character_only_where_one_may_come() -> None:
    start = compile_schema({"const": "é"}).start
    opened = start.advance_bytes(b'"\xc3')
    assert opened is not None and not opened.may_end and opened.forced() == "" and opened.next_characters() == []
    whole = opened.advance_bytes(b'\xa9"')
    assert whole is not None and whole.may_end
    assert opened.advance_bytes(b"\xaa") is None
    assert opened.advance("a") is None
    for wrong in (b'"\xc4', b'"\xff', b'"\xe9', b'"\xc3"'):
        assert start.advance_bytes(wrong) is None


def test_long_texts_and_many_states_are_read() -> None:
    grammar = compile_schema({"type": "string", "maxLength": 60_000})
    assert grammar.accepts(f'"{"a" * 60_000}"') and not grammar.accepts(f'"{"a" * 60_001}"')
    assert len(grammar.gbnf) < 2000
