"""Synthetic base and quantized runs of which the true difference is known, as tables of paired scores.

`Items`: single items, each flips for itself. `Dialogues`: of about 7 turns; accuracies differ from dialogue to dialogue
(correlation 0.2 between its turns), and a dialogue that flips does so from some turn on to its end, as a wrong slot
stays wrong, so that flips come in runs of one direction. `Strata`: five of unequal sizes, scores and equal weights, as
BFCL's overall has. `Slots`: as dialogues, and the score is slot F1, a ratio of sums whose wholes differ between runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from coalm_lite.evals.statistics.pairs import Pairs

Random: TypeAlias = np.random.Generator
TURNS = 7
CORRELATION = 0.2
STRATA_SIZES = (0.30, 0.25, 0.20, 0.15, 0.10)
STRATA_ACCURACY = (1.25, 1.1, 1.0, 0.8, 0.5)  # times the accuracy asked for


@dataclass(frozen=True)
class World:
    """What is true: the base's accuracy, the share of units that flip, and how much less is won than lost."""

    units: int
    accuracy: float
    flips: float
    drop: float

    @property
    def lost(self) -> float:
        """The share of units that the quantized model loses."""
        return (self.flips + self.drop) / 2

    @property
    def possible(self) -> bool:
        """Whether so many can be lost of those that were right, and won of those that were wrong."""
        return self.drop <= self.flips and self.lost <= self.accuracy and self.flips - self.lost <= 1 - self.accuracy


def items(random: Random, world: World) -> Pairs:
    """Single items, passed or failed."""
    base, other = _flipped(random, world, world.units)
    return _table(base, np.ones(world.units), other, np.ones(world.units), single=True)


def strata(random: Random, world: World) -> Pairs:
    """Five strata of equal weight, each with the world's flips and drop."""
    sizes = [round(share * world.units) for share in STRATA_SIZES]
    sums = np.zeros((sum(sizes), len(sizes), 4))
    start = 0
    for column, (size, factor) in enumerate(zip(sizes, STRATA_ACCURACY, strict=True)):
        base, other = _flipped(random, World(size, min(0.95, world.accuracy * factor), world.flips, world.drop), size)
        sums[start : start + size, column] = np.stack([base, np.ones(size), other, np.ones(size)], axis=-1)
        start += size
    changed = sums[:, :, 2].sum(axis=1) - sums[:, :, 0].sum(axis=1)
    names = tuple(map(str, range(len(sizes))))
    lost, won = int((changed < 0).sum()), int((changed > 0).sum())
    return Pairs(sums, names, np.full(len(sizes), 1 / len(sizes)), sum(sizes), lost, won, single_passes=True)


def dialogues(random: Random, world: World) -> Pairs:
    """Turns of dialogues, passed or failed; the units are about as many as the world's."""
    turns, run, direction = _events(random, world)
    steady = random.binomial(turns - run, _accuracies(random, world.accuracy, len(turns)))
    base = steady + np.where(direction < 0, run, 0)
    other = steady + np.where(direction > 0, run, 0)
    return _table(base, turns, other, turns)


def slots(random: Random, world: World) -> Pairs:
    """Slot F1 of dialogues: from an event on, one slot is wrong that was right (or the other way round)."""
    turns, run, direction = _events(random, world)
    gold = turns * (1 + random.poisson(2, len(turns)))
    written = gold - random.binomial(turns, 0.1)
    right = random.binomial(np.maximum(written - run, 0), _accuracies(random, world.accuracy, len(turns)))
    base = right + np.where(direction < 0, run, 0)
    other = right + np.where(direction > 0, run, 0)
    left_out = np.where(random.random(len(turns)) < 0.5, run, 0)  # by the side that is wrong; the rest is written wrong
    wholes = (gold + written - left_out * (direction == side) for side in (1, -1))
    return _table(2 * base, next(wholes), 2 * other, next(wholes))


KINDS: dict[str, Callable[[Random, World], Pairs]] = {
    "items": items,
    "strata": strata,
    "dialogues": dialogues,
    "slots": slots,
}


def _flipped(random: Random, world: World, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Passes of the base and of the other; which units were right before is drawn so that their share is as wanted."""
    place = random.random(count)
    base = place < world.accuracy
    lost = place < world.lost
    won = place >= 1 - (world.flips - world.lost)
    return base.astype(np.float64), ((base & ~lost) | won).astype(np.float64)


def _events(random: Random, world: World) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each dialogue its turns, how many of them flip, and to which side (-1 lost, 1 won, 0 none)."""
    count = max(2, round(world.units / TURNS))
    turns = 1 + random.poisson(TURNS - 1, count)
    run = turns - (random.random(count) * turns).astype(np.int64)
    happens = random.random(count) < world.flips * TURNS / ((TURNS + 1) / 2)  # a run is half of a dialogue's turns
    sign = np.where(random.random(count) < world.lost / world.flips, -1, 1) * happens
    return turns, run * happens, sign


def _accuracies(random: Random, mean: float, count: int) -> NDArray[np.float64]:
    spread = 1 / CORRELATION - 1
    return np.asarray(random.beta(mean * spread, (1 - mean) * spread, count))


def _table(
    base: NDArray[np.float64] | NDArray[np.int64],
    base_whole: NDArray[np.float64] | NDArray[np.int64],
    other: NDArray[np.float64] | NDArray[np.int64],
    whole: NDArray[np.float64] | NDArray[np.int64],
    single: bool = False,
) -> Pairs:
    sums = np.stack([base, base_whole, other, whole], axis=-1)[:, None, :].astype(np.float64)
    changed = other - base
    lost, won = int(-np.minimum(changed, 0).sum()), int(np.maximum(changed, 0).sum())
    units = int(base_whole.sum())
    return Pairs(sums, ("",), np.ones(1), units, lost, won, single_passes=single)
