"""A metric of two runs in one value: scores, difference, interval, test; and how often and how its units flip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coalm_lite.evals.items import Metric, Share, Unit
from coalm_lite.evals.run import ItemResult
from coalm_lite.evals.statistics.intervals import Interval, difference_interval
from coalm_lite.evals.statistics.pairs import PairedUnit, Pairs, influences, pair_units
from coalm_lite.evals.statistics.significance import Significance, no_drop


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the units of one metric say of the other model beside the base, in 0 to 1."""

    pairs: Pairs
    interval: Interval
    significance: Significance

    @property
    def difference(self) -> float:
        """The other's score less the base's."""
        base, score = self.pairs.scores
        return score - base


def paired_units(base: Sequence[ItemResult], other: Sequence[ItemResult]) -> Iterator[PairedUnit]:
    """The units of two runs' items of one suite, side by side; one that only one run has is scored there alone."""
    others = {item.id: item for item in other}
    for item in base:
        left = {unit.id: unit for unit in item.units}
        right = {unit.id: unit for unit in others[item.id].units}
        for name in dict.fromkeys([*left, *right]):
            stratum = (left.get(name) or right[name]).stratum
            yield PairedUnit(item.cluster, stratum, _scores(left.get(name)), _scores(right.get(name)))


def estimate(units: Sequence[PairedUnit], metric: Metric, seed: int = 0) -> Estimate | None:
    """The metric's estimate; None where no unit has anything that it counts."""
    pairs = pair_units(units, metric)
    if not pairs.units:
        return None
    return Estimate(pairs, difference_interval(pairs, seed), no_drop(pairs, seed))


def flip_rate(pairs: Pairs) -> float:
    """The share of units whose score changed: what `items_needed` takes."""
    return (pairs.lost + pairs.won) / pairs.units


def design_effect(pairs: Pairs) -> float:
    """How many times more units are needed than if each told as much, alone, as the flips of this metric suggest.

    The variance of the difference as the clusters and weights give it, over that of as many independent flips of size
    1. Where nothing flipped there is nothing to go by, and it is 1.
    """
    if pairs.lost + pairs.won == 0:
        return 1.0
    moved = influences(pairs).sum(axis=1)
    base, score = pairs.scores
    alone = (flip_rate(pairs) - (score - base) ** 2) / pairs.units
    return float((moved**2).sum() / alone) if alone > 0 else 1.0


def _scores(unit: Unit | None) -> Mapping[str, Share]:
    return unit.scores if unit else {}
