"""How likely so great a drop is where there is none: paired tests, one-sided, and Holm's correction for several.

If two models are equally good, each cluster's scores might as well be the other way round. Units scored 0 or 1, each a
cluster of its own and all of equal weight: McNemar's exact test. Units of one dialogue depend on each other, and those
of different strata weigh differently: then every cluster keeps its sign or has base and other exchanged at random, and
the drop is held against those that come of it. Up to 2^14 such exchanges are all tried, of more a sample is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from coalm_lite.evals.statistics.distributions import coin_tail
from coalm_lite.evals.statistics.pairs import Pairs, scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.05
MCNEMAR = "McNemar, exact"
EXCHANGES = "sign flips of clusters"
EXCHANGE_DRAWS = 20_000
_ALL_EXCHANGES = 14
_CHUNK_CELLS = 4_000_000
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Significance:
    """`p`: the chance of a drop at least as great as the one seen if the models were alike; `test`: by which test."""

    test: str
    p: float


def no_drop(pairs: Pairs, seed: int = 0, draws: int = EXCHANGE_DRAWS) -> Significance:
    """The test of "no drop"; the same for the same table and seed."""
    if pairs.single_passes and len(pairs.strata) == 1:
        return Significance(MCNEMAR, coin_tail(pairs.lost, pairs.lost + pairs.won))
    return Significance(EXCHANGES, _exchanged(pairs, np.random.default_rng(seed), draws))


def holm(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Each p corrected for all of them, in their order: false alarms in any of them together stay below a level."""
    corrected = [0.0] * len(probabilities)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        least = max(least, min(1.0, (len(probabilities) - rank) * probabilities[index]))
        corrected[index] = least
    return tuple(corrected)


def _exchanged(pairs: Pairs, random: np.random.Generator, draws: int) -> float:
    """The share of exchanges that give a drop as great as the one seen, which is itself one of them."""
    rows = pairs.sums.reshape(pairs.clusters, -1)
    mirrored = pairs.sums[..., [2, 3, 0, 1]].reshape(pairs.clusters, -1)
    changed = (rows != mirrored).any(axis=1)
    steady = rows[~changed].sum(axis=0) + mirrored[changed].sum(axis=0)
    moves = (rows - mirrored)[changed]  # added where a cluster is as it was seen
    base, score = pairs.scores
    count = int(changed.sum())
    complete = count <= _ALL_EXCHANGES
    number, as_great = (2**count, 0) if complete else (draws, 1)
    step = max(1, _CHUNK_CELLS // max(1, count))
    for start in range(0, number, step):
        size = min(step, number - start)
        kept = _all_kept(start, size, count) if complete else random.integers(0, 2, (size, count), dtype=np.int8)
        sums = (steady + kept.astype(np.float64) @ moves).reshape(size, -1, 4)
        scores = scores_of(sums, pairs.weights)
        as_great += int((scores[:, 1] - scores[:, 0] <= score - base + _ROUNDING).sum())
    return as_great / (number if complete else number + 1)


def _all_kept(start: int, size: int, count: int) -> NDArray[np.int8]:
    """The exchanges numbered from `start`, a row each: 1 where a cluster is as it was seen."""
    numbers = np.arange(start, start + size)[:, None]
    return ((numbers >> np.arange(count)) & 1).astype(np.int8)
