"""How many items a comparison needs: to detect a drop with a given power, paired or with other items for each model.

Paired, only items that flip tell anything. With a share `flip_rate` of units flipping and a drop D, (flip_rate + D) / 2
of the units are lost and (flip_rate - D) / 2 won; the power is that of McNemar's exact test, one-sided, and computed
exactly. Units of a cluster depend on each other: `design_effect` says how many times more of them are needed than of
independent ones, and the normal approximation is taken. For several headline metrics the level is divided, as Holm's
correction does for the first of them.

Not covered: metrics that are no passes, whose flips are of other sizes than 1 (take their design effect).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

import numpy as np

from coalm_lite.errors import UsageError
from coalm_lite.evals.statistics.distributions import (
    binomial_chances,
    binomial_tails,
    coin_thresholds,
    normal_quantile,
)
from coalm_lite.evals.statistics.significance import LEVEL

ASSUMED_FLIP_RATE = 0.10
POWER = 0.80
_MOST_ITEMS = 10_000_000
_STEADY = 1.02  # power as a function of size has teeth: it has to hold for so much more, too


def items_needed(
    drop_points: float,
    *,
    flip_rate: float = ASSUMED_FLIP_RATE,
    metrics: int = 1,
    units_per_item: float = 1.0,
    design_effect: float = 1.0,
) -> int:
    """How many items show a drop of so many points, of 100, with 80 % power. UsageError for a drop out of (0, 100].

    `flip_rate`: the share of units that are expected to flip, raised to the drop where that is more.
    """
    drop, level = _checked(drop_points), LEVEL / metrics
    flips = max(flip_rate, drop)
    if design_effect == 1.0:
        units: float = _fewest(lambda count: paired_power(count, drop, flips, level))
    else:  # exchanged clusters of many sizes have no steps to pass, as McNemar's counts have
        units = _smooth(flips - drop**2, drop, level) * design_effect
    return ceil(units / units_per_item)


def items_needed_unpaired(drop_points: float, base_score: float, *, metrics: int = 1) -> int:
    """How many items each of two models needs if each gets items of its own, for the same power and level.

    `base_score` is in 0 to 1; two shares are compared by the normal approximation with variances of their own.
    """
    drop = _checked(drop_points)
    score = max(0.0, base_score - drop)
    variance = base_score * (1 - base_score) + score * (1 - score)
    return ceil(_smooth(variance, drop, LEVEL / metrics))


def paired_power(units: int, drop: float, flip_rate: float, level: float = LEVEL) -> float:
    """The probability that McNemar's exact test, one-sided, rejects "no drop" at this true drop, both in 0 to 1."""
    spread = 8 * sqrt(units * flip_rate) + 20
    low, high = max(0, int(units * flip_rate - spread)), min(units, int(units * flip_rate + spread))
    flips = np.arange(low, high + 1)
    chances = binomial_chances(flips, units, flip_rate)
    lost_share = (flip_rate + drop) / (2 * flip_rate)
    return float(chances @ binomial_tails(coin_thresholds(flips, level), flips, lost_share))


def _smooth(variance: float, drop: float, level: float) -> float:
    """The size with enough power by the normal approximation, for a difference with this variance a unit."""
    return (normal_quantile(1 - level) + normal_quantile(POWER)) ** 2 * variance / drop**2


def _fewest(power: Callable[[int], float]) -> int:
    """The smallest size with enough power, found by halving; then the first from which on the teeth keep it."""
    high = 1
    while power(high) < POWER and high < _MOST_ITEMS:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    while power(ceil(high * _STEADY)) < POWER:
        high += 1
    return high


def _checked(drop_points: float) -> float:
    if not 0 < drop_points <= 100:
        raise UsageError(f"a drop of {drop_points:g} points cannot be detected", "Give one above 0 and at most 100.")
    return drop_points / 100
