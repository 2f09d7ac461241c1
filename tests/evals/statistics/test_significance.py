"""The tests of "no drop": McNemar's where it applies, exchanges of clusters elsewhere; Holm's correction."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from coalm_lite.evals.statistics.pairs import Pairs
from coalm_lite.evals.statistics.significance import EXCHANGES, MCNEMAR, holm, no_drop
from tests.evals.statistics.tables import passes, shares, weighted


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (5, 0), (9, 3), (3, 9), (40, 22)])
def test_single_passes_are_tested_by_mcnemar(lost: int, won: int) -> None:
    found = no_drop(passes(lost, won, 100))
    expected = binomtest(lost, lost + won, 0.5, "greater").pvalue if lost + won else 1.0
    assert (found.test, found.p) == (MCNEMAR, pytest.approx(expected))


def exchanged(pairs: Pairs) -> float:
    """The p-value by trying every exchange, one at a time."""
    base, score = pairs.scores
    as_great = 0
    choices = list(product((False, True), repeat=pairs.clusters))
    for choice in choices:
        totals = np.where(np.array(choice)[:, None, None], pairs.sums[..., [2, 3, 0, 1]], pairs.sums).sum(axis=0)
        rates = totals[:, [0, 2]] / totals[:, [1, 3]]
        as_great += (rates[:, 1] - rates[:, 0]) @ pairs.weights <= score - base + 1e-12
    return as_great / len(choices)


@pytest.mark.parametrize("seed", range(4))
def test_few_clusters_are_exchanged_in_every_way(seed: int) -> None:
    pairs = shares(seed, 9, 0.4)
    found = no_drop(pairs)
    assert (found.test, found.p) == (EXCHANGES, pytest.approx(exchanged(pairs)))


def test_weighted_strata_are_tested_by_what_they_weigh() -> None:
    light, heavy = weighted([(4, 0, 96), (0, 0, 8)]), weighted([(0, 4, 96), (4, 0, 4)])
    assert no_drop(light).p == pytest.approx(1 / 16)
    assert no_drop(heavy).p == pytest.approx(1 / 16)  # lost where it weighs more than what is won elsewhere


def test_many_clusters_are_sampled_and_agree_with_mcnemar_where_both_apply() -> None:
    pairs = passes(60, 38, 400)
    alone = no_drop(pairs).p
    paired = Pairs(pairs.sums, pairs.strata, pairs.weights, pairs.units, pairs.lost, pairs.won, single_passes=False)
    assert no_drop(paired).p == pytest.approx(alone, abs=0.004)
    assert no_drop(paired) == no_drop(paired)


def test_a_dialogue_that_flips_from_some_turn_on_counts_once() -> None:
    together = no_drop(passes(14, 0, 86, cluster_size=7))
    assert together.p == pytest.approx(1 / 4)  # two dialogues: one of four exchanges is as great
    assert no_drop(passes(14, 0, 86)).p < 1e-4


def test_where_nothing_flips_nothing_dropped() -> None:
    assert no_drop(passes(0, 0, 50, cluster_size=5)).p == 1.0


def test_holms_correction() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()
