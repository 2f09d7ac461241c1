"""The shortest ending of a text: it completes the text, and nothing shorter does."""

from __future__ import annotations

import random
import sys
import time

import pytest
from grammar_schemas import draw

from coalm_lite import dialects
from coalm_lite.errors import SchemaError
from coalm_lite.grammar import Grammar, State, compile_schema, ir
from coalm_lite.grammar.automaton import Automaton
from coalm_lite.types import JsonObject, Message, ToolCall, ToolSpec

NOTE: JsonObject = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["home", "work"]}}},
    "required": ["text"],
}
TOOLS = [ToolSpec("write_note", "", NOTE), ToolSpec("list_notes")]


def ending(grammar: Grammar, text: str | bytes) -> str:
    """What completes the text."""
    state = grammar.start.advance_bytes(text.encode() if isinstance(text, str) else text)
    assert state is not None
    assert len(state.ending()) == state.ending_bytes
    return state.ending().decode(errors="surrogateescape")


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ("", "[]"),
        ("[", "]"),
        ("[{", '"name": "list_notes", "arguments": {}}]'),
        ('[{"name": "write_note"', ', "arguments": {"text": ""}}]'),
        ('[{"name": "write_note", "arguments": {"text": "   ', '"}}]'),
        ('[{"name": "write_note", "arguments": {"text": "\\', 'n"}}]'),
        ('[{"name": "write_note", "arguments": {"text": "", "tags": [', "]}}]"),
        ('[{"name": "write_note", "arguments": {"text": "", "tags": ["w', 'ork"]}}]'),
        ("[]", ""),
    ],
)
def test_a_call_begun_is_completed_and_none_is_added(begun: str, rest: str) -> None:
    assert ending(dialects.get("hammer").compiled(TOOLS), begun) == rest


@pytest.mark.parametrize(
    ("begun", "rest"), [("Thought: so", "\nSystem: ."), ("System: so", ""), ("Action: w", "rite_note(text='')")]
)
def test_where_no_call_was_begun_words_are_said(begun: str, rest: str) -> None:
    found = ending(dialects.get("cra").compiled(TOOLS), begun)
    assert found.replace('"', "'") == rest


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (b'"\xe6', b'\x97\xa5"'),
        (b'"\xe6\x97', b'\xa5"'),
        (b'"\xc3', b'\xbc"'),
        (b'"', b'"'),
        (b'"a\xf0', b'\x9f\x9a\x86"'),
    ],
)
def test_a_character_begun_is_finished_first(begun: bytes, rest: bytes) -> None:
    state = compile_schema({"type": "string", "pattern": "^a?[日ü🚆]*$"}).start.advance_bytes(begun)
    assert state is not None and (state.ending(), state.ending_bytes) == (rest, len(rest))


def test_bounds_patterns_and_recursion_are_held() -> None:
    tree: JsonObject = {
        "$defs": {"node": {"type": "object", "properties": {"kind": {"type": "string", "pattern": "^[A-Z]{2}\\d$"},
                                                            "inner": {"$ref": "#/$defs/node"}}, "required": ["kind"]}},
        "type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 2,
    }  # fmt: skip
    grammar = compile_schema(tree)
    assert ending(grammar, "") == '[{"kind": "AA0"}, {"kind": "AA0"}]'
    assert ending(grammar, '[{"kind": "Z') == 'A0"}, {"kind": "AA0"}]'
    deep = '[{"kind": "AA0", "inner": ' + '{"kind": "AA0", "inner": ' * 50
    assert ending(grammar, deep) == '{"kind": "AA0"}' + "}" * 51 + ', {"kind": "AA0"}]'
    assert ending(compile_schema({"type": "string", "minLength": 3}), '" ') == '.."'


def bytes_of(grammar: Grammar, rng: random.Random) -> bytes:
    """What one of a grammar's texts begins with, cut anywhere."""
    state: State = grammar.start
    text = ""
    for _ in range(rng.randrange(60)):
        choices = state.next_characters()
        if not choices:
            break
        low, high = rng.choice(rng.choice(sorted(choices)))
        text += chr(rng.choice((low, high)))
        state = state.advance(text[-1]) or state
    return text.encode()[: rng.randrange(len(text.encode()) + 1)]


@pytest.mark.parametrize("syntax", ["json", "python"])
def test_the_ending_completes_and_each_byte_of_any_text_brings_the_end_nearer_by_one_at_most(syntax: str) -> None:
    """Which proves that it is the shortest: 0 at the end alone, and no byte leads more than one nearer to it."""
    for seed in range(150):
        rng = random.Random(seed)
        try:
            grammar = compile_schema(draw(rng).schema, syntax=syntax)  # type: ignore[arg-type]
        except SchemaError:
            continue
        state = grammar.start
        for byte in bytes_of(grammar, rng):
            completed = state.advance_bytes(state.ending())
            assert completed is not None and completed.may_end
            assert len(state.ending()) == state.ending_bytes and (state.ending_bytes == 0) == state.may_end
            following = state.advance_bytes(bytes([byte]))
            assert following is not None and following.ending_bytes >= state.ending_bytes - 1
            state = following


@pytest.mark.parametrize("dialect", dialects.NAMES)
def test_what_is_completed_can_be_read_in_every_dialect(dialect: str) -> None:
    form = dialects.get(dialect)
    grammar = form.compiled(TOOLS)
    arguments: JsonObject = {"text": "é 日\n", "tags": ["home", "work"]}
    written = form.render_reply(Message("assistant", calls=(ToolCall("write_note", arguments), ToolCall("list_notes"))))
    data = written.encode()
    for at in range(len(data) + 1):
        state = grammar.start.advance_bytes(data[:at])
        assert state is not None
        text = (data[:at] + state.ending()).decode()
        assert grammar.accepts(text)
        assert len(form.parse(text).calls) <= 2


def test_the_work_is_bounded() -> None:
    """A rule that refers on thousands deep, and a long text of which each state is asked; no recursion, no squares."""
    count = 3 * sys.getrecursionlimit()
    rules = {f"r{n}": ir.Sequence((ir.chars("ab"), ir.Ref(f"r{n + 1}"))) for n in range(count)}
    assert Automaton({**rules, f"r{count}": ir.EMPTY}, "r0").start.ending() == b"a" * count
    long = compile_schema({"type": "string", "minLength": 20_000})
    started = time.process_time()
    state: State | None = long.start.advance('"')
    for left in range(20_000, 18_000, -1):
        assert state is not None and state.ending_bytes == left + 1
        state = state.advance("x")
    assert time.process_time() - started < 5
