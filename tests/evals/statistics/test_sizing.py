"""Sizes have the power that they promise, pairs need fewer items, and what cannot be asked for is refused."""

from __future__ import annotations

import numpy as np
import pytest

from coalm_lite.errors import UsageError
from coalm_lite.evals.statistics.distributions import coin_tail
from coalm_lite.evals.statistics.sizing import items_needed, items_needed_unpaired, paired_power


def test_power_is_that_of_mcnemars_test() -> None:
    units, drop, flips, runs = 300, 0.05, 0.1, 4000
    drawn = np.random.default_rng(1).multinomial(units, [(flips + drop) / 2, (flips - drop) / 2, 1 - flips], runs)
    rejected = sum(coin_tail(int(lost), int(lost + won)) <= 0.05 for lost, won, _ in drawn)
    assert paired_power(units, drop, flips) == pytest.approx(rejected / runs, abs=0.03)


@pytest.mark.parametrize("flip_rate", [0.03, 0.1, 0.2])
@pytest.mark.parametrize("drop", [1.0, 3.0])
def test_the_size_has_80_percent_power_and_is_not_much_too_large(drop: float, flip_rate: float) -> None:
    units = items_needed(drop, flip_rate=flip_rate)
    assert 0.8 <= paired_power(units, drop / 100, flip_rate) < 0.83
    assert paired_power(units - max(2, units // 20), drop / 100, flip_rate) < 0.81


def test_more_flips_more_metrics_and_clusters_need_more_items() -> None:
    plain = items_needed(3.0, flip_rate=0.05)
    assert items_needed(3.0, flip_rate=0.1) > plain
    assert items_needed(3.0, flip_rate=0.05, metrics=3) > plain
    assert 1.7 * plain < items_needed(3.0, flip_rate=0.05, design_effect=2.0) < 2 * plain
    assert items_needed(3.0, flip_rate=0.05, units_per_item=7.0) == -(-plain // 7)


def test_fewer_flips_than_the_drop_are_as_many() -> None:
    assert items_needed(5.0, flip_rate=0.01) == items_needed(5.0, flip_rate=0.05)


def test_pairs_need_a_quarter_of_the_items_where_few_flip() -> None:
    assert 4 * items_needed(3.0, flip_rate=0.1) <= items_needed_unpaired(3.0, 0.5)
    assert 4 * items_needed(3.0, flip_rate=0.04) <= items_needed_unpaired(3.0, 0.9)


def test_an_unpaired_size_is_the_textbooks() -> None:
    variance = 0.6 * 0.4 + 0.57 * 0.43
    assert items_needed_unpaired(3.0, 0.6) == pytest.approx((1.6449 + 0.8416) ** 2 * variance / 0.03**2, abs=2)


@pytest.mark.parametrize("drop", [0.0, -1.0, 101.0, float("nan")])
def test_a_drop_that_is_none_is_refused(drop: float) -> None:
    with pytest.raises(UsageError, match=r"points cannot be detected"):
        items_needed(drop)
