"""What two models scored on the same units, in the one table that interval and test are computed from.

A row is a cluster (a dialogue, or a single item), since units of a cluster depend on each other: what they scored is
added up, within each stratum. A metric's score is the weighted mean over its strata of the sum of parts over the sum of
wholes; without weights everything is one stratum. A stratum in which neither model has anything to be scored is left
out, and the other weights are raised to sum to 1; one in which only one has a whole scores 0 for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.evals.items import Metric, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Columns of `Pairs.sums`: base and other, twice.
PARTS, WHOLES = (0, 2), (1, 3)
_NOTHING = Share(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PairedUnit:
    """The same unit as the two models did it, and the cluster of its item. A metric that one side lacks is 0 of 0."""

    cluster: str
    stratum: str
    base: Mapping[str, Share]
    other: Mapping[str, Share]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A metric's units, added up by cluster and stratum.

    `sums` has the shape (clusters, strata, 4): base's part and whole, the other's part and whole. `lost` and `won`
    count the units whose score fell and rose. `single_passes`: whether each cluster is one unit, scored 0 or 1 of 1.
    """

    sums: NDArray[np.float64]
    strata: tuple[str, ...]
    weights: NDArray[np.float64]
    units: int
    lost: int
    won: int
    single_passes: bool

    @property
    def clusters(self) -> int:
        """How many there are."""
        return int(self.sums.shape[0])

    @property
    def scores(self) -> tuple[float, float]:
        """The base's score and the other's."""
        base, other = scores_of(self.sums.sum(axis=0), self.weights)
        return float(base), float(other)


def pair_units(units: Iterable[PairedUnit], metric: Metric) -> Pairs:
    """The table of a metric over the units that have it on either side; a whole of 0 on both counts for nothing."""
    scored = [unit for unit in units if _counts(unit, metric)]
    strata = _strata(scored, metric.weights)
    columns = {name: column for column, name in enumerate(strata)}
    clusters = {name: row for row, name in enumerate(dict.fromkeys(unit.cluster for unit in scored))}
    shares = np.array([_shares(unit, metric.name) for unit in scored], dtype=np.float64).reshape(-1, 4)
    sums = np.zeros((len(clusters), len(strata), 4))
    for unit, share in zip(scored, shares, strict=True):
        sums[clusters[unit.cluster], columns[unit.stratum if metric.weights else ""]] += share
    weights = np.array([metric.weights.get(name, 1.0) for name in strata])
    base, other = rates_of(shares).T
    return Pairs(
        sums,
        strata,
        weights / weights.sum(),
        units=len(scored),
        lost=int((other < base).sum()),
        won=int((other > base).sum()),
        single_passes=metric.pass_fail and len(clusters) == len(scored),
    )


def rates_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Base's and other's part of whole, shape (..., 2), of sums of shape (..., 4); 0 where there is no whole."""
    wholes = sums[..., WHOLES]
    return np.divide(sums[..., PARTS], wholes, out=np.zeros_like(wholes), where=wholes > 0)


def scores_of(sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Base's and other's score, shape (..., 2), of sums of shape (..., strata, 4)."""
    return np.asarray(np.einsum("...sk,s->...k", rates_of(sums), weights))


def influences(pairs: Pairs) -> NDArray[np.float64]:
    """How far each cluster moves the difference of scores in each stratum, to first order: shape (clusters, strata).

    In a stratum they sum to 0. It is the derivative by the cluster's weight of the weighted difference of rates.
    """
    totals = pairs.sums.sum(axis=0)
    gaps = pairs.sums[..., PARTS] - rates_of(totals) * pairs.sums[..., WHOLES]
    wholes = totals[:, WHOLES]
    moved = np.divide(gaps, wholes, out=np.zeros_like(gaps), where=wholes > 0)
    return np.asarray((moved[..., 1] - moved[..., 0]) * pairs.weights)


def _strata(units: Sequence[PairedUnit], weights: Mapping[str, float]) -> tuple[str, ...]:
    """The strata that count and are there, in the order of the weights; without weights one, which has no name."""
    found = {unit.stratum for unit in units}
    return tuple(name for name in weights if name in found) if weights else ("",)


def _counts(unit: PairedUnit, metric: Metric) -> bool:
    _, base_whole, _, whole = _shares(unit, metric.name)
    weighs = not metric.weights or metric.weights.get(unit.stratum, 0.0) > 0
    return weighs and max(base_whole, whole) > 0


def _shares(unit: PairedUnit, name: str) -> tuple[float, float, float, float]:
    base, other = unit.base.get(name, _NOTHING), unit.other.get(name, _NOTHING)
    return base.part, base.whole, other.part, other.whole
