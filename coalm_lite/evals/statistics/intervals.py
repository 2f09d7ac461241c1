"""The 95 % interval of a paired difference: a Bayesian bootstrap over clusters, with half a flip added either way.

Rubin's bootstrap draws a weight from the exponential distribution for each cluster where Efron's draws how often it is
taken; the two agree where much was seen. Where few units flipped, Efron's has nothing to draw from (with no flip at all
its interval is a point), and its skew points the wrong way. Here the weights of equal clusters are drawn at once (a
gamma distribution), and two clusters more, one that won and one that lost, have half the weight of a real one, as in
Jeffreys' prior. They are as large as a flip was on average, and shared among strata by their weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.evals.statistics.distributions import normal_quantile, student_quantile
from coalm_lite.evals.statistics.pairs import PARTS, WHOLES, Pairs, influences, scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
DRAWS = 10_000
_CHUNK_CELLS = 4_000_000  # gamma draws that are held at once
_PRIOR = 0.5


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true difference of scores lies, in 0 to 1; `CONFIDENCE` of such intervals contain theirs."""

    low: float
    high: float


def difference_interval(pairs: Pairs, seed: int = 0, draws: int = DRAWS) -> Interval:
    """The interval of the other's score less the base's; the same for the same table and seed."""
    base, score = pairs.scores
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(_drawn_differences(pairs, np.random.default_rng(seed), draws), [tail, 1 - tail])
    stretch = _stretch(pairs.clusters)
    middle = score - base
    low, high = middle - stretch * (middle - float(low)), middle + stretch * (float(high) - middle)
    return Interval(max(-1.0, low), min(1.0, high))


def _drawn_differences(pairs: Pairs, random: np.random.Generator, draws: int) -> NDArray[np.float64]:
    kinds, counts = _kinds(pairs.sums.reshape(pairs.clusters, -1))
    added, size = _PRIOR * pairs.weights, _flip_size(pairs)
    found = []
    step = max(1, _CHUNK_CELLS // len(kinds))
    for start in range(0, draws, step):
        number = min(step, draws - start)
        sums = random.standard_gamma(counts, (number, len(counts))) @ kinds
        sums = sums.reshape(number, -1, 4)
        scores = scores_of(sums, pairs.weights)
        flips = random.standard_gamma(added, (2, number, len(added)))
        wholes = np.maximum(sums[..., WHOLES].max(axis=-1), 1e-12)
        prior = (size * (flips[0] - flips[1]) / wholes) @ pairs.weights
        found.append(scores[:, 1] - scores[:, 0] + prior)
    return np.concatenate(found)


def _kinds(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The different rows, and how often each is there; told apart by their bytes, ten times as fast as by columns."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return rows[first], counts


def _flip_size(pairs: Pairs) -> float:
    """How much of a stratum's part a cluster moves that flips: the mean over flips, large ones the oftener.

    One flip of a whole cluster is added, so that a small one, seen by chance alone, does not stand for all.
    """
    totals = pairs.sums.sum(axis=0)[:, WHOLES].max(axis=-1)
    moved = np.abs(influences(pairs)) * totals / pairs.weights
    moved = moved[pairs.sums[..., PARTS[0]] != pairs.sums[..., PARTS[1]]]
    whole = totals.sum() / pairs.clusters
    return float(((moved**2).sum() + whole**2) / (moved.sum() + whole))


def _stretch(clusters: int) -> float:
    """How much wider the interval of few clusters is: Student's t in place of the normal, and n - 1 in place of n."""
    if clusters < 2:
        return 1.0
    tail = (1 + CONFIDENCE) / 2
    return float(student_quantile(tail, clusters - 1) / normal_quantile(tail) * (clusters / (clusters - 1)) ** 0.5)
