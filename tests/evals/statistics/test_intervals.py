"""The interval widens with doubt, mirrors, agrees with the textbook where much was seen, and is the same each time."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from coalm_lite.evals.statistics.intervals import difference_interval
from tests.evals.statistics.tables import passes, shares, weighted


def test_it_is_the_same_each_time() -> None:
    pairs = shares(1, 20, 0.2)
    assert difference_interval(pairs) == difference_interval(pairs)


def test_with_many_flips_it_is_the_textbooks() -> None:
    lost, won, units = 130, 90, 2000
    interval = difference_interval(passes(lost, won, units - lost - won))
    middle = (won - lost) / units
    half = 1.96 * sqrt(lost + won - (won - lost) ** 2 / units) / units
    assert interval.low == pytest.approx(middle - half, rel=0.04)
    assert interval.high == pytest.approx(middle + half, abs=0.0006)


def test_without_any_flip_it_is_no_point() -> None:
    interval = difference_interval(passes(0, 0, 200))
    assert -0.03 < interval.low < -0.008
    assert 0.008 < interval.high < 0.03


def test_more_items_make_it_narrower() -> None:
    few, many = (difference_interval(passes(4 * n, 2 * n, 94 * n)) for n in (1, 16))
    assert (many.high - many.low) < 0.35 * (few.high - few.low)


def test_flips_that_come_together_make_it_wider() -> None:
    alone, together = (difference_interval(passes(28, 28, 644, cluster_size=size)) for size in (1, 7))
    assert (together.high - together.low) > 1.8 * (alone.high - alone.low)


def test_it_mirrors_when_base_and_other_change_places() -> None:
    pairs = shares(3, 60, 0.3)
    mirrored = replace(pairs, sums=np.ascontiguousarray(pairs.sums[..., [2, 3, 0, 1]]))
    one, other = difference_interval(pairs), difference_interval(mirrored)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.003)


def test_a_small_stratum_of_great_weight_widens_it() -> None:
    even, uneven = weighted([(10, 10, 480), (10, 10, 480)]), weighted([(19, 19, 922), (1, 1, 38)])
    widths = [interval.high - interval.low for interval in map(difference_interval, (even, uneven))]
    assert widths[1] > 1.5 * widths[0]


def test_it_stays_within_what_a_difference_can_be() -> None:
    interval = difference_interval(passes(2, 0, 0))
    assert (interval.low, interval.high <= 1) == (-1.0, True)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (12, 12), (20, 0)])
def test_it_covers_the_truth_as_often_as_it_says(lost: int, won: int) -> None:
    """A short simulation; benchmarks/calibration.py has the long ones."""
    units, random = 400, np.random.default_rng(lost)
    truth, covered, runs = (won - lost) / units, 0, 150
    for _ in range(runs):
        drawn = random.multinomial(units, [lost / units, won / units, 1 - (lost + won) / units])
        interval = difference_interval(passes(*map(int, drawn)), draws=800)
        covered += interval.low <= truth <= interval.high
    assert covered >= 0.89 * runs
