"""What is recorded at each free place: the likeliest tokens before any grammar, and how far from a base's they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from coalm_lite.evals.run import Choice, Step
from coalm_lite.evals.running.recording import Recorder, divergence, likeliest
from coalm_lite.types import Sampling

PROMPT = [7, 8]


def logits(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_the_likeliest_come_first_and_of_equal_ones_the_lowest() -> None:
    assert likeliest(logits(1, 5, 3, 5, 2), 3).tolist() == [1, 3, 2]
    assert likeliest(logits(1, 5), 9).tolist() == [1, 0]


def test_a_place_has_the_log_probabilities_of_the_whole_vocabulary() -> None:
    recorder = Recorder(Sampling(), len(PROMPT), 2)
    assert recorder.choose(logits(0, 2, 1), PROMPT) == 1
    whole = math.log(math.exp(0) + math.exp(2) + math.exp(1))
    (choice,) = recorder.choices([1])
    assert (choice.at, choice.ids) == (0, (1, 2))
    assert choice.logprobs == (round(2 - whole, 4), round(1 - whole, 4))


def test_what_a_grammar_refused_is_not_recorded_again() -> None:
    recorder = Recorder(Sampling(), len(PROMPT), 1)
    recorder.choose(logits(0, 2, 1), PROMPT)
    recorder.choose(logits(0, -math.inf, 1), PROMPT)
    assert [choice.ids for choice in recorder.choices([2])] == [(1,)]


def test_places_behind_replaced_tokens_are_forgotten() -> None:
    recorder = Recorder(Sampling(), len(PROMPT), 1)
    recorder.choose(logits(0, 2, 1), PROMPT)  # place 0
    recorder.choose(logits(0, 2, 1), [*PROMPT, 1])  # place 1
    recorder.choose(logits(0, 2, 1), [*PROMPT, 1, 1])  # place 2
    recorder.choose(logits(0, 1, 2), [*PROMPT, 2, 2, 2])  # all was cut otherwise
    assert [choice.at for choice in recorder.choices([2, 2, 2, 2])] == [0, 3]


def test_the_end_has_a_place() -> None:
    recorder = Recorder(Sampling(), len(PROMPT), 1)
    recorder.choose(logits(0, 2, 1), PROMPT)
    recorder.choose(logits(0, 0, 9), [*PROMPT, 1])  # token 2 ends it
    assert [choice.at for choice in recorder.choices([1])] == [0, 1]


def test_divergence_is_counted_while_the_answers_are_equal() -> None:
    choices = tuple(Choice(at, (1, 2), (math.log(0.7), math.log(0.2))) for at in range(3))
    base = Step("x", 2, "", "stop", (1, 1, 1), (1, 2, 3), choices)
    recorder = Recorder(Sampling(), len(PROMPT), 0, base)
    rows = logits(math.log(0.2), math.log(0.5), math.log(0.3))
    for count in range(3):
        recorder.choose(rows, [*PROMPT, *[1, 2, 2][:count]])
    found = recorder.agreement([1, 2, 2])
    assert found is not None
    assert (found.agreed_tokens, found.base_tokens, found.kl_places) == (1, 3, 2)
    exact = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.2)
    assert found.kl_sum == pytest.approx(2 * exact, abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_divergence_is_zero_between_equals_and_never_below(seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    left, right = (np.log(random.dirichlet(np.full(12, 0.3)) + 1e-12)[:10] for _ in range(2))
    assert divergence(left, left) == 0
    assert divergence(left, right) >= 0
    assert divergence(left, left + random.normal(0, 5e-5, 10)) < 2e-4


def test_a_base_of_other_words_says_nothing_behind_them() -> None:
    base = Step("x", 2, "", "stop", (5, 5), (1, 2), (Choice(1, (1,), (-0.5,)),))
    recorder = Recorder(Sampling(), len(PROMPT), 0, base)
    recorder.choose(logits(0, 2, 1), [*PROMPT, 1])
    found = recorder.agreement([1])
    assert found is not None
    assert (found.agreed_tokens, found.kl_places) == (0, 0)
