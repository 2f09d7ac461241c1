"""Answers that meet their limit are complete: whatever the model wants, a call is valid and no longer than allowed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pytest
from grammar_schemas import Generator

from coalm_lite import dialects, models
from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.requests import Generated, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.errors import SchemaError
from coalm_lite.grammar import Grammar, compile_schema
from coalm_lite.runtime.base import Cancel, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.types import Message, Sampling, Segment, ToolCall, ToolSpec
from tests.decoding.one_of import OneOf

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

TOOLS = (
    ToolSpec(
        "write_note",
        parameters={
            "type": "object",
            "properties": {"text": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["text"],
        },
    ),
    ToolSpec("list_notes"),
)
SAID = ("Write down that the train leaves at nine.", "Which notes are there?", "hello")


class LovesWhiteSpace(LlamaEngine):
    """A model that wants spaces and newlines above all."""

    @cached_property
    def white(self) -> list[int]:
        pieces = map(self.token_bytes, range(self.info.vocabulary_size))
        return [token for token, piece in enumerate(pieces) if piece and not piece.strip()]

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[Logits]:
        rows = super().compute(stretches, cancel)
        for logits in rows:
            logits[:, self.white] += 40
        return rows


class Begun(Sampler):
    """Says the tokens it was given; behind them `last`, over and over, or what the model wants."""

    def __init__(self, said: Sequence[int], prompt_length: int, last: int | None = None) -> None:
        super().__init__(Sampling())
        self._said, self._prompt_length, self._last = said, prompt_length, last

    def choose(self, logits: Logits, recent_tokens: Sequence[int]) -> int:
        place = len(recent_tokens) - self._prompt_length
        wanted = super().choose(logits, recent_tokens) if self._last is None else self._last
        return self._said[place] if place < len(self._said) else wanted


@pytest.fixture(scope="module")
def loving() -> Iterator[LlamaEngine]:
    path = models.shipped_model_path("coalm-nano.Q8_0.gguf")
    with LovesWhiteSpace.load(path, threads=1, context_tokens=1024) as engine:
        yield engine


def end(engine: LlamaEngine, request: Request) -> Generated:
    *_, found = answer(engine, request)
    assert isinstance(found, Generated)
    assert b"".join(map(engine.token_bytes, found.tokens)).decode() == found.text
    return found


@pytest.mark.parametrize("dialect", dialects.NAMES)
@pytest.mark.parametrize("begun", ["", "call"])
def test_every_answer_of_a_model_that_loves_white_space_is_valid(loving: LlamaEngine, dialect: str, begun: str) -> None:
    """Also when a call was begun: its string, which has no bound, is all white space, and the call ends."""
    form = dialects.get(dialect)
    grammar = form.compiled(TOOLS)
    written = form.render_reply(Message("assistant", calls=(ToolCall("write_note", {"text": "|"}),)))
    for words in SAID:
        prompt = loving.tokenize(form.render([Message("user", words)], TOOLS, True))
        start = loving.tokenize((Segment(written[: written.index("|")]),)) if begun else []
        sampler = Begun(start, len(prompt)) if begun else None
        found = end(loving, Request(prompt, Sampling(max_tokens=150), grammar, sampler=sampler))
        assert grammar.accepts(found.text)
        assert len(found.tokens) <= 150
        if begun:
            (call,) = form.parse(found.text).calls
            assert found.reason == "length" and found.counts.completed > 0
            assert call.name == "write_note" and not str(call.arguments["text"]).strip()


@pytest.mark.parametrize("drafts", [True, False])
def test_bounded_strings_end_by_themselves_where_there_is_room(loving: LlamaEngine, drafts: bool) -> None:
    short = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 40}}, "required": ["name"]}
    tools = (ToolSpec("find_hotels", parameters=short),)
    grammar = dialects.get("hammer").compiled(tools)
    for words in SAID:
        prompt = loving.tokenize(dialects.get("hammer").render([Message("user", words)], tools, True))
        found = end(loving, Request(prompt, Sampling(max_tokens=600), grammar, drafts=drafts))
        assert (found.reason, found.counts.completed) == ("stop", 0)
        assert grammar.accepts(found.text)


@pytest.mark.parametrize("drafts", [True, False])
def test_random_answers_to_random_schemas_are_complete_within_their_limit(nano: LlamaEngine, drafts: bool) -> None:
    """The limit is what the shortest text needs, and some more; the model is made to choose at random."""
    completed = 0
    for seed in range(60):
        rng = random.Random(seed)
        grammar = grammar_of(rng)
        if grammar is None:
            continue
        least = len(nano.tokenize((Segment(grammar.start.ending().decode()),)))
        wanted = Sampling(max_tokens=least + rng.choice((0, 1, 3, 20)), temperature=9.0, seed=seed)
        found = end(nano, Request([1, 2, 3], wanted, grammar, drafts=drafts))
        assert len(found.tokens) <= wanted.max_tokens
        state = grammar.start.advance(found.text)
        assert state is not None and state.may_end, (seed, found)
        completed += found.counts.completed > 0
    assert completed > 20


def grammar_of(rng: random.Random) -> Grammar | None:
    """A random schema's grammar; None for one that is refused."""
    try:
        return compile_schema(Generator(rng).document().schema)
    except SchemaError:
        return None


def test_characters_of_many_tokens_are_not_left_halfway(engine: LlamaEngine) -> None:
    """In the tiny vocabulary every byte is a token: the limit falls inside characters, too."""
    grammar = compile_schema({"type": "string", "pattern": "^[日中ü]*$"})
    for limit in range(2, 12):
        for seed in range(4):
            wanted = Sampling(max_tokens=limit, temperature=9.0, seed=seed)
            found = end(engine, Request([1, 2, seed], wanted, grammar))
            assert len(found.tokens) <= limit and grammar.accepts(found.text), (limit, found)


def test_an_answer_that_just_fits_is_left_alone(nano: LlamaEngine) -> None:
    """The limit is that of the answer itself: nothing is put in its place, however short other endings are."""
    grammar = dialects.get("hammer").compiled(TOOLS)
    text = '[{"name": "write_note", "arguments": {"text": "It leaves at nine.", "tags": ["train", "é日"]}}]'
    said = nano.tokenize((Segment(text),))
    for limit in (len(said), len(said) + 1):
        sampler = Begun(said, 3, said[0])
        found = end(nano, Request([1, 2, 3], Sampling(max_tokens=limit), grammar, sampler=sampler))
        assert (found.text, found.counts.completed) == (text, 0)


def test_an_answer_none_of_whose_endings_fits_is_cut(nano: LlamaEngine) -> None:
    long = "a long text that needs many tokens"
    found = end(nano, Request([1, 2, 3], Sampling(max_tokens=4), OneOf((long, long[:-1] + "z"))))
    assert (len(found.tokens), found.reason, found.counts.completed) == (4, "length", 0)


def test_what_was_completed_is_no_longer_than_asked_and_drafts_change_nothing(nano: LlamaEngine) -> None:
    grammar = dialects.get("hammer").compiled(TOOLS)
    dot = nano.tokenize((Segment(" dot"),))[-1]
    said = nano.tokenize((Segment('[{"name": "write_note", "arguments": {"text": "A note'),))
    found = [
        end(nano, Request([1, 2, 3], Sampling(max_tokens=60), grammar, sampler=Begun(said, 3, dot), drafts=drafts))
        for drafts in (True, False)
    ]
    assert found[0].tokens == found[1].tokens and len(found[0].tokens) > 55
    assert grammar.accepts(found[0].text) and found[0].reason == "length"
    assert 0 < found[0].counts.completed <= 4
