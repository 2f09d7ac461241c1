"""Grammars over tokens: the mask, the single question, accepting, and where a grammar ends."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from coalm_lite.errors import DecodingError
from coalm_lite.runtime.llamacpp import LlamaConstraint, LlamaEngine
from coalm_lite.types import Segment
from tests.gguf_models import SPECIAL, byte_letters, vocabulary

GRAMMARS = {
    "calls or none": 'root ::= "[" (call (", " call){0,2})? "]"\ncall ::= "{\\"name\\": \\"" ("hotel"|"train") "\\"}"',
    "free text": "root ::= [^<]*",
    "any text": "root ::= [^\\x00]*",
    "accents": 'root ::= ("ü" | "日本" | [à-ÿ]){1,4} "."?',
    "one word": 'root ::= "the hotel"',
    "may stop": 'root ::= "a" "b"? "c"?',
}
TOKENS = vocabulary()[0]
ENDS = {TOKENS.index(name) for name in ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>")}


def allowed(engine: LlamaEngine, constraint: LlamaConstraint) -> set[int]:
    masked = constraint.mask(np.ones(engine.info.vocabulary_size, dtype=np.float32))
    return set(np.flatnonzero(masked > -np.inf).tolist())


@pytest.mark.parametrize("name", GRAMMARS)
def test_the_mask_agrees_with_the_single_question_for_every_token_on_every_walk(engine: LlamaEngine, name: str) -> None:
    chance = random.Random(name)
    for _ in range(5):
        constraint = engine.constraint(GRAMMARS[name])
        for _ in range(12):
            may_follow = allowed(engine, constraint)
            assert may_follow == {token for token in range(len(TOKENS)) if constraint.allows(token)}
            assert constraint.finished() == (may_follow <= ENDS)
            if may_follow <= ENDS:
                assert may_follow == ENDS
                break
            constraint.accept(chance.choice(sorted(may_follow - ENDS)))
        constraint.close()


def test_a_finished_grammar_leaves_only_end_tokens(engine: LlamaEngine) -> None:
    constraint = engine.constraint(GRAMMARS["one word"])
    tokens = engine.tokenize((Segment("the hotel"),))
    for token in tokens:
        assert not constraint.finished()
        constraint.accept(token)
    assert constraint.finished()
    assert allowed(engine, constraint) == ENDS


def test_a_grammar_that_may_stop_is_not_finished_before_it_must(engine: LlamaEngine) -> None:
    constraint = engine.constraint(GRAMMARS["may stop"])
    for letter, finished in (("a", False), ("b", False), ("c", True)):
        constraint.accept(TOKENS.index(letter))
        assert constraint.finished() == finished
        assert all(map(constraint.allows, ENDS))


@pytest.mark.parametrize("name", [name for name in SPECIAL if TOKENS.index(name) not in ENDS])
def test_a_special_token_is_never_text_even_where_its_letters_are(engine: LlamaEngine, name: str) -> None:
    constraint = engine.constraint(GRAMMARS["any text"])
    token = TOKENS.index(name)
    assert not constraint.allows(token)
    assert constraint.mask(np.zeros(len(TOKENS), dtype=np.float32))[token] == -np.inf
    with pytest.raises(DecodingError, match="does not allow"):
        constraint.accept(token)


@pytest.mark.parametrize("data", [b"\xf5", b"\xff", b"\xe0\x82", b"\xf0\x84", b"\xed\xa0"])
def test_bytes_that_are_no_utf8_are_refused_though_llama_cpp_lets_them_pass(engine: LlamaEngine, data: bytes) -> None:
    constraint = engine.constraint(GRAMMARS["any text"])
    *before, wrong = (TOKENS.index(byte_letters()[byte]) for byte in data)
    for token in before:
        constraint.accept(token)
    assert not constraint.allows(wrong)
    assert wrong not in allowed(engine, constraint)


def test_a_character_may_come_in_pieces(engine: LlamaEngine) -> None:
    constraint = engine.constraint('root ::= "日" [a-z]')
    for byte in "日".encode():
        assert not any(map(constraint.allows, ENDS))
        constraint.accept(TOKENS.index(byte_letters()[byte]))
    assert constraint.allows(TOKENS.index("a"))


def test_the_mask_keeps_the_logits_of_allowed_tokens_and_its_argument(engine: LlamaEngine) -> None:
    constraint = engine.constraint(GRAMMARS["one word"])
    logits = np.random.default_rng(0).standard_normal(len(TOKENS)).astype(np.float32)
    before = logits.copy()
    masked = constraint.mask(logits)
    may_follow = masked > -np.inf
    assert 0 < may_follow.sum() < len(TOKENS)
    np.testing.assert_array_equal(masked[may_follow], before[may_follow])
    np.testing.assert_array_equal(logits, before)
    assert masked.dtype == np.float32


def test_a_refused_token_raises_and_the_grammar_stays_where_it_was(engine: LlamaEngine) -> None:
    constraint = engine.constraint(GRAMMARS["one word"])
    before = allowed(engine, constraint)
    for token in {*range(len(TOKENS))} - before:
        with pytest.raises(DecodingError, match=f"does not allow token {token} here"):
            constraint.accept(token)
    assert allowed(engine, constraint) == before


def test_an_allowed_token_is_not_remembered_beyond_its_place(engine: LlamaEngine) -> None:
    constraint = engine.constraint('root ::= "ab"')
    a, b = TOKENS.index("a"), TOKENS.index("b")
    assert constraint.allows(a)
    constraint.accept(a)
    assert not constraint.allows(a)
    assert constraint.allows(b)


def test_two_constraints_on_one_engine_do_not_touch_each_other(engine: LlamaEngine) -> None:
    first, second = engine.constraint('root ::= "ab"'), engine.constraint('root ::= "ab"')
    first.accept(TOKENS.index("a"))
    assert second.allows(TOKENS.index("a"))
    first.close()
    second.accept(TOKENS.index("a"))
    assert second.allows(TOKENS.index("b"))


@pytest.mark.parametrize(
    "gbnf",
    ["", "  \n", 'root ::= "a"\0', "root ::= missing", "root ::= root", 'start ::= "a"', 'root ::= "a', "no grammar"],
)
def test_what_is_no_grammar_is_an_error_and_never_free_text(
    engine: LlamaEngine, gbnf: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DecodingError, match="grammar"):
        engine.constraint(gbnf)
    capfd.readouterr()  # llama.cpp prints a grammar that does not parse


def test_a_closed_constraint_is_refused(engine: LlamaEngine) -> None:
    constraint = engine.constraint(GRAMMARS["one word"])
    constraint.close()
    constraint.close()
    for use in (lambda: constraint.allows(1), lambda: constraint.accept(1), constraint.finished):
        with pytest.raises(DecodingError, match="closed"):
            use()


def test_a_constraint_outlives_neither_its_engine_nor_its_use(tiny_model: Path) -> None:
    engine = LlamaEngine.load(tiny_model, threads=1)
    constraint = engine.constraint(GRAMMARS["one word"])
    engine.close()
    with pytest.raises(DecodingError, match="closed"):
        constraint.allows(1)
    constraint.close()
