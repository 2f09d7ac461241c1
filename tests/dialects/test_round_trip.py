"""What a dialect renders, it reads back equal; and every cut of it is told apart from a wrong form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite import dialects
from coalm_lite.errors import MalformedOutputError, TruncatedOutputError
from coalm_lite.types import Message, ToolCall
from tests.dialects.strategies import CALLS, TEXT

LINE = TEXT.map(lambda text: " ".join(text.split()))


@pytest.mark.parametrize("name", dialects.NAMES)
@given(calls=CALLS)
def test_calls_are_read_back_equal(name: str, calls: tuple[ToolCall, ...]) -> None:
    dialect = dialects.get(name)
    reply = Message("assistant", calls=calls)
    if name == "cra" and not calls:
        return  # no call is an answer in this form, tested below
    assert dialect.parse(dialect.render_reply(reply)) == reply


@given(text=TEXT, thought=LINE)
def test_an_answer_of_the_conversation_form_is_read_back_equal(text: str, thought: str) -> None:
    cra = dialects.get("cra")
    reply = Message("assistant", text, thought=thought)
    assert cra.parse(cra.render_reply(reply)) == reply


@given(calls=CALLS.filter(bool), thought=LINE)
def test_a_thought_before_calls_is_read_back_equal(calls: tuple[ToolCall, ...], thought: str) -> None:
    cra = dialects.get("cra")
    reply = Message("assistant", calls=calls, thought=thought)
    assert cra.parse(cra.render_reply(reply)) == reply


@pytest.mark.parametrize("name", ("bfcl", "hammer"))
@given(text=TEXT.filter(lambda text: bool(text.strip()) and text.lstrip()[0] not in "[{"))
def test_words_are_read_back_as_words(name: str, text: str) -> None:
    dialect = dialects.get(name)
    assert dialect.parse(dialect.render_reply(Message("assistant", text))) == Message("assistant", text)


@pytest.mark.parametrize("name", dialects.NAMES)
@given(calls=CALLS.filter(bool), data=st.data())
def test_every_cut_is_truncated_never_malformed(name: str, calls: tuple[ToolCall, ...], data: st.DataObject) -> None:
    dialect = dialects.get(name)
    whole = dialect.render_reply(Message("assistant", calls=calls))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        read = dialect.parse(cut)
    except TruncatedOutputError:
        return
    # Only a conversation step has whole forms inside it: a cut between two of its actions.
    assert name == "cra" and dialect.render_reply(read) == cut.rstrip()


@pytest.mark.parametrize("name", dialects.NAMES)
@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused_with_an_output_error(name: str, text: str) -> None:
    try:
        assert dialects.get(name).parse(text).role == "assistant"
    except (MalformedOutputError, TruncatedOutputError) as error:
        assert error.message
