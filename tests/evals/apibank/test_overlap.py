"""Rouge and BLEU: the values of public implementations, pinned, and what must hold of any text.

The pinned values are rouge-score's 0.1.2 and sacrebleu's 2.6.0 (`benchmarks/text_overlap.py --as-peer`).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.evals.apibank.overlap import bleu_4, rouge_l, rouge_n

GOLD = '[{"name": "BookBoat", "arguments": {"day": "friday", "seats": "2"}}]'
PINNED = [
    (GOLD, GOLD, (1.0, 1.0, 1.0, 1.0)),
    ('[{"name": "BookBoat", "arguments": {"day": "sunday"}}]', GOLD, (0.666667, 0.6, 0.666667, 0.645928)),
    (
        '[{"name": "BookBoat", "arguments": {"seats": "2", "day": "friday"}}]',
        GOLD,
        (1.0, 0.666667, 0.714286, 0.893976),
    ),
    (
        "the heron the heron waits by the pond",
        "the heron waits by a pond, the grey one",
        (0.705882, 0.4, 0.588235, 0.297971),
    ),
    (
        "Dr. Lee, 3.5-4 &quot;km&quot; away-\nor more",
        'Dr. Lim, 3.5-7 "km" away or more',
        (0.7, 0.333333, 0.7, 0.228248),
    ),
    ("Café 北京", "cafe", (0.0, 0.0, 0.0, 0.0)),
    ("[]", '[{"name": "BookBoat", "arguments": {}}]', (0.0, 0.0, 0.0, 0.000237)),
    ("friday", "friday 2 seats on the boat", (0.285714, 0.0, 0.285714, 0.006738)),
    ("", "BookBoat", (0.0, 0.0, 0.0, 0.0)),
    ("row row row", "boat", (0.0, 0.0, 0.0, 0.0)),
]


@pytest.mark.parametrize(("text", "reference", "expected"), PINNED)
def test_values_are_those_of_public_implementations(
    text: str, reference: str, expected: tuple[float, float, float, float]
) -> None:
    ours = (*(rouge_n(text, reference, n) for n in (1, 2)), rouge_l(text, reference), bleu_4(text, reference))
    assert ours == pytest.approx(expected, abs=1e-6)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "7", "7.5", ",", "{", "é"]), max_size=12).map(" ".join)


@given(WORDS, WORDS)
def test_every_value_is_a_share_and_rouge_is_symmetric(one: str, other: str) -> None:
    for value in (rouge_n(one, other, 1), rouge_n(one, other, 2), rouge_l(one, other), bleu_4(one, other)):
        assert 0 <= value <= 1 + 1e-12
    assert rouge_l(one, other) == rouge_l(other, one) <= rouge_n(one, other, 1)
