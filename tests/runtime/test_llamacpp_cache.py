"""The KV cache: reuse, cancelling, the context's end, one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import ContextFullError, DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, Prefill, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from tests.gguf_models import vocabulary, write_tiny_model

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

SAME = 1e-3
LONG_PROMPT = [1 + index * 7 % 255 for index in range(2000)]
prompts = st.lists(st.integers(0, len(vocabulary()[0]) - 1), min_size=1, max_size=24)


@pytest.fixture(scope="module")
def small_batches(tiny_model: Path) -> Iterator[LlamaEngine]:
    with LlamaEngine.load(tiny_model, threads=1, context_tokens=64, batch_tokens=8) as engine:
        yield engine


def fresh_logits(model: Path, tokens: Sequence[int]) -> Logits:
    """The logits with an empty KV cache and one batch."""
    with LlamaEngine.load(model, threads=1) as fresh:
        assert fresh.prefill(tokens, Cancel()).reused_tokens == 0
        return fresh.logits()


class CancelsItself(Cancel):
    """Is set right after the check before the batch with this number: only native code can still see it in time."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch

    def check(self) -> None:
        super().check()
        self.left -= 1
        if self.left == 0:
            self.set()


@settings(max_examples=25, deadline=None)
@given(turns=st.lists(st.tuples(st.integers(0, 30), prompts), min_size=2, max_size=4))
def test_reuse_changes_nothing(
    small_batches: LlamaEngine, turns: list[tuple[int, list[int]]], tiny_model: Path
) -> None:
    """Each turn keeps some of the turn before and goes on differently, as a conversation does."""
    held: list[int] = []
    for kept, new in turns:
        tokens = [*held[:kept], *new]
        result = small_batches.prefill(tokens, Cancel())
        expected = min(common_prefix_length(held, tokens), len(tokens) - 1) if held else result.reused_tokens
        assert result == Prefill(expected, len(tokens) - expected)
        held = tokens
    np.testing.assert_allclose(small_batches.logits(), fresh_logits(tiny_model, held), atol=SAME)


def test_the_logits_depend_on_every_token(engine: LlamaEngine, tiny_model: Path) -> None:
    """Without this the equalities of this file would prove nothing."""
    base = fresh_logits(tiny_model, LONG_PROMPT[:40])
    for place in (0, 20, 39):
        changed = LONG_PROMPT[:40]
        changed[place] += 1
        assert np.abs(fresh_logits(tiny_model, changed) - base).max() > 100 * SAME


def test_greedy_tokens_after_reuse_are_those_of_a_fresh_engine(engine: LlamaEngine, tiny_model: Path) -> None:
    engine.prefill(LONG_PROMPT[:100], Cancel())
    engine.prefill([*LONG_PROMPT[:60], 5, 6, 7], Cancel())
    with LlamaEngine.load(tiny_model, threads=1) as fresh:
        fresh.prefill([*LONG_PROMPT[:60], 5, 6, 7], Cancel())
        assert greedy(engine, 30) == greedy(fresh, 30)


def greedy(engine: LlamaEngine, count: int) -> list[int]:
    tokens = []
    for _ in range(count):
        tokens.append(int(engine.logits().argmax()))
        engine.extend(tokens[-1:], Cancel())
    return tokens


def test_the_same_prompt_again_computes_its_last_token_only(engine: LlamaEngine) -> None:
    engine.prefill(LONG_PROMPT[:50], Cancel())
    before = engine.logits()
    assert engine.prefill(LONG_PROMPT[:50], Cancel()) == Prefill(49, 1)
    np.testing.assert_allclose(engine.logits(), before, atol=SAME)


def test_extending_by_many_is_extending_one_by_one(small_batches: LlamaEngine) -> None:
    small_batches.prefill(LONG_PROMPT[:5], Cancel())
    small_batches.extend(LONG_PROMPT[5:30], Cancel())
    at_once = small_batches.logits()
    small_batches.prefill(LONG_PROMPT[:5], Cancel())
    for token in LONG_PROMPT[5:30]:
        small_batches.extend([token], Cancel())
    np.testing.assert_allclose(small_batches.logits(), at_once, atol=SAME)


def test_logits_are_a_copy(engine: LlamaEngine) -> None:
    engine.prefill([1, 2, 3], Cancel())
    first = engine.logits()
    kept = first.copy()
    engine.extend([4], Cancel())
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(engine.logits(), kept)


def test_a_prompt_that_does_not_fit_is_refused_before_any_work(small_batches: LlamaEngine) -> None:
    small_batches.prefill(LONG_PROMPT[:10], Cancel())
    before = small_batches.logits()
    with pytest.raises(ContextFullError, match="65 more tokens need 65 tokens of context, and 64 are available"):
        small_batches.prefill(LONG_PROMPT[:65], Cancel())
    np.testing.assert_array_equal(small_batches.logits(), before)
    small_batches.extend(LONG_PROMPT[10:64], Cancel())
    full = small_batches.logits()
    with pytest.raises(ContextFullError, match="1 more tokens after the 64 it holds"):
        small_batches.extend([1], Cancel())
    np.testing.assert_array_equal(small_batches.logits(), full)


def test_the_whole_context_can_be_used(small_batches: LlamaEngine, tiny_model: Path) -> None:
    small_batches.prefill(LONG_PROMPT[:64], Cancel())
    np.testing.assert_allclose(small_batches.logits(), fresh_logits(tiny_model, LONG_PROMPT[:64]), atol=SAME)


def test_an_empty_prompt_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(DecodingError, match="no tokens"):
        engine.prefill([], Cancel())


def test_a_cancel_that_is_set_before_leaves_what_is_held(small_batches: LlamaEngine) -> None:
    small_batches.prefill(LONG_PROMPT[:20], Cancel())
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        small_batches.extend([1], cancel)
    with pytest.raises(Cancelled):
        small_batches.prefill(LONG_PROMPT[:30], cancel)
    assert small_batches.prefill(LONG_PROMPT[:30], Cancel()) == Prefill(20, 10)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_cancel_inside_a_batch_keeps_the_whole_batches_before_it(
    small_batches: LlamaEngine, batch: int, tiny_model: Path
) -> None:
    small_batches.prefill([250], Cancel())
    with pytest.raises(Cancelled):
        small_batches.prefill(LONG_PROMPT[:40], CancelsItself(batch))
    with pytest.raises(DecodingError, match="no logits"):
        small_batches.logits()
    kept = 8 * (batch - 1)
    assert small_batches.prefill(LONG_PROMPT[:40], Cancel()) == Prefill(kept, 40 - kept)
    np.testing.assert_allclose(small_batches.logits(), fresh_logits(tiny_model, LONG_PROMPT[:40]), atol=SAME)


def test_a_cancelled_extension_can_be_taken_up_again(small_batches: LlamaEngine, tiny_model: Path) -> None:
    small_batches.prefill(LONG_PROMPT[:20], Cancel())
    with pytest.raises(Cancelled):
        small_batches.extend(LONG_PROMPT[20:24], CancelsItself(1))
    small_batches.extend(LONG_PROMPT[20:24], Cancel())
    np.testing.assert_allclose(small_batches.logits(), fresh_logits(tiny_model, LONG_PROMPT[:24]), atol=SAME)


def test_another_thread_cancels_a_long_prefill(tmp_path: Path) -> None:
    """One batch of 2,000 tokens through 16 layers takes long enough to be met inside it."""

    class SetByAnother(Cancel):
        def check(self) -> None:
            super().check()
            threading.Timer(0.01, self.set).start()

    deep = write_tiny_model(tmp_path / "deep.gguf", layers=16)
    with LlamaEngine.load(deep, threads=1, batch_tokens=2000) as engine:
        with pytest.raises(Cancelled):
            engine.prefill(LONG_PROMPT, SetByAnother())
        assert engine.prefill(LONG_PROMPT[:30], Cancel()) == Prefill(0, 30)
        np.testing.assert_allclose(engine.logits(), fresh_logits(deep, LONG_PROMPT[:30]), atol=SAME)


def test_a_second_thread_is_refused_while_the_first_computes(engine: LlamaEngine) -> None:
    class Waits(Cancel):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.go_on = threading.Event(), threading.Event()

        def check(self) -> None:
            self.inside.set()
            assert self.go_on.wait(30)

    waits = Waits()
    results: list[Prefill] = []
    first = threading.Thread(target=lambda: results.append(engine.prefill([9, 8, 7], waits)))
    first.start()
    assert waits.inside.wait(30)
    try:
        for use in (lambda: engine.prefill([1], Cancel()), engine.logits, lambda: engine.is_end(1), engine.close):
            with pytest.raises(DecodingError, match="two threads"):
                use()
    finally:
        waits.go_on.set()
        first.join()
    assert results[0].computed_tokens == 3
    assert engine.logits().shape == (engine.info.vocabulary_size,)
