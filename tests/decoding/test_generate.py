from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.decoding.generate import Generated, Piece, generate
from coalm_lite.errors import ContextFullError, DecodingError
from coalm_lite.runtime.base import Cancel, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedConstraint, ScriptedEngine
from coalm_lite.types import Sampling, Segment

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

GREEDY = Sampling()
PROMPT = [1 + index * 7 % 255 for index in range(20)]
# Each grammar beside a regular expression for the same texts; all are bounded.
GRAMMARS = {
    "call or none": (
        'root ::= "[" (call (", " call){0,2})? "]"\ncall ::= "{\\"name\\": " ("\\"hotel\\"" | "\\"train\\"") "}"',
        r'\[(\{"name": "(hotel|train)"\}(, \{"name": "(hotel|train)"\}){0,2})?\]',
    ),
    "accents": ('root ::= "ü" [à-ÿ]{2,5} "日本"? "."', "ü[à-ÿ]{2,5}(日本)?\\."),
    "words": ('root ::= ("the hotel" | " book" | "a"){1,6} "!"', "(the hotel| book|a){1,6}!"),
}


def collect(pieces: Iterator[Piece | Generated]) -> tuple[list[str], Generated]:
    """The pieces' texts and the end; fails unless there is one end and it comes last."""
    *texts, end = pieces
    assert isinstance(end, Generated)
    assert all(isinstance(piece, Piece) and piece.text for piece in texts)
    return [piece.text for piece in texts if isinstance(piece, Piece)], end


@settings(deadline=None)
@given(reply=st.text(max_size=40))
def test_the_pieces_are_the_text_and_none_is_half_a_character(reply: str) -> None:
    texts, end = collect(generate(ScriptedEngine([reply]), [1, 2], GREEDY, None, Cancel()))
    assert "".join(texts) == end.text == reply
    assert texts == list(reply)
    assert (end.reason, end.refusals) == ("stop", 0)
    assert bytes(end.tokens) == reply.encode()


def test_timings_count_the_tokens_of_this_answer() -> None:
    engine = ScriptedEngine(["one", "two!"])
    _, first = collect(generate(engine, [*b"prompt"], GREEDY, None, Cancel()))
    _, second = collect(generate(engine, [*b"prompts"], GREEDY, None, Cancel()))
    assert (first.timings.prompt_tokens, first.timings.reused_tokens, first.timings.generated_tokens) == (6, 0, 3)
    assert (second.timings.prompt_tokens, second.timings.reused_tokens, second.timings.generated_tokens) == (7, 6, 4)
    assert 0 < second.timings.prefill_s <= second.timings.ttft_s <= second.timings.total_s
    assert second.timings.prefill_s + second.timings.decode_s == pytest.approx(second.timings.total_s)


@pytest.mark.parametrize(("max_tokens", "text"), [(1, "n"), (4, "nort"), (5, "north")])
def test_an_answer_ends_at_max_tokens_with_the_reason_length(max_tokens: int, text: str) -> None:
    _, end = collect(generate(ScriptedEngine(["north"]), [1], Sampling(max_tokens=max_tokens), None, Cancel()))
    assert (end.text, end.reason, len(end.tokens)) == (text, "length", max_tokens)


def test_a_character_that_never_ends_comes_out_as_the_replacement_character() -> None:
    texts, end = collect(generate(ScriptedEngine(["aü"]), [1], Sampling(max_tokens=2), None, Cancel()))
    assert texts == ["a", "\ufffd"]
    assert end.text == "a\ufffd"


def test_a_cancel_between_two_pieces_keeps_what_was_said() -> None:
    cancel, said = Cancel(), ""
    for piece in generate(ScriptedEngine(["north"]), [1], GREEDY, None, cancel):
        if isinstance(piece, Generated):
            assert (piece.reason, piece.text, said) == ("cancelled", "no", "no")
            break
        said += piece.text
        if said == "no":
            cancel.set()
    else:
        pytest.fail("there was no end")


def test_a_cancel_before_the_prompt_is_computed_ends_at_once() -> None:
    cancel = Cancel()
    cancel.set()
    texts, end = collect(generate(ScriptedEngine(["north"]), [1], GREEDY, None, cancel))
    assert (texts, end.reason, end.tokens, end.timings.ttft_s) == ([], "cancelled", (), 0.0)


def test_a_full_context_is_an_error_and_what_was_said_stands() -> None:
    said = []
    with pytest.raises(ContextFullError, match="1 more tokens after the 4 it holds"):
        for piece in generate(ScriptedEngine(["north"], context_tokens=4), [1, 2], GREEDY, None, Cancel()):
            said.append(piece)
    assert said == [Piece("n"), Piece("o"), Piece("r")]


def test_an_answer_may_end_with_the_contexts_last_token(engine: LlamaEngine) -> None:
    room = engine.info.context_tokens
    prompt = [PROMPT[index % len(PROMPT)] for index in range(room - 1)]
    _, end = collect(generate(engine, prompt, Sampling(max_tokens=2), 'root ::= "ab"', Cancel()))
    assert (end.text, end.reason) == ("ab", "stop")


def test_a_generator_that_is_left_frees_its_grammar() -> None:
    closed: list[str] = []

    class Watched(ScriptedConstraint):
        def close(self) -> None:
            closed.append("closed")

    class Watching(ScriptedEngine):
        def constraint(self, gbnf: str) -> ScriptedConstraint:
            return Watched()

    pieces = generate(Watching(["north"]), [1], GREEDY, "root", Cancel())
    assert next(pieces) == Piece("n")
    assert closed == []
    pieces.close()
    assert closed == ["closed"]


def test_a_broken_grammar_is_an_error_before_anything_is_said(engine: LlamaEngine) -> None:
    with pytest.raises(DecodingError, match="grammar"):
        next(generate(engine, PROMPT, GREEDY, "", Cancel()))


@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_constrained_text_is_always_of_its_grammar(engine: LlamaEngine, name: str, temperature: float) -> None:
    """The model's weights are random, so nearly every token is refused: the grammar alone makes the text."""
    gbnf, pattern = GRAMMARS[name]
    refusals = 0
    for seed in range(6):
        sampling = Sampling(temperature=temperature, seed=seed)
        texts, end = collect(generate(engine, [*PROMPT, seed], sampling, gbnf, Cancel()))
        assert re.fullmatch(pattern, end.text)
        assert end.reason == "stop"
        assert "".join(texts) == end.text
        refusals += end.refusals
    assert refusals > 0


def test_a_finished_grammar_ends_without_computing_its_last_token(engine: LlamaEngine) -> None:
    _, end = collect(generate(engine, PROMPT, GREEDY, 'root ::= "the hotel"', Cancel()))
    assert (end.text, end.reason) == ("the hotel", "stop")
    held = len(PROMPT) + len(end.tokens) - 1
    assert engine.prefill([*PROMPT, *end.tokens], Cancel()).reused_tokens == held


class WritesLetters(LlamaEngine):
    """Samples printable ASCII alone, so that a grammar can allow everything that it writes."""

    def compute(self, stretches: Sequence[Stretch], cancel: Cancel) -> list[Logits]:
        rows = super().compute(stretches, cancel)
        for token in range(self.info.vocabulary_size):
            piece = self.token_bytes(token)
            if not (piece.isascii() and piece.decode().isprintable() and piece):
                for logits in rows:
                    logits[:, token] = -np.inf
        return rows


@pytest.mark.parametrize("temperature", [0.0, 0.8, 2.0])
def test_a_grammar_that_allows_the_sampled_tokens_changes_nothing(tiny_model: Path, temperature: float) -> None:
    """Asking about one token leaves the choice, and the random numbers behind it, as they were."""
    with WritesLetters.load(tiny_model, threads=1) as engine:
        for seed in range(5):
            sampling = Sampling(temperature=temperature, seed=seed, max_tokens=25)
            _, free = collect(generate(engine, PROMPT, sampling, None, Cancel()))
            _, held = collect(generate(engine, PROMPT, sampling, "root ::= [ -~]*", Cancel()))
            assert (held.tokens, held.refusals, len(held.tokens)) == (free.tokens, 0, 25)


def test_greedy_answers_do_not_depend_on_what_the_engine_did_before(engine: LlamaEngine, tiny_model: Path) -> None:
    sampling = Sampling(max_tokens=25)
    engine.prefill(PROMPT[:7], Cancel())
    _, warm = collect(generate(engine, PROMPT, sampling, None, Cancel()))
    with LlamaEngine.load(tiny_model, threads=1) as fresh:
        _, cold = collect(generate(fresh, PROMPT, sampling, None, Cancel()))
    assert warm.timings.reused_tokens > 0
    assert cold.timings.reused_tokens == 0
    assert warm.tokens == cold.tokens


def test_a_seed_repeats_an_answer(engine: LlamaEngine) -> None:
    def answer(seed: int) -> tuple[int, ...]:
        return collect(generate(engine, PROMPT, Sampling(temperature=1.0, seed=seed, max_tokens=20), None, Cancel()))[
            1
        ].tokens

    assert answer(3) == answer(3)
    assert answer(3) != answer(4)


def test_what_a_user_typed_stays_text_in_the_engines_eyes(engine: LlamaEngine) -> None:
    """A typed end marker in the prompt does not end the conversation for the model."""
    marker = engine.tokenize((Segment("<|eot_id|>", marker=True),))
    typed = engine.tokenize((Segment("<|eot_id|>"),))
    engine.prefill([*PROMPT, *typed], Cancel())
    as_text = engine.logits()
    engine.prefill([*PROMPT, *marker], Cancel())
    assert not np.allclose(as_text, engine.logits(), atol=0.05)
