"""Tables of paired scores for tests, from what each unit of the base and of the other scored."""

from __future__ import annotations

import random
from collections.abc import Sequence

from coalm_lite.evals.items import FAIL, PASS, Metric, Share
from coalm_lite.evals.statistics.pairs import PairedUnit, Pairs, pair_units

PASSED = Metric("passed", "passed", headline=True)
RATIO = Metric("f1", "F1", pass_fail=False)


def units_of(
    lost: int, won: int, same: int, *, cluster_size: int = 1, stratum: str = "", metric: str = "passed"
) -> list[PairedUnit]:
    """So many units that fell, rose and stayed (three in four of these right), dealt to clusters in this order."""
    kinds = (
        [(PASS, FAIL)] * lost + [(FAIL, PASS)] * won + [(PASS, PASS) if n % 4 else (FAIL, FAIL) for n in range(same)]
    )
    return [
        PairedUnit(f"{stratum}{number // cluster_size}", stratum, {metric: base}, {metric: other})
        for number, (base, other) in enumerate(kinds)
    ]


def passes(lost: int, won: int, same: int, cluster_size: int = 1) -> Pairs:
    """The table of such units, pooled."""
    return pair_units(units_of(lost, won, same, cluster_size=cluster_size), PASSED)


def weighted(strata: Sequence[tuple[int, int, int]]) -> Pairs:
    """The table of strata of equal weight, each of so many lost, won and same."""
    names = [chr(ord("a") + number) for number in range(len(strata))]
    metric = Metric("passed", "passed", weights={name: 1 / len(names) for name in names})
    units = [unit for name, counts in zip(names, strata, strict=True) for unit in units_of(*counts, stratum=name)]
    return pair_units(units, metric)


def shares(seed: int, clusters: int, worse: float) -> Pairs:
    """A ratio of sums over clusters of three units, in which the other's parts are less by `worse` on average."""
    chance = random.Random(seed)
    units = []
    for number in range(clusters * 3):
        whole, part = chance.randint(3, 9), chance.randint(1, 3)
        less = chance.random() < worse
        base, other = Share(part, whole), Share(part - less, whole + chance.randint(-1, 1))
        units.append(PairedUnit(str(number // 3), "", {"f1": base}, {"f1": other}))
    return pair_units(units, RATIO)
