"""Forced text enters as the tokens that the whole text has, and healing changes no text."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coalm_lite.decoding.forced import Forced, forced_tokens
from coalm_lite.decoding.written import Written, ends_of
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Segment
from tests.decoding.one_of import OneOf

PARTS = (
    "find",
    "_hotels",
    "(",
    "area",
    "='",
    "'",
    ", ",
    ")",
    "north",
    "4",
    "12",
    ' "',
    '": ',
    "é",
    "中",
    "\n",
    " ",
    "x",
)
texts = st.lists(st.lists(st.sampled_from(PARTS), max_size=6).map("".join), min_size=1, max_size=4, unique=True)


def tokenize(engine: LlamaEngine, text: str) -> list[int]:
    return engine.tokenize((Segment(text),)) if text else []


def written_as(engine: LlamaEngine, *parts: str) -> Written:
    """What was sampled: each part in its own tokens."""
    written = Written(engine.token_bytes)
    for part in parts:
        for token in tokenize(engine, part):
            written.append(token)
    return written


def forced_after(engine: LlamaEngine, grammar: OneOf, written: Written) -> Forced | None:
    state = grammar.start.advance_bytes(bytes(written.data))
    assert state is not None
    return forced_tokens(written, state, lambda text: tokenize(engine, text))


@settings(deadline=None, max_examples=150)
@given(texts=texts, which=st.integers(0, 3), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_what_enters_is_cut_as_in_every_text_that_can_follow(
    nano: LlamaEngine, texts: list[str], which: int, cuts: list[int]
) -> None:
    chosen = texts[which % len(texts)]
    places = sorted({min(cut, len(chosen)) for cut in cuts})
    sampled = [chosen[start:end] for start, end in zip([0, *places], places, strict=False)]
    grammar, written = OneOf(tuple(texts)), written_as(nano, *sampled)
    before = bytes(written.data)
    forced = forced_after(nano, grammar, written)
    assume(forced is not None)
    assert forced is not None
    written.replace(forced.kept, forced.tokens)
    assert written.data.startswith(before)
    left = grammar.start.advance_bytes(bytes(written.data))
    assert left is not None
    if not forced.tokens:
        return
    entered = written.ends[forced.kept - 1] if forced.kept else 0
    for text in (text for text in texts if text.encode().startswith(written.data)):
        canonical = tokenize(nano, text)
        ends = ends_of(canonical, nano.token_bytes)
        first = ends.index(entered) + 1 if entered else 0
        assert canonical[first : first + len(forced.tokens)] == list(forced.tokens)


def test_a_text_that_ends_is_entered_whole(nano: LlamaEngine) -> None:
    grammar = OneOf(("find_hotels(area='north')",))
    forced = forced_after(nano, grammar, written_as(nano, "find"))
    assert forced is not None
    assert tokenize(nano, "find") == tokenize(nano, grammar.texts[0])[: forced.kept]
    assert [*tokenize(nano, "find")[: forced.kept], *forced.tokens] == tokenize(nano, grammar.texts[0])


def test_what_may_grow_together_with_the_next_text_is_not_entered(nano: LlamaEngine) -> None:
    """`(area` and `(stars` are read as tokens that begin with the parenthesis, or may be."""
    grammar = OneOf(("find_hotels(area='x')", "find_hotels(stars=4)"))
    forced = forced_after(nano, grammar, written_as(nano))
    assert forced is not None
    text = b"".join(map(nano.token_bytes, forced.tokens)).decode()
    assert "find_hotels(".startswith(text)
    assert not text.endswith("(")


def test_a_token_that_was_sampled_too_short_is_replaced(nano: LlamaEngine) -> None:
    grammar = OneOf(("north', pricerange='cheap'", "no"))
    written = written_as(nano, "n", "or")
    whole = tokenize(nano, grammar.texts[0])
    assert whole[: len(written.tokens)] != written.tokens
    forced = forced_after(nano, grammar, written)
    assert forced is not None
    assert (forced.kept, list(forced.tokens)) == (0, whole)


def test_free_text_keeps_the_tokens_that_were_sampled(nano: LlamaEngine) -> None:
    """Only tokens up to the last place where both ways to cut agree are replaced, here none."""
    written = written_as(nano, "the ", "h", "ot", "el", ", ")
    sampled = [*written.tokens]
    forced = forced_after(nano, OneOf(("the hotel, north', pricerange='cheap'",)), written)
    assert forced is not None
    assert forced.kept > 0
    assert written.tokens[: forced.kept] == sampled[: forced.kept]
    assert written.ends[forced.kept - 1] >= len("the hotel")
