from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalm_lite.decoding.sampling import Sampler
from coalm_lite.errors import DecodingError, UsageError
from coalm_lite.types import Sampling

if TYPE_CHECKING:
    from coalm_lite.runtime.base import Logits

LOGITS = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=1, max_size=12)
FILTERS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.integers(0, 6),
    top_p=st.sampled_from([0.1, 0.5, 0.9, 0.99, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    repeat_penalty=st.sampled_from([0.5, 1.0, 1.3]),
    repeat_window_tokens=st.integers(0, 3),
    seed=st.integers(0, 1 << 63),
)


def array(values: list[float]) -> Logits:
    return np.array(values, dtype=np.float32)


def probabilities(values: list[float], recent: list[int], sampling: Sampling) -> dict[int, float]:
    """The documented order, written down plainly: what each token's chance must be."""
    logits = dict(enumerate(values))
    for token in set(recent[len(recent) - min(len(recent), sampling.repeat_window_tokens) :]):
        penalty = sampling.repeat_penalty
        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    ranked = sorted((t for t in logits if logits[t] > -np.inf), key=lambda t: (-logits[t], t))
    ranked = ranked[: sampling.top_k or None]
    weights = {t: float(np.exp(logits[t] - logits[ranked[0]])) for t in ranked}
    total, mass, kept = sum(weights.values()), 0.0, []
    for token in ranked:
        kept.append(token)
        mass += weights[token] / total
        if mass >= sampling.top_p:
            break
    kept = [token for token in kept if weights[token] >= sampling.min_p]
    heated = {t: float(np.exp((logits[t] - logits[ranked[0]]) / sampling.temperature)) for t in kept}
    return {token: weight / sum(heated.values()) for token, weight in heated.items()}


@given(values=LOGITS, sampling=FILTERS, data=st.data())
@settings(deadline=None)
def test_only_tokens_that_pass_every_filter_are_drawn(
    values: list[float], sampling: Sampling, data: st.DataObject
) -> None:
    recent = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=5))
    possible = probabilities(values, recent, sampling)
    sampler = Sampler(sampling)
    drawn = {sampler.choose(array(values), recent) for _ in range(20)}
    assert drawn <= possible.keys()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.6, top_p=0.9, seed=2),
        Sampling(temperature=1.5, top_k=4, min_p=0.05, seed=3),
        Sampling(temperature=1.0, top_k=5, top_p=0.8, repeat_penalty=1.5, seed=4),
    ],
)
def test_tokens_are_drawn_as_often_as_their_probability_says(sampling: Sampling) -> None:
    values, recent, draws = [2.0, 1.5, 1.5, 0.0, -1.0, 3.0, -3.0], [5, 0], 6_000
    sampler = Sampler(sampling)
    counts = Counter(sampler.choose(array(values), recent) for _ in range(draws))
    expected = probabilities(values, recent, sampling)
    assert counts.keys() <= expected.keys()
    for token, chance in expected.items():
        spread = (draws * chance * (1 - chance)) ** 0.5
        assert abs(counts[token] - draws * chance) <= 4 * spread + 1


@settings(deadline=None)
@given(values=LOGITS)
def test_greedy_takes_the_lowest_of_the_highest(values: list[float]) -> None:
    assert Sampler(Sampling()).choose(array(values), []) == values.index(max(values))


def test_the_same_seed_draws_the_same_tokens_and_another_one_others() -> None:
    logits = np.random.default_rng(0).standard_normal(1000).astype(np.float32)

    def draw(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.0, top_p=0.95, seed=seed))
        return [sampler.choose(logits, []) for _ in range(50)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_without_a_seed_each_sampler_draws_its_own_and_tells_it() -> None:
    first, second = Sampler(Sampling(temperature=1.0)), Sampler(Sampling(temperature=1.0))
    assert first.seed != second.seed
    logits = np.zeros(1000, dtype=np.float32)
    again = Sampler(Sampling(temperature=1.0, seed=first.seed))
    assert [first.choose(logits, []) for _ in range(20)] == [again.choose(logits, []) for _ in range(20)]


@pytest.mark.parametrize("top_p", [0.5, 0.999, 0.9999999])
def test_the_head_that_is_sorted_for_top_p_grows_until_it_is_enough(top_p: float) -> None:
    """A flat distribution over 5,000 tokens: the head of 256 is never enough."""
    logits = np.zeros(5000, dtype=np.float32)
    sampler = Sampler(Sampling(temperature=1.0, top_p=top_p, seed=0))
    drawn = [sampler.choose(logits, []) for _ in range(800)]
    assert max(drawn) < 5000 * top_p + 1
    assert max(drawn) > 5000 * top_p * 0.98


def test_logits_are_left_as_they_are() -> None:
    logits = array([1.0, 2.0, 3.0])
    Sampler(Sampling(temperature=1.0, top_k=2, repeat_penalty=2.0, seed=0)).choose(logits, [2])
    np.testing.assert_array_equal(logits, array([1.0, 2.0, 3.0]))


def test_refused_tokens_are_never_drawn() -> None:
    logits = np.full(300, -np.inf, dtype=np.float32)
    logits[[3, 299]] = 0.0
    sampler = Sampler(Sampling(temperature=5.0, top_k=10, top_p=0.99, seed=0))
    assert {sampler.choose(logits, []) for _ in range(50)} == {3, 299}


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1e-12])
def test_a_tiny_temperature_is_greedy_and_warns_of_nothing(temperature: float) -> None:
    logits = array([0.0, 30.0, 30.5])
    sampler = Sampler(Sampling(temperature=min(temperature, 1e-12), seed=0))
    assert {sampler.choose(logits, []) for _ in range(20)} == {2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("values", [[-np.inf, -np.inf], [0.0, np.nan], [np.inf, 0.0]])
def test_logits_that_leave_no_choice_are_an_error(temperature: float, values: list[float]) -> None:
    with pytest.raises(DecodingError, match="no token can be chosen"):
        Sampler(Sampling(temperature=temperature, seed=0)).choose(array(values), [])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=-0.1),
        Sampling(temperature=float("nan")),
        Sampling(top_k=-1),
        Sampling(top_p=0),
        Sampling(top_p=1.1),
        Sampling(min_p=-0.1),
        Sampling(repeat_penalty=0),
        Sampling(repeat_window_tokens=-1),
        Sampling(seed=-1),
        Sampling(max_tokens=0),
    ],
)
def test_a_value_that_means_nothing_is_refused_with_its_range(sampling: Sampling) -> None:
    with pytest.raises(UsageError, match=r"\w+ is \S+, outside \S+ to \S+"):
        Sampler(sampling)
