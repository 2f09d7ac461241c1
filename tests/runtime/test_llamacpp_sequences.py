"""Several sequences over one KV cache: each computes what it would compute alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.errors import ContextFullError, DecodingError
from coalm_lite.runtime.base import Cancel, Cancelled, ManySequences, Stretch
from coalm_lite.runtime.llamacpp import LlamaEngine
from tests.gguf_models import vocabulary
from tests.runtime.test_llamacpp_cache import CancelsItself

SAME = 1e-3
COUNT = len(vocabulary()[0])
tokens = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def many(tiny_model: Path) -> Iterator[LlamaEngine]:
    with LlamaEngine.load(tiny_model, threads=1, context_tokens=128, sequences=4) as engine:
        yield engine


def emptied(engine: LlamaEngine) -> LlamaEngine:
    for sequence in range(engine.sequences):
        engine.cut(sequence, 0)
    return engine


def rows_alone(engine: LlamaEngine, text: Sequence[int]) -> np.ndarray:  # type: ignore[type-arg]
    """The logits after every token, computed in one sequence and one batch."""
    return np.stack(list(engine.logits_after(text, 0, Cancel())))


def test_the_engine_says_what_it_can(many: LlamaEngine, engine: LlamaEngine) -> None:
    assert isinstance(many, ManySequences)
    assert (many.sequences, many.batch_tokens, many.can_cut) == (4, 128, True)
    assert engine.sequences == 1


@settings(max_examples=25, deadline=None)
@given(
    prefix=tokens,
    tails=st.lists(tokens, min_size=2, max_size=3),
    places=st.sets(st.integers(0, 12)),
    cut=st.integers(0, 8),
)
def test_sequences_of_one_beginning_in_one_batch_compute_what_each_would_alone(
    many: LlamaEngine, engine: LlamaEngine, prefix: list[int], tails: list[list[int]], places: set[int], cut: int
) -> None:
    emptied(many).compute([Stretch(0, prefix)], Cancel())
    for sequence in range(1, len(tails) + 1):
        many.share(0, sequence, len(prefix))
    assert many.free_tokens() == 128 - len(prefix)
    stretches = [
        Stretch(sequence, tail, [place for place in sorted(places) if place < len(tail)])
        for sequence, tail in enumerate(tails, 1)
    ]
    for stretch, got in zip(stretches, many.compute(stretches, Cancel()), strict=True):
        alone = rows_alone(engine, [*prefix, *stretch.tokens])[len(prefix) :]
        assert len(got) == len(stretch.wanted)
        np.testing.assert_allclose(got, np.reshape([alone[place] for place in stretch.wanted], got.shape), atol=SAME)
    assert many.free_tokens() == 128 - len(prefix) - sum(map(len, tails))
    kept = many.cut(1, len(prefix) + cut)  # one of them goes on from an earlier place, the others stay
    again = [*prefix, *tails[0]][:kept]
    got = many.compute([Stretch(1, [5, 6], [1]), Stretch(2, [7], [0])], Cancel())
    np.testing.assert_allclose(got[0][0], rows_alone(engine, [*again, 5, 6])[-1], atol=SAME)
    np.testing.assert_allclose(got[1][0], rows_alone(engine, [*prefix, *tails[1], 7])[-1], atol=SAME)
    assert list(many.held(1)) == [*again, 5, 6]


def test_all_sequences_share_the_room(many: LlamaEngine) -> None:
    emptied(many).compute([Stretch(0, [1] * 60), Stretch(1, [2] * 60)], Cancel())
    assert many.free_tokens() == 8
    with pytest.raises(ContextFullError, match="9 more tokens after the 120 it holds"):
        many.compute([Stretch(0, [1] * 5), Stretch(1, [2] * 4)], Cancel())
    assert [len(many.held(sequence)) for sequence in range(4)] == [60, 60, 0, 0]
    many.cut(1, 0)
    assert many.compute([Stretch(0, [1] * 68, [67])], Cancel())[0].shape == (1, COUNT)


def test_a_cancelled_batch_leaves_nothing_behind(many: LlamaEngine, engine: LlamaEngine) -> None:
    emptied(many).compute([Stretch(0, [1, 2, 3])], Cancel())
    with pytest.raises(Cancelled):
        many.compute([Stretch(0, [4] * 30), Stretch(1, [5] * 30)], CancelsItself(1))
    assert (list(many.held(0)), list(many.held(1)), many.free_tokens()) == ([1, 2, 3], [], 125)
    got = many.compute([Stretch(0, [4], [0])], Cancel())
    np.testing.assert_allclose(got[0][0], rows_alone(engine, [1, 2, 3, 4])[-1], atol=SAME)


def test_wrong_sequences_and_tokens_are_errors_and_end_nothing(many: LlamaEngine) -> None:
    emptied(many).compute([Stretch(0, [1, 2, 3])], Cancel())
    for sequence in (-1, 4):
        with pytest.raises(DecodingError, match=f"no sequence {sequence}"):
            many.compute([Stretch(sequence, [1], [0])], Cancel())
        with pytest.raises(DecodingError, match="no sequence"):
            many.cut(sequence, 0)
    with pytest.raises(DecodingError, match="cannot share"):
        many.share(0, 0, 1)
    with pytest.raises(DecodingError, match="cannot share"):
        many.share(0, 1, 4)
    with pytest.raises(DecodingError, match="failed to compute"):
        many.compute([Stretch(0, [COUNT], [0])], Cancel())
    assert list(many.held(0)) == [1, 2, 3]
    assert many.compute([], Cancel()) == []
