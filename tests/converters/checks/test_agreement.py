from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from coalm_lite import dialects
from coalm_lite.converters.checks.agreement import (
    PLACES_A_PROMPT,
    ManyLogits,
    Place,
    agreement,
    compare_logits,
    divergence,
    prompt_tokens,
    record_logits,
)
from coalm_lite.errors import ModelError
from coalm_lite.runtime.base import Cancel
from coalm_lite.runtime.llamacpp import LlamaEngine
from tests.gguf_models import engine, tiny_model

__all__ = ["engine", "tiny_model"]
logits = numpy_st.arrays(np.float32, 8, elements=st.floats(-50, 50, width=32))


class TokenByToken:
    """The engine without its fast way, as one of another runtime has it."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.info, self.tokenize = engine.info, engine.tokenize
        self.prefill, self.extend, self.logits = engine.prefill, engine.extend, engine.logits


def test_a_known_divergence_comes_out() -> None:
    base, other = np.log(np.array([0.5, 0.5], np.float32)), np.log(np.array([0.9, 0.1], np.float32))
    assert divergence(base, other) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1), rel=1e-5)


@given(logits, logits, st.floats(-100, 100))
def test_it_is_never_negative_zero_for_the_same_and_blind_to_a_shift(
    base: np.ndarray[tuple[int], np.dtype[np.float32]],
    other: np.ndarray[tuple[int], np.dtype[np.float32]],
    shift: float,
) -> None:
    assert divergence(base, base) == 0
    assert divergence(base, other) >= 0
    assert divergence(base, other + np.float32(shift)) == pytest.approx(divergence(base, other), abs=1e-3)


def test_the_summary_has_mean_standard_error_and_percentile() -> None:
    found = agreement("base", [Place(True, 0.1), Place(True, 0.3), Place(False, 0.2), Place(True, 0.2)])
    assert (found.positions, found.top1) == (4, 0.75)
    assert found.kl_mean == pytest.approx(0.2)
    assert found.kl_standard_error == pytest.approx(math.sqrt(0.02 / 3) / 2)
    assert found.kl_p99 == pytest.approx(0.297)
    assert agreement("base", [Place(True, 0.0)]).kl_standard_error == 0


def test_a_model_agrees_with_itself_by_either_way(engine: LlamaEngine) -> None:
    prompts = prompt_tokens(engine, dialects.get("dst"), True)[:2]
    slow = TokenByToken(engine)
    assert isinstance(engine, ManyLogits)
    assert not isinstance(slow, ManyLogits)
    rows = io.BytesIO()
    record_logits(engine, prompts, rows, Cancel())
    for other, most in ((engine, 1e-9), (slow, 1e-5)):
        places = list(compare_logits(other, prompts, rows, Cancel()))  # type: ignore[arg-type]  # all it needs
        assert len(places) == sum(min(len(tokens), PLACES_A_PROMPT) for tokens in prompts)
        assert all(place.same for place in places)
        assert max(place.divergence for place in places) < most


def test_a_prompt_longer_than_the_context_keeps_its_first_token_and_its_end(
    engine: LlamaEngine, tiny_model: Path
) -> None:
    whole = prompt_tokens(engine, dialects.get("cra"), True)[0]
    with LlamaEngine.load(tiny_model, threads=1, context_tokens=256) as small:
        cut = prompt_tokens(small, dialects.get("cra"), True)[0]
    assert len(whole) > len(cut) == 256
    assert list(cut) == [whole[0], *whole[-255:]]


def test_vocabularies_of_other_sizes_are_an_error(engine: LlamaEngine) -> None:
    with pytest.raises(ModelError, match="vocabularies of different sizes"):
        list(compare_logits(engine, [[1, 2, 3]], io.BytesIO(b"1234"), Cancel()))
