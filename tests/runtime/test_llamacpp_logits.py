"""Logits after many tokens at once, as comparisons of two models take them."""

from __future__ import annotations

import numpy as np
import pytest

from coalm_lite.errors import ContextFullError
from coalm_lite.runtime.base import Cancel, Cancelled
from coalm_lite.runtime.llamacpp import LlamaEngine

SAME = 1e-3
TOKENS = [1 + index * 7 % 255 for index in range(150)]


def test_each_row_is_what_the_engine_gives_token_by_token(engine: LlamaEngine) -> None:
    rows = list(engine.logits_after(TOKENS, 20, Cancel()))
    assert len(rows) == len(TOKENS) - 20
    engine.prefill(TOKENS[:20], Cancel())
    for token, row in zip(TOKENS[20:], rows, strict=True):
        engine.extend([token], Cancel())
        np.testing.assert_allclose(engine.logits(), row, atol=SAME)


def test_after_the_same_work_the_rows_are_the_same_bits(engine: LlamaEngine) -> None:
    rows = []
    for _ in range(2):
        engine.prefill(TOKENS[:1], Cancel())
        rows.append([*engine.logits_after(TOKENS[:90], 10, Cancel()), *engine.logits_after(TOKENS, 80, Cancel())])
    np.testing.assert_array_equal(np.array(rows[0]), np.array(rows[1]))


def test_what_the_cache_holds_is_kept_and_changes_nothing(engine: LlamaEngine) -> None:
    engine.prefill([7], Cancel())
    anew = np.array(list(engine.logits_after(TOKENS, 100, Cancel())))
    engine.prefill(TOKENS[:77], Cancel())
    kept = np.array(list(engine.logits_after(TOKENS, 100, Cancel())))
    np.testing.assert_allclose(kept, anew, atol=SAME)


def test_the_cache_holds_the_tokens_afterwards(engine: LlamaEngine) -> None:
    last = list(engine.logits_after(TOKENS, 140, Cancel()))[-1]
    np.testing.assert_array_equal(engine.logits(), last)
    assert engine.prefill([*TOKENS, 5], Cancel()).reused_tokens == len(TOKENS)


def test_too_many_tokens_and_a_wish_to_stop_end_it(engine: LlamaEngine) -> None:
    with pytest.raises(ContextFullError):
        next(engine.logits_after([1] * (engine.info.context_tokens + 1), 0, Cancel()))
    cancel = Cancel()
    rows = engine.logits_after(TOKENS, 0, cancel)
    next(rows)
    cancel.set()
    with pytest.raises(Cancelled):
        list(rows)
