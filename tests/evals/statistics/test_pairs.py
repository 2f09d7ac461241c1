"""Scores are sums of parts over sums of wholes within strata, and tables keep what clusters share together."""

from __future__ import annotations

import numpy as np
import pytest

from coalm_lite.evals.items import Metric, Share
from coalm_lite.evals.statistics.pairs import PairedUnit, influences, pair_units
from tests.evals.statistics.tables import PASSED, RATIO, passes, shares, weighted


def unit(cluster: str, stratum: str, base: Share | None, other: Share | None, name: str = "f1") -> PairedUnit:
    return PairedUnit(cluster, stratum, {name: base} if base else {}, {name: other} if other else {})


def test_a_pooled_score_is_the_sum_of_parts_over_the_sum_of_wholes() -> None:
    pairs = pair_units([unit("a", "x", Share(1, 4), Share(2, 2)), unit("b", "y", Share(3, 4), Share(3, 6))], RATIO)
    assert pairs.scores == (4 / 8, 5 / 8)
    assert (pairs.units, pairs.clusters, pairs.lost, pairs.won) == (2, 2, 1, 1)


def test_strata_are_averaged_by_their_weights_and_those_without_weight_left_out() -> None:
    metric = Metric("f1", "F1", weights={"x": 0.25, "y": 0.75})
    rows = [
        unit("a", "x", Share(1), Share(0)),
        unit("b", "y", Share(1, 2), Share(1)),
        unit("c", "z", Share(0), Share(1)),
    ]
    pairs = pair_units(rows, metric)
    assert pairs.scores == (0.25 + 0.375, 0.75 * 1)
    assert pairs.units == 2


def test_the_weights_of_strata_that_are_not_there_go_to_the_others() -> None:
    metric = Metric("f1", "F1", weights={"x": 0.2, "y": 0.2, "gone": 0.6})
    pairs = pair_units([unit("a", "x", Share(1), Share(1)), unit("b", "y", Share(0), Share(1))], metric)
    assert pairs.scores == (0.5, 1.0)


def test_units_of_one_cluster_make_one_row_and_are_no_single_passes() -> None:
    pairs = passes(2, 2, 10, cluster_size=7)
    assert (pairs.clusters, pairs.units, pairs.single_passes) == (2, 14, False)
    assert passes(2, 2, 10).single_passes


def test_what_one_side_lacks_is_nought_of_nought_and_what_both_lack_counts_for_nothing() -> None:
    rows = [unit("a", "", Share(1, 2), None), unit("b", "", Share(0, 0), Share(0, 0)), unit("c", "", None, None)]
    pairs = pair_units(rows, RATIO)
    assert (pairs.units, pairs.scores) == (1, (0.5, 0.0))


def test_no_units_are_an_empty_table() -> None:
    assert pair_units([], PASSED).units == 0
    assert pair_units([], Metric("passed", "", weights={"x": 1.0})).units == 0


@pytest.mark.parametrize("seed", range(5))
def test_influences_are_the_derivative_of_the_difference_by_a_clusters_weight(seed: int) -> None:
    for pairs in (shares(seed, 12, 0.3), weighted([(2, 1, 9), (0, 3, 5)])):
        step = 1e-6
        base, score = pairs.scores
        for row in range(pairs.clusters):
            sums = pairs.sums.copy()
            sums[row] *= 1 + step
            totals = sums.sum(axis=0)
            rates = totals[:, [0, 2]] / totals[:, [1, 3]]
            moved = ((rates[:, 1] - rates[:, 0]) @ pairs.weights - (score - base)) / step
            assert influences(pairs)[row].sum() == pytest.approx(moved, abs=1e-5)
        assert np.allclose(influences(pairs).sum(axis=0), 0)
