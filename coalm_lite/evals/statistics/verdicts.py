"""What follows from an interval and a test: holds, regressed or undecided, and how many more items would decide it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, sqrt
from typing import Literal, TypeAlias

from coalm_lite.evals.statistics.distributions import normal_quantile
from coalm_lite.evals.statistics.intervals import CONFIDENCE
from coalm_lite.evals.statistics.significance import LEVEL
from coalm_lite.evals.statistics.sizing import POWER

Verdict: TypeAlias = Literal["holds", "regressed", "undecided"]


def decide(low: float, p_corrected: float, max_drop: float) -> Verdict:
    """The verdict on a metric that may drop by `max_drop`; `low` is the lower end of its interval; both in 0 to 1."""
    if low > -max_drop:
        return "holds"
    return "regressed" if p_corrected < LEVEL else "undecided"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of several together: one regression spoils all, one open question leaves all open."""
    if "regressed" in verdicts:
        return "regressed"
    return "undecided" if "undecided" in verdicts else "holds"


def items_still(difference: float, low: float, items: int, max_drop: float, metrics: int = 1) -> int:
    """How many items beside the `items` seen would decide, in four of five cases, if the difference is as it was seen.

    Either verdict will do: that it holds, or that there is a drop (at the level that Holm's correction gives the first
    of so many metrics). The spread is that of the interval's lower half, which shrinks with the root of the number.
    """
    confidence, power = normal_quantile((1 + CONFIDENCE) / 2), normal_quantile(POWER)
    spread = (difference - low) / confidence * sqrt(items)
    room, drop = difference + max_drop, -difference
    to_hold = ((confidence + power) * spread / room) ** 2 if room > 0 else inf
    to_regress = ((normal_quantile(1 - LEVEL / metrics) + power) * spread / drop) ** 2 if drop > 0 else inf
    needed = min(to_hold, to_regress)
    return max(1, ceil(needed) - items)
