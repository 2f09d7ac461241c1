"""A dialect and its grammar agree: what one writes the other reads."""

from __future__ import annotations

import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite import dialects
from coalm_lite.dialects.base import one_line
from coalm_lite.types import JsonObject, Message, ToolCall
from tests.grammar.gbnf_interpreter import Grammar
from tests.grammar.strategies import Parameters, instances, is_valid, tool, unhurried
from tests.grammar.walk import walk

Names = st.text("f.g é_9", min_size=1, max_size=6).filter(lambda name: name == name.strip())
Words = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), min_size=1, max_size=30).filter(
    lambda text: text.strip() == text and not text.startswith("[")
)


@pytest.mark.parametrize("dialect", dialects.NAMES)
@unhurried
@given(data=st.data(), name=Names, schema=Parameters, thought=st.just("") | Words)
def test_the_calls_that_a_dialect_writes_are_in_its_grammar(
    dialect: str, data: st.DataObject, name: str, schema: JsonObject, thought: str
) -> None:
    form, spec = dialects.get(dialect), tool(schema, name)
    drawn = data.draw(st.lists(instances(schema), min_size=0 if dialect != "cra" else 1, max_size=8))
    calls = tuple(ToolCall(name, cast(JsonObject, arguments)) for arguments in drawn)
    written = form.render_reply(Message("assistant", calls=calls, thought=thought if dialect == "cra" else ""))
    assert Grammar(form.grammar([spec])).accepts(written)


@pytest.mark.parametrize("dialect", ["bfcl", "cra"])
@unhurried
@given(text=Words, thought=st.just("") | Words)
def test_the_words_that_a_dialect_writes_are_in_its_grammar(dialect: str, text: str, thought: str) -> None:
    form = dialects.get(dialect)
    reply = Message("assistant", text, thought=one_line(thought) if dialect == "cra" else "")
    assert Grammar(form.grammar([])).accepts(form.render_reply(reply))


@pytest.mark.parametrize("dialect", dialects.NAMES)
@unhurried
@given(choose=st.randoms(use_true_random=False), name=Names, schema=Parameters)
def test_every_text_of_the_grammar_is_read_as_valid_calls_or_words(
    dialect: str, choose: random.Random, name: str, schema: JsonObject
) -> None:
    form = dialects.get(dialect)
    text = walk(Grammar(form.grammar([tool(schema, name)])), choose)
    reply = form.parse(text)
    assert all(call.name == name and is_valid(schema, call.arguments) for call in reply.calls)
    assert reply.calls or reply.text or text == "[]"
